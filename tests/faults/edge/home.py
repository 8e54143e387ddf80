"""A home on a disk that may fail: the real core and outbox, a broker and a cloud that keep accounts.

`python -m tests.faults.edge.home` runs one under the shim. What it notes (what was acknowledged, what
arrived in the cloud) goes to a file named "mark", and so into the shim's log in the order in which it
happened. `--build` names a build that is wrong on purpose.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_client.clock import SECOND_US
from edge_client.config_file import checked
from edge_client.core import Core
from edge_client.identity import Identity
from edge_client.intake import Arrival
from edge_client.outbox import Outbox, OutboxUnavailable
from edge_client.witness import Seen, Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US
from schemas.topics import RICH, ZIGBEE, sensor_topic
from tests.edge_client.fakes import GATEWAY, HOME, SENSORS, START_US, ManualClock, air_frame, motion_frame

Build = Literal["right", "acknowledges-early", "deletes-early", "reuses-seq"]
BUILDS: Final[tuple[Build, ...]] = ("right", "acknowledges-early", "deletes-early", "reuses-seq")
BOOT: Final = b"b" * 36
LANES: Final = (pb.LANE_URGENT, pb.LANE_MINUTES)
_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

ACKNOWLEDGED, ARRIVED, SENT = b"A", b"C", b"S"


class CredulousWitness(Witness):
    """Broken: whatever the file says is the newest."""

    def __init__(self, outbox: Path) -> None:
        self.seen = None
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(outbox)) as file:
            meta = dict(file.execute("SELECT key, value FROM meta"))
            self.seen = Seen(meta["epoch"], int(meta["head"]))

    def record(self, epoch: bytes, head: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


class Home:
    """One home for a while. All chance comes from the seed."""

    def __init__(
        self,
        folder: Path,
        witness: Path,
        seed: int,
        note: Callable[[bytes, bytes], None],
        *,
        boot: bytes = BOOT,
        start_us: int = START_US,
        build: Build = "right",
        unacknowledged: Iterable[bytes] = (),
    ) -> None:
        """
        Args:
            note: Told of each message sent, each acknowledged with the time of its last delivery
                (int64) behind it, and each envelope that arrived in the cloud.
            unacknowledged: Messages that the broker still has.
        """
        self._path, self._witness, self._boot, self._build = folder / "outbox.db", witness, boot, build
        self._chance, self._note = random.Random(seed), note
        self.clock = ManualClock(start_us)
        self._config = checked(
            {
                "home_id": HOME,
                "gateway_id": GATEWAY,
                "key_path": "-",
                "certificate_path": "-",
                "pubsub": {"project": "p"},
                "outbox": {"path": self._path},
                "sensors": SENSORS,
            }
        )
        self._unacknowledged = dict.fromkeys(map(_parts, unacknowledged))
        self._deliveries: list[tuple[str, bytes, int]] = []  # by message id: topic, payload, when
        self._open()

    def run(self, seconds: int) -> None:
        """Sensors speak, the gateway works, the cloud answers or does not."""
        for _ in range(seconds):
            now_us = self.clock.forward(1).utc_us
            self.send(sensor_topic(HOME, RICH, "air-kitchen"), air_frame(now_us).SerializeToString())
            if now_us % MINUTE_US == 5 * SECOND_US:
                frame = motion_frame(now_us // MINUTE_US * MINUTE_US - MINUTE_US).SerializeToString()
                self.send(sensor_topic(HOME, RICH, "motion-hall"), frame)
            if self._chance.random() < 0.1:
                self.panic()
            self.core.step()
            self.publish(self._chance.choice((0.0, 0.7, 1.0)))
            if self._chance.random() < 0.02:
                self.close()
                self._open()

    def settle(self) -> None:
        """Two minutes more without messages and with a cloud that answers: nothing waits any more."""
        for _ in range(130):
            self.clock.forward(1)
            self.core.step()
            self.publish(1.0)

    def panic(self) -> None:
        """A press of the button; each has a payload of its own."""
        payload = b'{"action": "panic", "press": %d}' % self.clock.now_us()
        self.send(sensor_topic(HOME, ZIGBEE, "panic-bedroom"), payload)

    def send(self, topic: str, payload: bytes) -> None:
        """The broker delivers, and again after each restart until it is acknowledged."""
        self._note(SENT, _message(topic, payload))
        self._unacknowledged[topic, payload] = None
        self._deliver(topic, payload)

    def publish(self, reliability: float) -> None:
        """Send what waits; the cloud may take it, lose it, or take it and say nothing."""
        for lane in LANES:
            for _ in range(3):
                try:
                    batch = self.outbox.take(lane)
                except OutboxUnavailable:
                    return
                if batch is None:
                    break
                arrives = self._chance.random() < reliability
                if self._build == "deletes-early":
                    self.outbox.confirm(batch)
                if arrives:
                    self._note(ARRIVED, batch.envelope)
                if arrives and self._chance.random() < 0.9:
                    self.outbox.confirm(batch)
                else:
                    self.outbox.release(batch)

    def close(self) -> None:
        """An orderly end."""
        self.core.flush()
        self.outbox.close()

    def _open(self) -> None:
        credulous = self._build == "reuses-seq"
        witness = CredulousWitness(self._path) if credulous else Witness(self._witness, self._boot)
        self.outbox = Outbox(
            self._path,
            Identity(HOME, GATEWAY, _KEY, b"certificate"),
            witness,
            max_bytes=self._config.outbox.max_bytes,
            patience_s=60,
            random_bytes=self._chance.randbytes,
        )
        self.core = Core(
            self._config,
            self.outbox,
            clock=self.clock,
            new_id=lambda: self._chance.randbytes(16),
            acknowledge=self._acknowledged,
            committed=lambda _lane: None,
            redeliver=self._redeliver,
        )
        self._redeliver()

    def _redeliver(self) -> None:
        for topic, payload in list(self._unacknowledged):
            self._deliver(topic, payload)

    def _deliver(self, topic: str, payload: bytes) -> None:
        arrival = Arrival(topic, payload, message_id=len(self._deliveries))
        self._deliveries.append((topic, payload, self.clock.now_us()))
        if self._build == "acknowledges-early":
            self._acknowledged(arrival)
        self.core.arrived(arrival)

    def _acknowledged(self, arrival: Arrival) -> None:
        topic, payload, delivered_us = self._deliveries[arrival.message_id]
        if (topic, payload) in self._unacknowledged:
            del self._unacknowledged[topic, payload]
            self._note(ACKNOWLEDGED, _message(topic, payload) + delivered_us.to_bytes(8, "big"))


def _parts(message: bytes) -> tuple[str, bytes]:
    topic, _, payload = message.partition(b"\0")
    return topic.decode(), payload


def _message(topic: str, payload: bytes) -> bytes:
    return topic.encode() + b"\0" + payload


def main() -> None:
    """One home under the shim, until it is killed or its time is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--build", choices=BUILDS, default="right")
    flags = parser.parse_args()
    with (flags.folder / "mark").open("wb", buffering=0) as marks:
        home = Home(
            flags.folder,
            flags.witness,
            flags.seed,
            lambda kind, content: marks.write(kind + content),
            build=flags.build,
        )
        home.run(flags.seconds)
        home.close()


if __name__ == "__main__":
    main()
