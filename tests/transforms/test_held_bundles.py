"""When a message may be acknowledged: never before a later bundle's commit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transforms.held_bundles import HeldBundles


def test_a_bundle_is_acknowledged_by_one_that_started_after_its_finalization() -> None:
    bundles = HeldBundles()
    bundles.finished("first", [(0.0, "a"), (0.0, "b")])
    bundles.finished("beside", [(0.0, "c")])
    assert bundles.finalize("first", started=1.0, now=5.0) == []
    # Began before the first was finalized: its commit may be of the same checkpoint.
    assert bundles.finalize("beside", started=2.0, now=5.1) == []
    assert bundles.finalize("later", started=6.0, now=9.0) == ["a", "b", "c"]
    assert bundles.held() == []


def test_what_is_not_acknowledged_is_held_and_so_kept_from_redelivery() -> None:
    bundles = HeldBundles()
    bundles.finished("first", [(0.0, "a")])
    assert bundles.held() == [(0.0, "a")]
    bundles.finalize("first", started=1.0, now=2.0)
    assert bundles.held() == [(0.0, "a")]


def test_a_bundle_that_never_finished_is_given_up_in_time() -> None:
    bundles = HeldBundles()
    bundles.finished("failed", [(10.0, "a")])
    bundles.forget(oldest=9.0)
    assert bundles.held() == [(10.0, "a")]
    bundles.forget(oldest=11.0)
    assert bundles.held() == []


@given(
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, 20)), max_size=30),
)
def test_nothing_is_acknowledged_twice_or_before_two_finalizations(steps: list[tuple[int, int, int]]) -> None:
    bundles, acknowledged, finalizations, now = HeldBundles(), [], {}, 0.0
    for number in range(6):
        bundles.finished(number, [(0.0, str(number))])
    for number, before, wait in steps:
        now += wait + 1
        started = max(0.0, now - before)
        ready = bundles.finalize(number, started=started, now=now)
        for ack_id in ready:
            assert finalizations[int(ack_id)] < started
        acknowledged += ready
        finalizations.setdefault(number, now)
    assert len(acknowledged) == len(set(acknowledged))


def test_a_failed_bundle_gives_up_its_messages_unless_it_was_committed() -> None:
    bundles = HeldBundles()
    bundles.finished("failed", [(0.0, "a")])
    bundles.finished("committed", [(0.0, "b")])
    bundles.finalize("committed", started=1.0, now=2.0)
    assert bundles.abandon("failed") == ["a"]
    assert bundles.abandon("committed") == []
    assert bundles.held() == [(0.0, "b")]
    assert bundles.count() == 1
