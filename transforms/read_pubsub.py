"""ReadPubSub: a Pub/Sub subscription → RawMessage, acknowledged only after the runner has committed.

For runners without a native Pub/Sub source (Flink here). One splittable DoFn per shard takes
messages from a prefetching `Lease` of its process; a message is acknowledged by bundle finalization,
and kept from being redelivered until then.

Why an acknowledgement waits for two finalizations. Flink finalizes *all* outstanding bundles when a
checkpoint completes, also those that finished after that checkpoint's snapshot was taken
(docs/decisions/002-acknowledge.md). A bundle's messages are therefore acknowledged by the
finalization of a bundle that *started after* its own finalization: by then a later checkpoint, which
contains it, has completed.
"""

from __future__ import annotations

import collections
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import apache_beam as beam
import grpc
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp
from google.protobuf import empty_pb2
from google.pubsub_v1 import types as pubsub

from transforms.elements import RawMessage

_LOG = logging.getLogger(__name__)

ACK_DEADLINE_S: Final = 60
EXTEND_EVERY_S: Final = 15.0
# A lease is not extended for ever: a bundle that failed without telling us must be redelivered.
MAX_LEASE_S: Final = 600.0
PREFETCH_MESSAGES: Final = 2_000
PREFETCH_BYTES: Final = 64 << 20
_RPC_IDS: Final = 1_000  # acknowledge and extend at most this many ids a call
_RPC_TIMEOUT_S: Final = 20.0
_CHANNEL: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class SubscriberClient:
    """Bare stubs of the Subscriber service: no wrapping of each message, no 4 MiB limit."""

    def __init__(self) -> None:
        host = os.environ.get("PUBSUB_EMULATOR_HOST")
        if host:
            channel = grpc.insecure_channel(host, options=[*_CHANNEL, ("grpc.use_local_subchannel_pool", 1)])
        else:
            import google.auth
            import google.auth.transport.grpc
            import google.auth.transport.requests

            credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/pubsub"])
            channel = google.auth.transport.grpc.secure_authorized_channel(
                credentials,
                google.auth.transport.requests.Request(),
                "pubsub.googleapis.com:443",
                options=_CHANNEL,
            )
        self._pull = _method(channel, "Pull", pubsub.PullResponse.pb())
        self._acknowledge = _method(channel, "Acknowledge", empty_pb2.Empty)
        self._modify = _method(channel, "ModifyAckDeadline", empty_pb2.Empty)

    def pull(self, subscription: str, max_messages: int, wait_s: float = 60.0) -> list[Any]:
        """→ received messages, none if the server had none for `wait_s`."""
        request = pubsub.PullRequest.pb()(subscription=subscription, max_messages=max_messages)
        try:
            return list(self._pull(request, timeout=wait_s).received_messages)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return []
            raise

    def acknowledge(self, subscription: str, ack_ids: list[str]) -> None:
        request = pubsub.AcknowledgeRequest.pb()(subscription=subscription, ack_ids=ack_ids)
        self._acknowledge(request, timeout=_RPC_TIMEOUT_S)

    def extend(self, subscription: str, ack_ids: list[str], seconds: int) -> None:
        request = pubsub.ModifyAckDeadlineRequest.pb()(
            subscription=subscription, ack_ids=ack_ids, ack_deadline_seconds=seconds
        )
        self._modify(request, timeout=_RPC_TIMEOUT_S)


