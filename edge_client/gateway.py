"""A home's gateway: broker → rules and minutes → outbox → Pub/Sub and object storage.

Its threads: MQTT's network thread hands messages over; the core's applies the rules and has the outbox's
own thread commit; three publish, and one uploads hourly objects where a bucket is configured. The
publisher's thread (channel.py) serves all connections of a process. The simulator hosts many gateways
in one: they share clock and publisher.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable
from importlib import metadata

from edge_client import witness
from edge_client.clock import SECOND_US, Clock
from edge_client.config import GatewayConfig
from edge_client.core import Core, Counts
from edge_client.hourly import HourlyObjects
from edge_client.identity import load_identity
from edge_client.intake import Arrival, MqttIntake
from edge_client.object_store import CloudStorage, ObjectStore
from edge_client.outbox import Outbox, OutboxUnavailable
from edge_client.policy import UplinkPolicy, load_features
from edge_client.publisher import Publisher
from edge_client.uplink import LaneCount, Uplink
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput

_log = logging.getLogger(__name__)
_BURST = 200  # messages taken in before the next step
_MOST_QUEUED = 2_000  # messages between the network and the core: then the broker has to wait

RandomBytes = Callable[[int], bytes]


class Gateway:
    """One home's gateway: `start()` it, `stop()` it; what it did is in `counts` and `sent()`."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        clock: Clock,
        publisher: Publisher,
        store: ObjectStore | None = None,
        rng: random.Random | None = None,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        """
        Args:
            store: Where hourly objects go; by default the configured bucket.
            publisher: May be shared by all gateways of a process; it is not closed here.
            rng: For jitter. random_bytes: n → n bytes, for epochs and event ids.
        """
        self.config = config
        self._clock, self._publisher, self._store = clock, publisher, store
        self._rng = rng or random.Random()
        self._random_bytes = random_bytes
        self._arrivals: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._no_waiting = threading.Event()  # the network thread is wanted elsewhere
        self._started = False

    def start(self) -> None:
        """Load identity and outbox, connect, run.

        Raises:
            BadInput: A file that the configuration names is at fault.
        """
        config = self.config
        if UplinkPolicy(config.uplink.policy) is UplinkPolicy.ADAPTIVE:
            load_features()
        self._outbox = open_outbox(config, self._random_bytes)
        self._uplink = make_uplink(config, self._outbox, self._publisher, self._clock, self._rng)
        self._intake = MqttIntake(
            config.broker,
            home_id=config.home_id,
            gateway_id=config.gateway_id,
            deliver=self._deliver,
        )
        self._core = Core(
            config,
            self._outbox,
            clock=self._clock,
            new_id=lambda: self._random_bytes(16),
            acknowledge=self._intake.acknowledge,
            committed=self._uplink.wake,
            redeliver=self._redeliver,
        )
        self._objects = self._hourly_objects()
        self._thread = threading.Thread(target=self._run, name=f"{config.gateway_id}-core", daemon=True)
        self._started = True
        self._uplink.start()
        self._thread.start()
        if self._objects:
            self._objects.start()
        self._intake.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Commit and acknowledge what was received, stop the threads, close the outbox.

        What was not published stays in the outbox for the next start.

        Args:
            timeout_s: Real seconds to wait for each thread.
        """
        if not self._started:
            return
        self._started = False
        self._stopping.set()
        self._no_waiting.set()
        self._arrivals.put(None)
        self._thread.join(timeout_s)
        self._intake.stop()
        if self._objects:
            self._objects.stop(timeout_s)
        self._uplink.stop(timeout_s)
        self._outbox.close()

    @property
    def healthy(self) -> bool:
        """Are all its threads running?"""
        objects = self._objects is None or self._objects.alive
        return self._started and self._thread.is_alive() and self._uplink.alive and objects

    def set_uplink(self, policy: UplinkPolicy) -> None:
        """Choose what travels live from the next minute on. What is kept already still follows.

        Raises:
            BadInput: Adaptive, and the configuration names no bucket.
        """
        if policy is UplinkPolicy.ADAPTIVE and self._objects is None:
            raise BadInput("uplink.policy is adaptive, limit: needs objects.bucket")
        if policy is UplinkPolicy.ADAPTIVE:
            load_features()
        if policy is not self._core.minutes.uplink:
            _log.info("%s: uplink is %s from now on", self.config.gateway_id, policy)
        self._core.minutes.uplink = policy

    def send_payloads(self, seconds: float) -> None:
        """Payloads travel live for so many seconds of its clock, whatever the policy."""
        self._core.send_payloads(int(seconds * SECOND_US))

    @property
    def objects_uploaded(self) -> int:
        """Hourly objects since start."""
        return self._objects.uploaded if self._objects else 0

    @property
    def kept_minutes(self) -> int:
        """Minutes whose payloads wait for their object to be uploaded."""
        return len(self._outbox.kept.waiting())

    @property
    def connected(self) -> bool:
        """Has it a session with the broker?"""
        return self._intake.connected

    @property
    def counts(self) -> Counts:
        """Messages, events and minutes since start."""
        return self._core.counts

    def sent(self, lane: pb.Lane) -> LaneCount:
        """What a lane published since start."""
        return self._uplink.count(lane)

    def pending(self, lane: pb.Lane) -> int:
        """Batches of a lane that are not confirmed."""
        return self._outbox.pending(lane)

    @property
    def epoch(self) -> bytes:
        """Of the batches now written."""
        return self._outbox.epoch

    @property
    def head_seq(self) -> int:
        """Highest sequence number given out in this epoch."""
        return self._outbox.head_seq

    @property
    def arming(self) -> pb.Arming:
        """Arming state as the next header will carry it."""
        return self._core.rules.arming.snapshot()

    def _deliver(self, arrival: Arrival) -> None:
        """On the network thread. It stops reading while the core is far behind, so that TCP slows the
        broker; messages that have come are never dropped."""
        while self._arrivals.qsize() >= _MOST_QUEUED and not self._no_waiting.is_set():
            time.sleep(0.01)
        self._arrivals.put(arrival)

    def _redeliver(self) -> None:
        """On the core's thread, for which the network thread may be waiting."""
        self._no_waiting.set()
        self._intake.reconnect()
        if not self._stopping.is_set():
            self._no_waiting.clear()

    def _hourly_objects(self) -> HourlyObjects | None:
        config = self.config
        if config.objects is None:
            return None
        return HourlyObjects(
            self._outbox,
            self._store or CloudStorage(config.objects.bucket),
            home_id=config.home_id,
            gateway_id=config.gateway_id,
            file=config.outbox.path.with_name(f"{config.outbox.path.name}.object"),
            config=config.objects,
            clock=self._clock,
            arming=lambda: self.arming,
            committed=self._uplink.wake,
            rng=self._rng,
        )

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping.is_set():
            arrival = self._next(wait_s)
            for _ in range(_BURST):
                if arrival is None:
                    break
                self._core.arrived(arrival)
                arrival = self._next(0.0)
            wait_s = self._core.step()
            if arrival is not None:
                self._core.arrived(arrival)
                wait_s = 0.0
        try:
            self._core.flush()
        except OutboxUnavailable as error:
            _log.error("%s: last messages stay unacknowledged: %s", self.config.gateway_id, error)

    def _next(self, wait_s: float) -> Arrival | None:
        try:
            return self._arrivals.get(timeout=wait_s) if wait_s > 0 else self._arrivals.get_nowait()
        except queue.Empty:
            return None


