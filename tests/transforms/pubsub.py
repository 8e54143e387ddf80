"""A subscription in memory: passes the contract of tests/transforms/test_pubsub_client.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from transforms.pubsub_client import PubSubAway, Received


class FakeClock:
    """Seconds and µs that pass only when a test says so."""

    def __init__(self, start_s: float = 1_000.0) -> None:
        self.s = start_s

    def __call__(self) -> float:
        return self.s

    def wall_us(self) -> int:
        return int(self.s * 1e6)

    def advance(self, seconds: float) -> None:
        self.s += seconds


@dataclass
class _Stored:
    message_id: str
    publish_us: int
    attributes: list[str]
    data: bytes
    ack_id: str = ""
    leased_until: float = 0.0


@dataclass
class FakeSubscriber:
    """`transforms.pubsub_client.Subscriber` of one subscription.

    Attributes:
        away: Every call fails.
        acknowledged: Data of what was acknowledged, in order.
    """

    clock: FakeClock
    name: str = "projects/p/subscriptions/s"
    ack_deadline_s: float = 10.0
    away: bool = False
    acknowledged: list[bytes] = field(default_factory=list)
    reconnects: int = 0
    _stored: list[_Stored] = field(default_factory=list)
    _numbers: itertools.count = field(default_factory=itertools.count)

    def publish(self, data: bytes, publish_us: int | None = None, **attributes: str) -> None:
        """Publish at `publish_us`, now if it is not given."""
        pairs = [f"{key}={value}" for key, value in sorted(attributes.items())]
        published = self.clock.wall_us() if publish_us is None else publish_us
        self._stored.append(_Stored(str(next(self._numbers)), published, pairs, data))

    def pull(self, subscription: str, limit: int) -> list[Received]:
        return self.probe(subscription, limit)

    def probe(self, subscription: str, limit: int) -> list[Received]:
        self._check(subscription)
        free = [stored for stored in self._stored if stored.leased_until <= self.clock()]
        for stored in free[:limit]:
            stored.ack_id = f"ack-{next(self._numbers)}"
            stored.leased_until = self.clock() + self.ack_deadline_s
        return [
            Received(one.ack_id, one.message_id, one.publish_us, one.attributes, one.data)
            for one in free[:limit]
        ]

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        self._check(subscription)
        self.acknowledged += [stored.data for stored in self._stored if stored.ack_id in ack_ids]
        self._stored = [stored for stored in self._stored if stored.ack_id not in ack_ids]

    def extend(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        self._check(subscription)
        for stored in self._stored:
            if stored.ack_id in ack_ids:
                stored.leased_until = self.clock() + seconds

    def reconnect(self) -> None:
        self.reconnects += 1

    def _check(self, subscription: str) -> None:
        if self.away:
            raise PubSubAway("UNAVAILABLE: away")
        if subscription != self.name:
            raise PubSubAway(f"NOT_FOUND: {subscription}")