class Lease:
    """The messages of one subscription that this process holds and has not acknowledged.

    Threads pull ahead into a bounded queue, extend the deadline of everything held, and acknowledge
    what has been committed. `take` hands messages to a bundle, `finished` remembers which bundle has
    them, `finalize` moves them on.
    """

    _instances: ClassVar[dict[str, Lease]] = {}
    _guard = threading.Lock()

    @classmethod
    def of(cls, subscription: str) -> Lease:
        """The one lease of this process and subscription."""
        with cls._guard:
            if subscription not in cls._instances:
                cls._instances[subscription] = Lease(subscription, SubscriberClient())
                cls._instances[subscription].start()
            return cls._instances[subscription]

    def __init__(self, subscription: str, client: SubscriberClient) -> None:
        self._subscription = subscription
        self._client = client
        self._queue: collections.deque[tuple[float, Any]] = collections.deque()
        self._queued_bytes = 0
        self._last_take = time.monotonic()
        self._arrived = threading.Condition()
        self._bundles = _Bundles()
        self._committed: collections.deque[str] = collections.deque()
        self._commit = threading.Event()

    def start(self) -> None:
        for target in (self._pull_forever, self._acknowledge_forever, self._extend_forever):
            threading.Thread(
                target=target, daemon=True, name=f"{target.__name__} {self._subscription}"
            ).start()

    def take(self, limit: int, wait_s: float) -> list[tuple[float, Any]]:
        """Up to `limit` messages with the monotonic time of their pull; waits only if none is there."""
        with self._arrived:
            self._last_take = time.monotonic()
            if not self._queue and wait_s > 0:
                self._arrived.wait(wait_s)
            taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
            self._queued_bytes -= sum(len(message.message.data) for _, message in taken)
            self._arrived.notify_all()
            return taken

    def give_back(self, messages: list[tuple[float, Any]]) -> None:
        """Return messages that a bundle took and did not emit."""
        with self._arrived:
            self._queue.extendleft(reversed(messages))
            self._queued_bytes += sum(len(message.message.data) for _, message in messages)

    def finished(self, token: object, held: list[tuple[float, str]]) -> None:
        """A bundle emitted these (pull time, ack id)."""
        self._bundles.finished(token, held)

    def finalize(self, token: object, started: float) -> None:
        """The runner committed the bundle `token` that started at monotonic `started`."""
        ready = self._bundles.finalize(token, started, time.monotonic())
        if ready:
            self._committed.extend(ready)
            self._commit.set()

    def _pull_forever(self) -> None:
        pause = 0.005
        while True:
            with self._arrived:
                # Nothing is fetched when full, or when nobody has asked for 5 s (the job has gone).
                while (
                    len(self._queue) >= PREFETCH_MESSAGES
                    or self._queued_bytes >= PREFETCH_BYTES
                    or time.monotonic() - self._last_take > 5
                ):
                    self._arrived.wait(1)
            try:
                received = self._client.pull(self._subscription, 500)
            except grpc.RpcError as error:
                _LOG.warning("pull from %s: %s", self._subscription, error.code())
                time.sleep(1)
                continue
            if not received:
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
                continue
            pause = 0.005
            now = time.monotonic()
            with self._arrived:
                self._queue.extend((now, message) for message in received)
                self._queued_bytes += sum(len(message.message.data) for message in received)
                self._arrived.notify_all()

    def _acknowledge_forever(self) -> None:
        while True:
            self._commit.wait()
            self._commit.clear()
            while self._committed:
                ids = [self._committed.popleft() for _ in range(min(_RPC_IDS, len(self._committed)))]
                try:
                    self._client.acknowledge(self._subscription, ids)
                except grpc.RpcError as error:
                    _LOG.warning("acknowledge to %s: %s", self._subscription, error.code())
                    self._committed.extendleft(reversed(ids))
                    time.sleep(0.5)

    def _extend_forever(self) -> None:
        while True:
            time.sleep(EXTEND_EVERY_S)
            oldest = time.monotonic() - MAX_LEASE_S
            with self._arrived:
                held = [(pulled, message.ack_id) for pulled, message in self._queue]
            held += self._bundles.held()
            ids = [ack_id for pulled, ack_id in held if pulled > oldest]
            self._bundles.forget(oldest)
            for start in range(0, len(ids), _RPC_IDS):
                try:
                    self._client.extend(self._subscription, ids[start : start + _RPC_IDS], ACK_DEADLINE_S)
                except grpc.RpcError as error:
                    _LOG.warning("extend deadline on %s: %s", self._subscription, error.code())


