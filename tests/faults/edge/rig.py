"""The real gateway process on a disk that fails, between a real broker and the Pub/Sub emulator."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt

from local.config import ROOT
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import open_body, parse_envelope
from schemas.topics import RICH, ZIGBEE, sensor_topic
from tests.edge_client import servers
from tests.edge_client.fakes import GATEWAY, HOME, SECOND, air_frame, document, make_identity, write_identity
from tests.edge_client.outside import Cloud
from tests.faults.edge.disk import Disk
from tests.faults.edge.judge import Item, Verdict, judge

_DAY_US: Final = 86_400 * SECOND
_QUICK: Final = {
    "first_backoff_s": 0.05,
    "urgent_backoff_s": 0.2,
    "minutes_backoff_s": 0.2,
    "backlog_per_s": 1000,
}


class Rig:
    """One gateway, its broker, its sensors, and all that came to the cloud."""

    def __init__(self, work: Path, cloud: Cloud, stack: ExitStack) -> None:
        self.disk, self._cloud, self._stack = Disk(work), cloud, stack
        self._published: set[int] = set()  # ids that the broker has acknowledged
        self._mqtt_folder, self._port = work / "mqtt", servers.free_port()
        write_identity(work, make_identity())
        config = document(
            work,
            outbox={
                "path": str(self.disk.folder / "outbox.db"),
                "witness_path": str(work / "witness"),
                "commit_interval_s": 0.2,
                "patience_s": 60,
            },
            broker={"port": self._port},
            pubsub=cloud.settings(),
            uplink=_QUICK,
            seal_grace_s=0.2,
        )
        self._config, self._log = work / "gateway.json", work / "gateway.log"
        self._config.write_text(json.dumps(config))
        self.start_broker()
        self._sensors = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id="sensors", clean_session=False
        )
        self._sensors.reconnect_delay_set(min_delay=1, max_delay=1)
        self._sensors.on_publish = lambda _client, _data, mid, _reason, _props: self._published.add(mid)
        self._sensors.connect("127.0.0.1", self._port)
        self._sensors.loop_start()
        stack.callback(self._sensors.loop_stop)
        stack.callback(self._sensors.disconnect)
        self._next_us = (time.time_ns() // 1000 - _DAY_US) // SECOND * SECOND
        self._told: dict[Item, int] = {}  # → MQTT's id of the message
        self._steps = ["the start"]
        self._said: dict[Item, tuple[int, str]] = {}  # → after which step, and how the gateway was
        self._presses: list[int] = []
        self.envelopes: list[bytes] = []
        self.process: subprocess.Popen[bytes] | None = None
        stack.callback(self.kill)

    def start(self) -> None:
        """Start the gateway and wait until it hears its sensors."""
        self.spawn()
        subscribed = f"{GATEWAY} of {HOME} hears its sensors"
        before = self.log().count(subscribed)
        self.wait(lambda: self.log().count(subscribed) > before, 40, "the gateway to subscribe")

    def spawn(self) -> None:
        """Start the gateway's process."""
        self._steps.append(f"start {sum('gateway' in step for step in self._steps) + 1} of the gateway")
        command = [sys.executable, "-m", "edge_client.main", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.disk.environment(log=False), stdout=log, stderr=log
            )

    def kill(self) -> None:
        """kill -9 of the gateway."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def start_broker(self) -> None:
        """Start the broker on what it kept."""
        self._broker_stack = self._stack.enter_context(ExitStack())
        self.broker = self._broker_stack.enter_context(servers.broker(self._mqtt_folder, self._port))

    def kill_broker(self) -> None:
        """kill -9 of the broker, and start it again."""
        self._steps.append("a kill of the broker")
        self.broker.kill()
        self.broker.wait()
        self._broker_stack.close()
        self.start_broker()

    def speak(self, seconds: int, pause_s: float = 0.005) -> None:
        """Seconds of air, each of its own."""
        for _ in range(seconds):
            frame = air_frame(self._next_us)
            item = Item(frame.sensor_id, frame.start_us)
            alive = self.process is not None and self.process.poll() is None
            self._said[item] = len(self._steps), "alive" if alive else "dead"
            self._told[item] = self._sensors.publish(
                sensor_topic(HOME, RICH, frame.sensor_id), frame.SerializeToString(), qos=1
            ).mid
            self._next_us += SECOND
            time.sleep(pause_s)

    def panic(self) -> None:
        """Somebody presses the button."""
        topic = sensor_topic(HOME, ZIGBEE, "panic-bedroom")
        self._presses.append(self._sensors.publish(topic, b'{"action": "panic"}', qos=1).mid)

    def garbage(self) -> None:
        """What no sensor in order says: huge, of other homes, of nobody, and bytes of no meaning."""
        for channel, sensor_id, payload in (
            (RICH, "air-kitchen", bytes(8 << 20)),
            (RICH, "air-kitchen", b"\xff\xfe\xfd" * 100),
            (ZIGBEE, "smoke-kitchen", b"\xc3\x28 not UTF-8"),
            (ZIGBEE, "smoke-kitchen", b"[" * 50_000),
            (RICH, "nobody", b"x"),
            (RICH, "\U0001f525", b""),
        ):
            self._sensors.publish(sensor_topic(HOME, channel, sensor_id), payload, qos=1)
        self._sensors.publish(f"homes/{HOME}/rich", b"x", qos=1)

    def heard(self) -> list[Item]:
        """What the broker has acknowledged to the sensors."""
        return [item for item, mid in self._told.items() if mid in self._published]

    def presses(self) -> int:
        """How often the button was pressed and the broker has acknowledged it."""
        return sum(mid in self._published for mid in self._presses)

    def pull(self, wait_s: float = 0.2) -> None:
        """Take what is in the cloud."""
        for lane in ("urgent", "minutes"):
            self.envelopes += [message.data for message in self._cloud.pull(lane, wait_s)]

    def events(self) -> dict[bytes, pb.Event]:
        """Events that came, by id."""
        found = {}
        for data in self.envelopes:
            for event in open_body(*parse_envelope(data)).events:
                found[event.event_id] = event
        return found

    def verdict(self) -> Verdict:
        """Of everything until now."""
        return judge(self.heard(), self.envelopes)

    def recovered(self, limit_s: float) -> float:
        """Wait until everything that was said has arrived → seconds that it took."""
        began_s = time.monotonic()

        def done() -> bool:
            self.pull()
            said = self.presses() == len(self._presses) and len(self.heard()) == len(self._told)
            return said and not self.verdict().lost

        try:
            self.wait(done, limit_s, "everything to arrive")
        except AssertionError as error:
            lost, untaken = self.verdict().lost, len(self._told) - len(self.heard())
            why = f"{len(lost)} not there, {untaken} not taken by the broker\n{self._when(lost)}\n{error}"
            raise AssertionError(why) from error
        return time.monotonic() - began_s

    def _when(self, items: list[Item]) -> str:
        """Between which steps items were said, a line each."""
        groups: dict[str, list[Item]] = {}
        steps = [*self._steps, "the end"]
        for item in items:
            step, gateway = self._said[item]
            moment = f"after {steps[step - 1]}, gateway {gateway}, before {steps[step]}"
            groups.setdefault(moment, []).append(item)
        return "\n".join(
            f"{len(said)} of {said[0].sensor_id}, {said[0].at_us} to {said[-1].at_us} µs: said {moment}"
            for moment, said in groups.items()
        )

    def wait(self, ready: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: It did not come true in time.
        """
        end_s = time.monotonic() + limit_s
        while not ready():
            assert time.monotonic() < end_s, f"waited {limit_s:.0f} s for {what}: {self.log()[-2000:]}"
            time.sleep(0.02)

    def log(self) -> str:
        """What the gateway wrote so far."""
        return self._log.read_text() if self._log.exists() else ""
