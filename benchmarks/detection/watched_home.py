"""One home behind the product's own rules, in memory: gateway, scores, fusion, episodes. No transport.

The gateway's rules, its minutes, features, models, windows, fusion and episodes are the product's
functions; what is left out takes time and decides nothing (broker, outbox, Pub/Sub, Beam, Firestore).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge_client.clock import Moment
from edge_client.config_file import checked
from edge_client.messages import parse_frame, parse_zigbee
from edge_client.minute import MinuteBuffer
from edge_client.rules import HomeRules
from edge_client.signals import Signal
from edge_client.users import hash_code
from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import Alarm, Evidence
from schemas.events import AlarmKind
from schemas.models import line_of
from schemas.readings import MINUTE_US, READING_KINDS
from schemas.topics import RICH, parse_sensor_topic
from serving.handlers import label_scores
from serving.interpreter import LoadedModel
from transforms.alarm_store import MemoryStore
from transforms.elements import AcceptedEvent, AcceptedReading, Score, WindowScore
from transforms.evidence import Raised, evidence_of_event, evidence_of_window
from transforms.hear_scores import hear, place
from transforms.home_state import Home
from transforms.model_score import model_score
from transforms.score_closely import selects
from transforms.score_homes import fuse
from transforms.score_readings import Block, prepare

SEALED_LATE_US: Final = 2_000_000
CODE: Final = "1234"
_MODES: Final = {
    pb.ARMING_MODE_DISARMED: "disarmed",
    pb.ARMING_MODE_STAY: "stay",
    pb.ARMING_MODE_AWAY: "away",
}


class WatchedHome:
    """Feed messages in the order of their time; `alarms` are the episodes that they opened.

    Args:
        sensors: As a gateway's configuration lists them.
        start_us: µs since 1970 UTC; whole minutes.
        models: By line, "sound" and "sound_large"; {}: only what devices say of themselves is scored;
            None: nothing is. Without a large model nothing is heard closely.
    """

    def __init__(
        self,
        sensors: Sequence[Mapping[str, Any]],
        start_us: int,
        models: Mapping[str, LoadedModel] | None,
    ) -> None:
        self._config = checked(
            {
                "home_id": "home-1",
                "gateway_id": "gw-1",
                "key_path": "unused",
                "certificate_path": "unused",
                "pubsub": {"project": "unused"},
                "outbox": {"path": "unused"},
                "sensors": list(sensors),
                "users": [{"id": "resident", "code_hash": hash_code(CODE, b"salt of a benchmark")}],
            }
        )
        self._kinds = {s.id: s for s in self._config.sensors}
        ids = itertools.count(1)
        self._ids = lambda: next(ids).to_bytes(16, "big")
        self._start_us, self._models = start_us, models
        self._rules = HomeRules(self._config, self._moment(start_us), self._ids)
        self._buffer = MinuteBuffer(self._config.gateway_id, self._config.sensors)
        self._home, self._now_us, self._batches = Home(), start_us, 0
        self._store = MemoryStore(lambda: self._now_us)
        self.signals: list[Signal] = []
        self.windows: list[WindowScore] = []
        self.scores: list[tuple[str, str, float, int]] = []  # family, label, probability, known at µs

    @property
    def alarms(self) -> list[Alarm]:
        """Every episode, in the order in which they opened."""
        return sorted(self._store.alarms.values(), key=lambda alarm: alarm.opened_us)

    def evidence(self, alarm_id: str) -> list[Evidence]:
        """What an episode rests on."""
        return list(self._store.evidence[alarm_id].values())

    @property
    def mode(self) -> str:
        """Arming mode now."""
        return _MODES[self._rules.arming.snapshot().mode]

    def message(self, topic: str, payload: bytes, at_us: int) -> None:
        """What a sensor publishes on the home's broker."""
        parsed = parse_sensor_topic(topic)
        if parsed is None:
            raise ValueError(f"topic is {topic!r}, a sensor's is wanted")
        sensor = self._kinds[parsed.sensor_id]
        if parsed.channel == RICH:
            frame = parse_frame(payload, sensor.id, sensor.wire_kind)
            self._buffer.add_frame(frame)
            self._take(self._rules.frame(sensor, frame, self._moment(at_us)), at_us)
        else:
            self.zigbee(sensor.id, json.loads(payload), at_us)

    def zigbee(self, sensor_id: str, payload: Mapping[str, Any], at_us: int) -> None:
        """What a plain device says."""
        self.tick(at_us)
        if "action_code" in payload:
            payload = {**payload, "action_code": CODE}
        sensor, message = self._kinds[sensor_id], parse_zigbee(json.dumps(payload).encode())
        if self._models is not None and sensor.kind in ("contact", "motion"):
            state = not message.contact if sensor.kind == "contact" else message.occupancy
            if state is not None:
                self._buffer.add_state(sensor_id, state, at_us, message.battery)
        self._take(self._rules.zigbee(sensor, message, self._moment(at_us), retained=False), at_us)

    def tick(self, at_us: int) -> None:
        """Let time pass: delays run out, each at its moment."""
        while (due_us := self._rules.arming.next_deadline_us()) is not None:
            if self._start_us + due_us > at_us:
                break
            now_us = self._start_us + due_us
            self._take(self._rules.tick(self._moment(now_us)), now_us)
        self._take(self._rules.tick(self._moment(at_us)), at_us)

    def minute(self, minute_us: int) -> None:
        """A minute is over: seal it, score it, judge its windows."""
        at_us = minute_us + MINUTE_US + SEALED_LATE_US
        self._now_us = max(self._now_us, at_us)
        self._batches += 1
        sealed = self._buffer.peek(minute_us)
        self._buffer.commit(minute_us, sealed.sealed)
        by_family: dict[str, list[AcceptedReading]] = {}
        for reading in sealed.readings:
            family = READING_KINDS[reading.kind]
            by_family.setdefault(family, []).append(self._accepted_reading(reading, family, at_us))
        scores, close = [], []
        for family, readings in by_family.items():
            block = prepare(readings)
            said, closely = self._scored(family, block)
            scores += block.device + said
            close += closely
        self._judge(scores, at_us)
        self._judge(close, at_us)

    def _scored(self, family: str, block: Block) -> tuple[list[Score], list[Score]]:
        """What the small model says, and what the large one says of those that the small one selects."""
        if not block.blanks:
            return [], []
        models = self._models or {}
        said = list(map(model_score, block.blanks, label_scores(models[family], block.inputs)))
        scores = [score for score in said if score is not None]
        large = models.get(line_of(family, "large"))
        chosen = [
            place
            for place, score in enumerate(said)
            if large and score and selects(family, score.labels, score.probabilities)
        ]
        if not large or not chosen:
            return scores, []
        verdicts = label_scores(large, block.inputs[chosen])
        closely = map(model_score, (block.blanks[place] for place in chosen), verdicts)
        return scores, [score for score in closely if score is not None]

    def _judge(self, scores: Sequence[Score], at_us: int) -> None:
        """Take scores into the home, fuse its windows, and attach what they raise."""
        self.scores += [(score.family, score.label, score.score, at_us) for score in scores]
        heard = hear(self._config.home_id, self._home, [place(s) for s in scores], keep_all=False)
        self._home.newest_us = max(self._home.newest_us, at_us)
        for window in map(fuse, heard.windows):
            self.windows.append(window)
            self._attach(evidence_of_window(window, at_us))

    def _accepted_reading(self, reading: pb.Reading, family: str, at_us: int) -> AcceptedReading:
        return AcceptedReading(
            home_id=self._config.home_id,
            gateway_id=self._config.gateway_id,
            batch_id=f"batch-{self._batches}",
            epoch="00",
            seq=self._batches,
            reading=reading.SerializeToString(),
            family=family,
            arming_mode=self.mode,
            publish_us=at_us,
            lane="minutes",
        )

    def _take(self, signals: Sequence[Signal], at_us: int) -> None:
        self._now_us = max(self._now_us, at_us)
        self.signals += signals
        for signal in signals:
            self._batches += 1
            event = self._rules.event(signal, self._moment(at_us))
            accepted = AcceptedEvent(
                home_id=self._config.home_id,
                gateway_id=self._config.gateway_id,
                batch_id=f"batch-{self._batches}",
                epoch="00",
                seq=self._batches,
                event=event.SerializeToString(),
                arming_mode=self.mode,
                publish_us=at_us,
                lane="urgent",
                clock_suspect=False,
                cert_expired=False,
                synthetic=False,
                verified=True,
            )
            self._attach(evidence_of_event(accepted, at_us))

    def _attach(self, raised: Raised | None) -> None:
        if raised is not None:
            kind = AlarmKind(raised.kind)
            self._store.attach(raised.home_id, kind, [(raised.parsed(), raised.armed_mode)])

    def _moment(self, at_us: int) -> Moment:
        return Moment(at_us, at_us - self._start_us)
