"""A lease on a subscription in memory: nothing lost, nothing hoarded, nothing acknowledged early."""

from __future__ import annotations

import pytest

from tests.transforms.pubsub import FakeClock, FakeSubscriber
from transforms.held_bundles import Bundle
from transforms.lease import ACK_DEADLINE_S, EXTEND_EVERY_S, IDLE_S, MAX_LEASE_S, FlowLimits, Lease
from transforms.publish_frontier import SLACK_US
from transforms.pubsub_client import PubSubAway


class Bench:
    """A lease, its subscription and its clock."""

    def __init__(self, **limits: int) -> None:
        self.clock = FakeClock()
        self.service = FakeSubscriber(self.clock)
        self.place = 0
        self.lease = self.new_lease(**limits)

    def new_lease(self, **limits: int) -> Lease:
        return Lease(self.service.name, self.service, FlowLimits(**limits), self.clock, self.clock.wall_us)

    def publish(self, *data: bytes) -> None:
        for one in data:
            self.service.publish(one)

    def emit(self, token: object, limit: int = 100) -> list[bytes]:
        """A bundle takes what is there and emits it."""
        started = self.clock()
        self.lease.begin(self.place)
        taken = self.lease.take(token, limit, 0.0)
        self.lease.give_back(token, [])
        start, self.place = self.place, self.place + len(taken) + 1
        held = [(one.pulled, one.message.ack_id) for one in taken]
        self.asked = self.lease.finished(Bundle(token, start, self.place, started, held))
        return [one.message.data for one in taken]

    def commit(self, token: object) -> None:
        self.clock.advance(1)
        self.lease.finalize(token)
        self.lease.settle_once()
        self.clock.advance(1)

    def live(self, seconds: float) -> None:
        """Time passes with the extending thread at work, and a bundle asking now and then."""
        ends = self.clock() + seconds
        while self.clock() < ends:
            self.clock.advance(min(EXTEND_EVERY_S, ends - self.clock()))
            self.lease.take(object(), 0, 0.0)
            self.lease.extend_once()


def test_a_message_is_acknowledged_only_by_the_commit_of_a_later_bundle() -> None:
    bench = Bench()
    bench.publish(b"a")
    bench.lease.pull_once()
    assert bench.emit("first") == [b"a"]
    assert bench.asked
    bench.commit("first")
    assert bench.service.acknowledged == []
    bench.emit("second")
    assert bench.asked
    bench.commit("second")
    assert bench.service.acknowledged == [b"a"]
    bench.emit("third")
    assert not bench.asked


def test_what_the_engine_undid_is_given_back_at_once() -> None:
    bench = Bench()
    bench.publish(b"a")
    bench.lease.pull_once()
    bench.emit("first")
    bench.commit("first")
    bench.place = 0  # back to the checkpoint before
    assert bench.emit("again") == []
    bench.lease.settle_once()
    bench.lease.pull_once()
    assert bench.emit("retry") == [b"a"]
    assert bench.service.acknowledged == []


def test_what_is_queued_or_emitted_is_not_redelivered_while_it_is_worked_on() -> None:
    bench = Bench()
    bench.publish(b"queued", b"emitted")
    bench.lease.pull_once()
    bench.emit("one", limit=1)
    bench.live(MAX_LEASE_S - EXTEND_EVERY_S)
    assert bench.service.probe(bench.service.name, 10) == []


def test_a_lease_ends_in_time_even_if_nobody_says_what_became_of_its_bundle() -> None:
    bench = Bench()
    bench.publish(b"a")
    bench.lease.pull_once()
    bench.emit("silent")
    bench.live(MAX_LEASE_S + ACK_DEADLINE_S + EXTEND_EVERY_S)
    assert [one.data for one in bench.service.probe(bench.service.name, 10)] == [b"a"]


def test_a_failed_bundle_is_given_back_at_once() -> None:
    bench = Bench()
    bench.publish(b"a")
    bench.lease.pull_once()
    bench.emit("failed")
    bench.lease.abandon("failed")
    bench.lease.settle_once()
    bench.lease.pull_once()
    assert bench.emit("retry") == [b"a"]


