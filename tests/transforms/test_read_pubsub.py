"""What the runner is asked to do for the source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.runners.common import DoFnSignature

from transforms.lease import Taken
from transforms.pubsub_client import Received
from transforms.read_pubsub import BundleBounds, _PullDoFn, bounds_of


def test_the_runner_is_asked_to_say_when_a_bundle_is_committed() -> None:
    """Else nothing is ever acknowledged, and everything comes again when the lease is given up."""
    pull = _PullDoFn("projects/p/subscriptions/s", "minutes", BundleBounds())
    assert DoFnSignature(pull).has_bundle_finalization()


class Slow:
    """A lease whose messages come every 0.1 s; nobody waits longer than asked."""

    def __init__(self, count: int) -> None:
        self.began = time.monotonic()
        self.left = [Taken(0.0, Received(str(n), str(n), n, [], b"x")) for n in range(count)]
        self.ended: list[Any] = []

    def take(self, _token: object, limit: int, wait_s: float) -> list[Taken]:
        assert limit > 0
        due = self.began + 0.1 * (len(self.ended) + 1)
        until = time.monotonic() + wait_s
        while self.left and time.monotonic() < min(due, until):
            time.sleep(0.005)
        if not self.left or time.monotonic() < due:
            return []
        self.ended.append(self.left[0])
        return [self.left.pop(0)]

    def begin(self, _start: int) -> None: ...
    def give_back(self, _token: object, messages: Any) -> None:
        assert not list(messages)

    def finished(self, bundle: Any) -> bool:
        self.bundle = bundle
        return False

    def watermark_us(self) -> None:
        return None


def _bundle(bounds: BundleBounds, lease: Slow) -> Iterator[Any]:
    pull = _PullDoFn("projects/p/subscriptions/s", "minutes", bounds)
    pull._lease = lease
    tracker = SimpleNamespace(
        current_restriction=lambda: OffsetRange(0, 100),
        try_claim=lambda _: True,
        defer_remainder=lambda _: None,
    )
    return pull.process("shard", finalizer=None, tracker=tracker, watermark=None)


@pytest.mark.parametrize(("linger_s", "least", "most"), [(0.0, 1, 1), (0.35, 2, 5)])
def test_a_bundle_waits_for_more_as_long_as_it_may_linger(linger_s: float, least: int, most: int) -> None:
    lease = Slow(20)
    emitted = list(_bundle(BundleBounds(linger_s=linger_s), lease))
    assert least <= len(emitted) <= most
    assert len(lease.bundle.held) == len(emitted)


def test_an_alarm_waits_for_nothing() -> None:
    assert bounds_of("urgent").linger_s == 0
    assert bounds_of("minutes").linger_s > 0