def open_outbox(config: GatewayConfig, random_bytes: RandomBytes) -> Outbox:
    """The configured outbox under the configured identity.

    Raises:
        BadInput: A file is at fault.
    """
    identity = load_identity(
        config.key_path,
        config.certificate_path,
        home_id=config.home_id,
        gateway_id=config.gateway_id,
    )
    witness_path = config.outbox.witness_path or witness.default_path(config.outbox.path)
    return Outbox(
        config.outbox.path,
        identity,
        Witness(witness_path, witness.boot_id()),
        max_bytes=config.outbox.max_bytes,
        patience_s=config.outbox.patience_s,
        random_bytes=random_bytes,
        software_version=metadata.version("hearthwatch"),
        synthetic=config.synthetic,
    )


def make_uplink(
    config: GatewayConfig, outbox: Outbox, publisher: Publisher, clock: Clock, rng: random.Random
) -> Uplink:
    """The configured uplink; a minutes batch is live for two batch periods."""
    return Uplink(
        outbox,
        publisher,
        home_id=config.home_id,
        gateway_id=config.gateway_id,
        topics={
            pb.LANE_URGENT: config.pubsub.urgent_topic,
            pb.LANE_MINUTES: config.pubsub.minutes_topic,
            pb.LANE_BULK: config.pubsub.bulk_topic,
        },
        config=config.uplink,
        fresh_since_us=lambda: clock.now_us() - 2 * config.batch_period_s * 1_000_000,
        rng=rng,
    )


def wait_until_idle(gateway: Gateway, timeout_s: float) -> bool:
    """Wait until nothing waits in the outbox → whether that came true within `timeout_s` real seconds."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        if not any(gateway.pending(lane) for lane in (pb.LANE_URGENT, pb.LANE_MINUTES, pb.LANE_BULK)):
            return True
        time.sleep(0.02)
    return False