def test_a_queue_that_nobody_asks_for_is_given_back() -> None:
    bench = Bench()
    bench.publish(b"a")
    bench.lease.pull_once()
    bench.clock.advance(IDLE_S + 1)
    bench.lease.extend_once()
    bench.lease.settle_once()
    assert [one.data for one in bench.service.probe(bench.service.name, 10)] == [b"a"]
    bench.publish(b"b")
    bench.lease.pull_once()
    assert bench.emit("late") == [], "nothing is fetched for a job that has gone"


def test_messages_that_a_bundle_gave_back_are_taken_again_in_their_order() -> None:
    bench = Bench()
    bench.publish(b"a", b"b", b"c")
    bench.lease.pull_once()
    taken = bench.lease.take("one", 2, 0.0)
    bench.lease.give_back("one", taken[1:])
    assert bench.emit("two") == [b"b", b"c"]


@pytest.mark.parametrize(
    ("limits", "pulled"),
    [({"queued_messages": 1}, 3), ({"queued_bytes": 10}, 3), ({}, 6)],
    ids=["messages", "bytes", "no limit reached"],
)
def test_at_a_limit_nothing_more_is_pulled(limits: dict[str, int], pulled: int) -> None:
    bench = Bench(**limits)
    bench.publish(*[bytes(10)] * 3)
    bench.lease.pull_once()
    bench.publish(*[bytes(10)] * 3)
    bench.lease.pull_once()
    assert len(bench.emit("all")) == pulled


def test_what_is_emitted_and_not_acknowledged_is_limited_too() -> None:
    bench = Bench(held_messages=2)
    bench.publish(b"a", b"b")
    bench.lease.pull_once()
    bench.emit("one")
    bench.publish(b"c")
    bench.lease.pull_once()
    assert bench.emit("two") == []
    bench.lease.abandon("one")
    bench.lease.settle_once()
    bench.lease.pull_once()
    assert set(bench.emit("three")) == {b"a", b"b", b"c"}


def test_the_watermark_stays_behind_what_is_queued_and_what_another_bundle_has_in_hand() -> None:
    bench = Bench()
    bench.clock.advance(ACK_DEADLINE_S)
    bench.publish(b"a", b"b")
    oldest_us = bench.clock.wall_us()
    bench.clock.advance(20)
    bench.lease.take("asks", 0, 0.0)
    bench.lease.pull_once()
    bench.lease.probe_once()
    assert bench.lease.watermark_us() == oldest_us - SLACK_US
    hand = bench.lease.take("other shard", 2, 0.0)
    assert bench.lease.watermark_us() == oldest_us - SLACK_US
    bench.lease.give_back("other shard", [])
    held = [(one.pulled, one.message.ack_id) for one in hand]
    bench.lease.finished(Bundle("other shard", 0, 3, bench.clock(), held))
    assert bench.lease.watermark_us() == bench.clock.wall_us() - SLACK_US


def test_the_watermark_stands_while_pub_sub_is_away() -> None:
    bench = Bench()
    bench.clock.advance(ACK_DEADLINE_S)
    bench.lease.take("asks", 0, 0.0)
    bench.lease.probe_once()
    seen_us = bench.lease.watermark_us()
    bench.service.away = True
    for _ in range(100):
        bench.clock.advance(1)
        bench.lease.take("asks", 0, 0.0)
        with pytest.raises(PubSubAway):
            bench.lease.probe_once()
        assert bench.lease.watermark_us() == seen_us
    bench.service.away = False
    bench.lease.probe_once()
    assert bench.lease.watermark_us() == bench.clock.wall_us() - SLACK_US


def test_messages_out_with_a_worker_that_died_hold_the_watermark_of_the_next() -> None:
    """They are invisible until their lease is over: an empty answer before that proves nothing."""
    bench = Bench()
    bench.service.ack_deadline_s = ACK_DEADLINE_S
    bench.publish(b"a")
    lost_us = bench.clock.wall_us()
    bench.lease.pull_once()
    bench.lease = bench.new_lease()
    while not bench.emit(object()):
        assert (bench.lease.watermark_us() or 0) < lost_us
        bench.clock.advance(1)
        bench.lease.take("asks", 0, 0.0)
        bench.lease.probe_once()
    bench.clock.advance(1)
    bench.lease.probe_once()
    assert (bench.lease.watermark_us() or 0) > lost_us


def test_a_connection_without_answers_is_left() -> None:
    bench = Bench()
    bench.service.away = True
    for _ in range(2):
        with pytest.raises(PubSubAway):
            bench.lease.probe_once()
    assert bench.service.reconnects == 1
