"""The bound of the watermark: it never runs ahead of what was not delivered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.publish_frontier import RECENT_S, SLACK_US, PublishFrontier

LEASE_S = 30.0


def _at(seconds: float) -> int:
    return int(seconds * 1e6)


def _trusted(now: float = 100.0) -> PublishFrontier:
    return PublishFrontier(LEASE_S, now - LEASE_S)


def test_nothing_is_said_before_anything_was_heard() -> None:
    assert _trusted().bound_us(None, 100.0) is None


def test_an_idle_subscription_is_seen_up_to_its_last_empty_answer() -> None:
    frontier = _trusted()
    frontier.empty(_at(100), 100.0)
    assert frontier.bound_us(None, 100.0) == _at(100) - SLACK_US
    assert frontier.bound_us(None, 160.0) == _at(100) - SLACK_US, "time alone proves nothing"


def test_while_pub_sub_is_away_the_bound_stands_still() -> None:
    frontier = _trusted()
    frontier.empty(_at(100), 100.0)
    for now in range(101, 400):
        frontier.failed()
        assert frontier.bound_us(None, float(now)) == _at(100) - SLACK_US


def test_a_message_that_waits_holds_the_bound() -> None:
    frontier = _trusted()
    frontier.empty(_at(100), 100.0)
    assert frontier.bound_us(_at(60), 100.0) == _at(60) - SLACK_US


def test_empty_answers_after_a_start_say_nothing_until_lost_leases_are_over() -> None:
    frontier = PublishFrontier(LEASE_S, 100.0)
    frontier.empty(_at(129), 129.0)
    assert frontier.bound_us(None, 129.0) is None
    frontier.empty(_at(130), 130.0)
    assert frontier.bound_us(None, 130.0) == _at(130) - SLACK_US


def test_after_a_failed_bundle_the_bound_stays_until_its_messages_are_back() -> None:
    frontier = _trusted()
    frontier.empty(_at(100), 100.0)
    frontier.distrust(101.0)
    frontier.empty(_at(110), 110.0)
    assert frontier.bound_us(None, 110.0) == _at(100) - SLACK_US


def test_a_backlog_is_followed_by_its_oldest_not_by_its_newest() -> None:
    """After an outage Pub/Sub mixes what is new with an hour-old backlog."""
    frontier = _trusted(4_000.0)
    for second in range(30):
        now = 4_000.0 + second
        frontier.pulled(_at(400 + second), now)  # the oldest of an answer
        frontier.pulled(_at(now), now)  # an answer with only fresh ones
    bound = frontier.bound_us(None, 4_029.0)
    assert bound == pytest.approx(_at(400 + 29 - RECENT_S) - SLACK_US, abs=1e6)


def test_the_first_seconds_of_a_backlog_do_not_move_the_bound() -> None:
    frontier = _trusted()
    frontier.pulled(_at(99), 100.0)
    assert frontier.bound_us(None, 100.0) is None
    frontier.pulled(_at(99.5), 100.0 + RECENT_S / 2)
    assert frontier.bound_us(None, 100.0 + RECENT_S / 2) is None


def test_an_interrupted_backlog_must_be_watched_anew() -> None:
    frontier = _trusted()
    for second in range(15):
        frontier.pulled(_at(50 + second), 100.0 + second)
    frontier.failed()
    frontier.pulled(_at(120), 121.0)
    assert frontier.bound_us(None, 121.0) is None


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["publish", "pull", "probe", "away", "emit"]), st.floats(0.0, 9.0)),
        max_size=60,
    )
)
def test_nothing_undelivered_is_older_than_the_bound(steps: list[tuple[str, float]]) -> None:
    """A service that delivers in order, asked at random moments, with random outages."""
    frontier, now = _trusted(), 100.0
    waiting: list[float] = []
    hand: list[float] = []
    for what, pause in steps:
        now += pause
        if what == "publish":
            waiting.append(now)
        elif what == "away":
            frontier.failed()
        elif what == "emit":
            hand = hand[1:]
        elif waiting:
            hand.append(waiting[0])
            frontier.pulled(_at(waiting.pop(0)), now)
        else:
            frontier.empty(_at(now), now)
        bound = frontier.bound_us(_at(hand[0]) if hand else None, now)
        if bound is not None:
            assert all(_at(moment) > bound for moment in waiting + hand)
