"""ReadPubSub: a Pub/Sub subscription → RawMessage, acknowledged only after the runner has committed.

For runners without a native Pub/Sub source (Flink here). One splittable DoFn a shard takes messages
from the prefetching `Lease` of its process; bundle finalization tells the lease what is committed
(transforms/held_bundles.py). A failed bundle's messages are given back at once.
"""

from __future__ import annotations

import collections
import secrets
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from schemas import hearthwatch_v1_pb2 as pb
from schemas.topics import LANE_TOPICS
from transforms.elements import RawMessage
from transforms.held_bundles import Bundle, Held
from transforms.lease import Lease, Taken

_TAKE = 100  # messages at a time
_STRIDE_BITS = 24  # at ten bundles a second the restriction's 2^62 places last for 800 years


class BundleBounds(NamedTuple):
    """When a bundle ends while messages wait.

    Attributes:
        wait_s: How long an empty subscription is watched before the bundle ends: bounds how late a
            checkpoint can start.
        busy_s: How long a bundle goes on while messages wait. After each, Flink idles 0.15 s.
        linger_s: How long a bundle waits for more after its first message: what each bundle costs
            (docs/decisions/042-source-bundles.md) is shared by the messages that come meanwhile.
    """

    wait_s: float = 0.5
    busy_s: float = 1.0
    linger_s: float = 0.0
    max_messages: int = 1_000
    max_bytes: int = 16 << 20


def bounds_of(lane: str) -> BundleBounds:
    """How a lane's bundles end: an alarm leaves at once, minutes wait for others to share the costs."""
    if lane == LANE_TOPICS[pb.LANE_URGENT]:
        return BundleBounds()
    return BundleBounds(busy_s=2.0, linger_s=0.5, max_messages=2_000, max_bytes=48 << 20)


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

    def __init__(self, subscription: str, lane: str, bounds: BundleBounds) -> None:
        self._subscription = subscription
        self._lane = lane
        self._bounds = bounds

    def setup(self) -> None:
        self._lease = Lease.of(self._subscription)
        self._token: object = None

    def teardown(self) -> None:
        # The SDK keeps an instance for its bundle until that is committed. One that is torn down before
        # is the bundle's failure, or the end of the worker.
        self._lease.abandon(self._token)

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        shard: str,  # noqa: ARG002
        # The class: an instance is not replaced by Beam, and what is registered with it is never called.
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(_SHARDS),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),
    ) -> Iterator[TimestampedValue]:
        lease, bounds = self._lease, self._bounds
        started = time.monotonic()
        token = self._token = object()
        held: list[Held] = []
        hand: collections.deque[Taken] = collections.deque()
        start = position = tracker.current_restriction().start
        size, split = 0, False
        lease.begin(start)
        try:
            # For others it waits only while its lane lingers: an urgent event leaves as soon as it is here.
            hand.extend(lease.take(token, _TAKE, bounds.wait_s))
            first = time.monotonic()
            ends, lingers = first + bounds.busy_s, first + bounds.linger_s
            while hand and len(held) < bounds.max_messages and size < bounds.max_bytes:
                if not tracker.try_claim(position):
                    split = True
                    return
                position += 1
                pulled, message = hand.popleft()
                held.append((pulled, message.ack_id))  # only what is emitted is ever acknowledged
                size += len(message.data)
                yield TimestampedValue(
                    RawMessage(
                        payload=message.data,
                        attributes=message.attributes,
                        message_id=message.message_id,
                        publish_us=message.publish_us,
                        lane=self._lane,
                    ),
                    Timestamp(micros=message.publish_us),
                )
                if time.monotonic() > ends:
                    break
                if not hand:
                    hand.extend(lease.take(token, _TAKE, max(0.0, lingers - time.monotonic())))
        finally:
            lease.give_back(token, hand)
            # A place that no other course of events meets by chance: see transforms/held_bundles.py.
            last = position if split else position + secrets.randbits(_STRIDE_BITS)
            if lease.finished(Bundle(token, start, last if split else last + 1, started, held)):
                finalizer.register(lambda: lease.finalize(token))
        _advance(watermark, lease.watermark_us())
        if tracker.try_claim(last):
            tracker.defer_remainder(Duration(0))


def _advance(watermark: Any, target_us: int | None) -> None:
    if target_us is None:
        return
    target = Timestamp(micros=target_us)
    current = watermark.current_watermark()
    if current is None or target > current:
        watermark.set_watermark(target)


class ReadPubSub(beam.PTransform):
    """Pipeline → PCollection[RawMessage] with publish time as timestamp.

    The watermark says: everything published before it was emitted (transforms/publish_frontier.py). It
    stands still while Pub/Sub does not answer.

    Args:
        subscription: "projects/P/subscriptions/S".
        lane: Written into every message.
    """

    def __init__(self, subscription: str, lane: str, bounds: BundleBounds | None = None) -> None:
        super().__init__()
        self._pull = _PullDoFn(subscription, lane, bounds or bounds_of(lane))

    def expand(self, root: Any) -> Any:
        return (
            root | "Start" >> beam.Impulse() | "Pull" >> beam.ParDo(self._pull).with_output_types(RawMessage)
        )
