"""One home's work between its broker and its outbox. One thread calls it; time is a parameter.

A message is acknowledged only after the commit that made it durable: frames in the outbox's intake
table (group commit), events as sealed envelopes (at once).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from edge_client.clock import SECOND_US, Clock, Moment, moment, real_s
from edge_client.config import GatewayConfig, SensorConfig
from edge_client.flood import Purses
from edge_client.intake import Arrival
from edge_client.messages import believe_clock, parse_frame, parse_zigbee
from edge_client.minute import minute_of
from edge_client.minutes import Minutes
from edge_client.outbox import Change, IntakeRow, Outbox, OutboxUnavailable
from edge_client.pending import Pending
from edge_client.policy import ALARM_LIVE_US, is_alarm
from edge_client.rules import HomeRules, merged
from edge_client.signals import NewId, Signal
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.payloads import MINUTE_US
from schemas.topics import RICH, ZIGBEE, parse_sensor_topic

_log = logging.getLogger(__name__)
_NOTE: Final = "rules"
_RETRY_S: Final = 1.0  # real seconds after the disk refused
_MOST_PENDING: Final = 500  # messages that may wait for a commit
_MOST_HELD: Final = 1_000  # messages in memory while the disk refuses: 10 MB at most


class Acknowledge(Protocol):
    """Tells the broker that a message is durable."""

    def __call__(self, arrival: Arrival) -> None: ...


@dataclass
class Counts:
    """Since start."""

    messages_in: int = 0
    acknowledged: int = 0
    garbage: int = 0
    repeated: int = 0
    flooded: int = 0
    events: int = 0
    minutes: int = 0
    readings: int = 0


class Core:
    """Rules, minutes and commits of one home."""

    def __init__(
        self,
        config: GatewayConfig,
        outbox: Outbox,
        *,
        clock: Clock,
        new_id: NewId,
        acknowledge: Acknowledge,
        committed: Callable[[pb.Lane], None],
        redeliver: Callable[[], None],
    ) -> None:
        """
        Args:
            committed: Told of each lane that got something to send.
            redeliver: Has the broker deliver again what was not acknowledged.
        """
        self._config, self._outbox, self._clock, self._new_id = config, outbox, clock, new_id
        self._acknowledge, self._committed, self._redeliver = acknowledge, committed, redeliver
        self._sensors = {s.id: s for s in config.sensors}
        self.counts = Counts()
        self._pending = Pending()
        self._noted, self._retry_at_us = b"", 0  # elapsed
        self._commit_at_us: int | None = None  # elapsed
        self._refused = False  # by the disk, at the last try
        self._left_with_broker = False  # messages that memory had no room for
        self._told_damage = b""
        self._purses = Purses(self._sensors)
        self._dropped: tuple[pb.GapReason, int] | None = None  # declared last
        self._last_said: dict[str, Arrival] = {}  # of a flood: its end may be what is so now
        now = moment(clock)
        self.rules = HomeRules(config, now, new_id)
        self.minutes = Minutes(config, now)
        self._resumed = False
        with contextlib.suppress(OutboxUnavailable):  # the first step tries again, and tells
            self._resume(now)

    def arrived(self, arrival: Arrival) -> None:
        """Take one message in. `step` makes it durable and acknowledges it."""
        self.counts.messages_in += 1
        now = moment(self._clock)
        events = len(self._pending.events)
        keep = len(self._pending.arrivals) < _MOST_HELD
        self._understand(arrival, now, keep=keep)
        if not keep and len(self._pending.events) == events:
            self._left_with_broker = True
            return
        self._pending.arrivals.append(arrival._replace(payload=b""))
        if self._commit_at_us is None:
            self._commit_at_us = now.elapsed_us + self._real_us(self._config.outbox.commit_interval_s)

    def step(self) -> float:
        """Do what is due → real seconds until something may be due again."""
        now = moment(self._clock)
        self._signals(self.rules.tick(now), now)
        self._end_floods(now)
        if now.elapsed_us >= self._retry_at_us:
            try:
                self._resume(now)
                self._tell_damage(now)
                self._commit_if_due(now)
                self._seal_if_due(now)
            except OutboxUnavailable as error:
                self._disk_refused(error, now)
        if self._refused:
            self._send_unkept(now)
        return self._wait_s(now)

    def flush(self) -> None:
        """Commit what is pending, before an orderly end.

        Raises:
            OutboxUnavailable: It stays unacknowledged and is delivered again.
        """
        self._commit(moment(self._clock))

    def _resume(self, now: Moment) -> None:
        """Once the outbox can be read: go on with the rules and the minutes that it holds.

        Raises:
            OutboxUnavailable: Not now; until then the home is watched from a blank state.
        """
        if self._resumed:
            return
        saved, sealed = self._outbox.note(_NOTE), self._outbox.sealed_sensors()
        kept = self._outbox.kept_frames()
        self.rules = HomeRules(self._config, now, self._new_id, merged(saved, self.rules.dump()))
        self.minutes.resume(sealed, (*kept, *self._pending.frames), now)
        self._resumed = True

    def _understand(self, arrival: Arrival, now: Moment, *, keep: bool) -> None:
        """What it says for the rules; and, to be kept, for its minute."""
        topic = parse_sensor_topic(arrival.topic)
        sensor = self._sensors.get(topic.sensor_id) if topic else None
        if topic is None or sensor is None or topic.home_id != self._config.home_id:
            self._garbage(arrival, "no sensor of this home", None, now)
            return
        try:
            if topic.channel == RICH:
                self._frame(sensor, arrival.payload, now, keep=keep)
            elif self._purses.pay(sensor.id, now.elapsed_us):
                self._last_said.pop(sensor.id, None)
                self._zigbee(sensor, arrival, now, keep=keep)
            else:
                self._flood(sensor, now)
                self._last_said[sensor.id] = arrival
                self._drop(pb.GAP_REASON_FLOOD, now.utc_us // MINUTE_US * MINUTE_US)
        except BadInput as error:
            self._garbage(arrival, str(error), sensor, now)

    def _frame(self, sensor: SensorConfig, payload: bytes, now: Moment, *, keep: bool) -> None:
        frame = parse_frame(payload, sensor.id, sensor.wire_kind)
        if believe_clock(frame, now.utc_us):
            payload = frame.SerializeToString()
        self._signals(self.rules.frame(sensor, frame, now), now)
        if not keep:
            return
        if not self.minutes.add_frame(frame, now):
            self.counts.repeated += 1
            if not self._purses.pay(sensor.id, now.elapsed_us):
                self._flood(sensor, now)
            return
        self._pending.frames.append(IntakeRow(minute_of(frame), RICH, sensor.id, now.utc_us, payload))

    def _zigbee(self, sensor: SensorConfig, arrival: Arrival, now: Moment, *, keep: bool) -> None:
        message = parse_zigbee(arrival.payload)
        self._signals(self.rules.zigbee(sensor, message, now, retained=arrival.retained), now)
        row = IntakeRow(
            now.utc_us // MINUTE_US * MINUTE_US,
            ZIGBEE,
            sensor.id,
            now.utc_us,
            arrival.payload,
        )
        if keep and self.minutes.add_state(row, now):
            self._pending.frames.append(row)

    def _flood(self, sensor: SensorConfig, now: Moment) -> None:
        """Told once, until it has stopped for a while."""
        self.counts.flooded += 1
        self._signals(self.rules.garbage(sensor.id, now), now)

    def _drop(self, reason: pb.GapReason, minute_us: int) -> None:
        """Declare, once a minute, that something of it will be in no batch."""
        if self._dropped != (reason, minute_us):
            self._dropped = reason, minute_us
            self._pending.lost.append((reason, minute_us))

    def _end_floods(self, now: Moment) -> None:
        """What a flooding device said last counts as soon as it can pay for it."""
        for sensor_id, arrival in list(self._last_said.items()):
            if self._purses.pay(sensor_id, now.elapsed_us):
                del self._last_said[sensor_id]
                with contextlib.suppress(BadInput):  # it was told already
                    self._zigbee(self._sensors[sensor_id], arrival, now, keep=not self._refused)

    def _garbage(self, arrival: Arrival, why: str, sensor: SensorConfig | None, now: Moment) -> None:
        """Counted, told and acknowledged: it would come back for ever."""
        self.counts.garbage += 1
        if self.counts.garbage <= 10 or self.counts.garbage % 1000 == 0:
            _log.warning(
                "%s: garbage no. %d on %.80s (%d bytes): %s",
                self._config.gateway_id,
                self.counts.garbage,
                arrival.topic,
                len(arrival.payload),
                why,
            )
        if sensor is not None:
            self._signals(self.rules.garbage(sensor.id, now), now)

    def send_payloads(self, us: int) -> None:
        """Under any policy, payloads travel live for so long from now on: somebody wants to look."""
        self.minutes.send_payloads(self._clock.elapsed_us() + us)

    def _signals(self, signals: list[Signal], now: Moment) -> None:
        for signal in signals:
            if is_alarm(signal):
                self.send_payloads(ALARM_LIVE_US)
            self._pending.events.append(self.rules.event(signal, now))

    def _commit_if_due(self, now: Moment) -> None:
        pending = self._pending
        due = self._commit_at_us is not None and now.elapsed_us >= self._commit_at_us
        if pending.events or due or len(pending.arrivals) >= _MOST_PENDING:
            self._commit(now)

    def _commit(self, now: Moment) -> None:
        pending = self._pending
        pending.published(self._outbox.confirmed_unkept())
        note, drafts = self.rules.dump(), pending.drafts()
        if pending.frames or drafts or pending.lost or note != self._noted:
            self._outbox.commit(
                Change(
                    now.utc_us,
                    self.rules.arming.snapshot(),
                    frames=pending.frames,
                    drafts=drafts,
                    notes={_NOTE: note} if note != self._noted else {},
                    lost=pending.lost,
                )
            )
        self._noted, self._pending, self._commit_at_us = note, Pending(), None
        self.counts.events += len(pending.events)
        if drafts:
            self._committed(pb.LANE_URGENT)
        for arrival in pending.arrivals:
            self._acknowledge(arrival)
        self.counts.acknowledged += len(pending.arrivals)
        if self._refused:
            self._disk_takes(now)

    def _disk_refused(self, error: OutboxUnavailable, now: Moment) -> None:
        """Nothing is acknowledged; it is tried again soon, and told once."""
        _log.error("%s: not committed, again in %.0f s: %s", self._config.gateway_id, _RETRY_S, error)
        self._retry_at_us = now.elapsed_us + self._real_us(_RETRY_S)
        if not self._refused:
            self._refused = True
            self._signals(self.rules.storage(True, now), now)

    def _disk_takes(self, now: Moment) -> None:
        """It takes again."""
        self._refused = False
        self._signals(self.rules.storage(False, now), now)
        if self._left_with_broker:
            self._left_with_broker = False
            self._redeliver()

    def _send_unkept(self, now: Moment) -> None:
        """Events go out even so; their messages stay unacknowledged."""
        drafts = self._pending.unkept_drafts()
        if drafts:
            self._outbox.send_unkept(Change(now.utc_us, self.rules.arming.snapshot(), drafts=drafts))
            self._committed(pb.LANE_URGENT)

    def _tell_damage(self, now: Moment) -> None:
        """The outbox found its file corrupt or put back, and went on: a trouble that is over."""
        epoch = self._outbox.damaged_epoch
        if epoch != self._told_damage and not self._refused:
            self._told_damage = epoch
            for on in (True, False):
                self._signals(self.rules.storage(on, now), now)

    def _seal_if_due(self, now: Moment) -> None:
        for minute_us in self.minutes.due(now, self._real_us(self._config.seal_grace_s)):
            if self._pending.arrivals:
                self._commit(now)  # one order on disk: intake, then the batch that replaces it
            change = self.minutes.change(minute_us, self.rules.arming.snapshot(), now)
            self._outbox.commit(change)
            self.minutes.sealed(minute_us, change)
            self.counts.minutes += 1
            self.counts.readings += len(change.sealed)
            self._committed(pb.LANE_MINUTES)

    def _wait_s(self, now: Moment) -> float:
        """Real seconds until the next deadline; at most a real quarter second."""
        waits_us = [float(SECOND_US)]
        if self._commit_at_us is not None:
            waits_us.append(self._commit_at_us - now.elapsed_us)
        deadline = self.rules.arming.next_deadline_us()
        if deadline is not None:
            waits_us.append(deadline - now.elapsed_us)
        if now.elapsed_us < self._retry_at_us:
            waits_us = [self._retry_at_us - now.elapsed_us]
        return min(0.25, max(0.001, real_s(self._clock, min(waits_us))))

    def _real_us(self, seconds: float) -> int:
        """Real seconds → µs of the clock."""
        return int(seconds * SECOND_US * self._clock.speed)