class _Bundles:
    """Which bundle holds which messages, and when they may be acknowledged. No IO."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[object, list[tuple[float, str]]] = {}
        self._once: list[tuple[float, list[tuple[float, str]]]] = []

    def finished(self, token: object, held: list[tuple[float, str]]) -> None:
        with self._lock:
            self._open[token] = held

    def finalize(self, token: object, started: float, now: float) -> list[str]:
        """→ ack ids of bundles whose own finalization came before this bundle `started`."""
        with self._lock:
            ready = [ack_id for moment, held in self._once if moment < started for _, ack_id in held]
            self._once = [(moment, held) for moment, held in self._once if moment >= started]
            held = self._open.pop(token, [])
            if held:
                self._once.append((now, held))
            return ready

    def held(self) -> list[tuple[float, str]]:
        with self._lock:
            return [pair for held in self._open.values() for pair in held] + [
                pair for _, held in self._once for pair in held
            ]

    def forget(self, oldest: float) -> None:
        """Drop bundles pulled before `oldest` and never finalized: Pub/Sub redelivers them."""
        with self._lock:
            self._open = {
                token: held for token, held in self._open.items() if not held or held[0][0] > oldest
            }


class _ShardProvider(RestrictionProvider):
    """A shard is an endless count of messages; it is never split: Pub/Sub itself balances."""

    def initial_restriction(self, element: str) -> OffsetRange:  # noqa: ARG002
        return OffsetRange(0, 2**62)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: str, restriction: OffsetRange) -> int:  # noqa: ARG002
        return 1

    def truncate(self, element: str, restriction: OffsetRange) -> None:  # noqa: ARG002
        return None  # on drain: stop reading


_SHARDS = _ShardProvider()


class _PullDoFn(beam.DoFn):
    """A shard → its messages, a bundle at a time."""

    def __init__(
        self, subscription: str, lane: str, wait_s: float, max_messages: int, max_bytes: int
    ) -> None:
        self._subscription = subscription
        self._lane = lane
        self._wait_s = wait_s
        self._max_messages = max_messages
        self._max_bytes = max_bytes

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        shard: str,  # noqa: ARG002
        finalizer: Any = beam.DoFn.BundleFinalizerParam(),  # must stand before the next two
        tracker: Any = beam.DoFn.RestrictionParam(_SHARDS),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),
    ) -> Iterator[TimestampedValue]:
        lease = Lease.of(self._subscription)
        started = time.monotonic()
        token = object()
        held: list[tuple[float, str]] = []
        position = tracker.current_restriction().start
        size, newest_us = 0, None
        try:
            wait = self._wait_s
            while len(held) < self._max_messages and size < self._max_bytes:
                # Waits only for the first message: an urgent event leaves as soon as it is here.
                batch = lease.take(min(100, self._max_messages - len(held)), wait)
                wait = 0.0
                if not batch:
                    break
                for index, (pulled, received) in enumerate(batch):
                    if not tracker.try_claim(position):
                        lease.give_back(batch[index:])
                        return
                    position += 1
                    held.append((pulled, received.ack_id))  # only what is emitted is ever acknowledged
                    message = received.message
                    publish_us = message.publish_time.ToMicroseconds()
                    size += len(message.data)
                    newest_us = publish_us if newest_us is None else max(newest_us, publish_us)
                    yield TimestampedValue(
                        RawMessage(
                            payload=message.data,
                            attributes=[
                                f"{key}={value}" for key, value in sorted(message.attributes.items())
                            ],
                            message_id=message.message_id,
                            publish_us=publish_us,
                            lane=self._lane,
                        ),
                        Timestamp(micros=publish_us),
                    )
        finally:
            lease.finished(token, held)
            finalizer.register(lambda: lease.finalize(token, started))
        _advance(watermark, newest_us)
        if tracker.try_claim(position):
            tracker.defer_remainder(Duration(0))


def _advance(watermark: Any, newest_us: int | None, lag_us: int = 5_000_000) -> None:
    """Publish-time watermark: five seconds behind the newest message, or behind now when idle."""
    target = Timestamp(micros=(newest_us if newest_us is not None else time.time_ns() // 1000) - lag_us)
    current = watermark.current_watermark()
    if current is None or target > current:
        watermark.set_watermark(target)


class ReadPubSub(beam.PTransform):
    """Pipeline → PCollection[RawMessage] with publish time as timestamp.

    Args:
        subscription: "projects/P/subscriptions/S".
        lane: Written into every message.
        wait_s: How long an empty subscription is watched before the bundle ends: bounds how late a
            checkpoint can start.
        max_messages, max_bytes: A bundle's bounds.
    """

    def __init__(
        self,
        subscription: str,
        lane: str,
        *,
        wait_s: float = 0.5,
        max_messages: int = 1_000,
        max_bytes: int = 16 << 20,
    ) -> None:
        super().__init__()
        self._subscription = subscription
        self._lane = lane
        self._bounds = (wait_s, max_messages, max_bytes)

    def expand(self, root: Any) -> Any:
        return (
            root
            | "Start" >> beam.Impulse()
            | "Pull"
            >> beam.ParDo(_PullDoFn(self._subscription, self._lane, *self._bounds)).with_output_types(
                RawMessage
            )
        )


def _method(channel: grpc.Channel, name: str, response: Any) -> Any:
    return channel.unary_unary(
        f"/google.pubsub.v1.Subscriber/{name}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=response.FromString,
    )
