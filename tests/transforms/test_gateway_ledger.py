"""Interval sets, and which batch speaks for the present."""

from __future__ import annotations

import json
import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.readings import MINUTE_US
from tests.transforms.homes import EPOCH, publish_us, summary
from transforms.gateway_ledger import MAX_EPOCHS, MAX_INTERVALS, Key, Ledger, holes, insert

KEY = Key("gw-home-1", EPOCH)


@given(st.lists(st.integers(1, 60)))
def test_an_interval_set_is_a_set_of_numbers(numbers):
    intervals: list[tuple[int, int]] = []
    fresh = [insert(intervals, n) for n in numbers]

    assert sum(fresh) == len(set(numbers))
    assert [n for low, high in intervals for n in range(low, high + 1)] == sorted(set(numbers))
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(intervals))  # touching intervals are one


@given(st.lists(st.integers(1, 60)), st.integers(1, 60), st.integers(1, 60))
def test_holes_are_exactly_what_is_missing(numbers, first, below):
    intervals: list[tuple[int, int]] = []
    for n in numbers:
        insert(intervals, n)

    missing = [n for low, high in holes(intervals, first, below) for n in range(low, high + 1)]
    assert missing == sorted(set(range(first, below)) - set(numbers))


def test_a_batch_that_came_before_changes_nothing():
    ledger = Ledger()
    ledger.take(summary(1, 0))
    before = ledger.plain()

    assert ledger.take(summary(1, 0, arming_mode="disarmed")) == (False, False, None)
    assert ledger.plain() == before


def test_an_overtaken_batch_is_counted_but_does_not_speak_for_the_present():
    ledger = Ledger()
    ledger.take(summary(9, 8, arming_mode="disarmed", oldest_unsent_seq=1))

    taken = ledger.take(summary(4, 3, arming_mode="away"))

    assert (taken.new, taken.newest) == (True, False)
    assert ledger.present is not None
    assert ledger.present.mode == "disarmed"


@given(st.permutations(range(1, 9)))
def test_the_present_does_not_depend_on_the_order_of_arrival(order):
    ledger, in_order = Ledger(), Ledger()
    for seq in order:
        ledger.take(summary(seq, seq, arming_mode=("away", "disarmed")[seq % 2]))
    for seq in range(1, 9):
        in_order.take(summary(seq, seq, arming_mode=("away", "disarmed")[seq % 2]))

    assert ledger.present == in_order.present


def test_a_new_epoch_takes_over_and_an_older_one_cannot_come_back():
    ledger = Ledger()
    ledger.take(summary(50, 10, epoch="aa" * 16))

    assert ledger.take(summary(1, 11, epoch="bb" * 16)).newest
    assert not ledger.take(summary(51, 9, epoch="aa" * 16)).newest


def test_an_unknown_epoch_with_a_clock_nobody_trusts_does_not_take_over():
    ledger = Ledger()
    ledger.take(summary(50, 10, epoch="aa" * 16))

    assert not ledger.take(summary(1, 11, epoch="bb" * 16, clock_suspect=True)).newest


def test_a_clock_a_day_ahead_does_not_shut_out_the_next_epoch():
    ledger = Ledger()
    ahead_us = publish_us(10) + 24 * 60 * MINUTE_US
    ledger.take(summary(50, 10, epoch="aa" * 16, created_us=ahead_us, clock_suspect=True))

    assert ledger.take(summary(1, 11, epoch="bb" * 16)).newest


def test_a_hole_shows_once_the_gateway_no_longer_holds_it_and_closes_when_it_comes():
    ledger = Ledger()
    ledger.take(summary(1, 0))

    assert ledger.take(summary(4, 3, oldest_unsent_seq=2)).holes is None  # 2 and 3 are still in its outbox
    assert ledger.take(summary(5, 4, oldest_unsent_seq=4)).holes == [(2, 3)]
    assert ledger.take(summary(6, 5, oldest_unsent_seq=6)).holes is None  # no news
    assert ledger.take(summary(3, 2)).holes == [(2, 2)]
    assert ledger.take(summary(2, 1)).holes == []


def gap(first: int, last: int, reason: str = "outbox full", epoch: str = EPOCH) -> str:
    return json.dumps([[epoch, first, last, reason, 7, 8]])


def test_a_hole_tells_its_time_and_what_the_gateway_says_of_it():
    ledger = Ledger()
    for seq in (1, 2):
        ledger.take(summary(seq, seq))
    ledger.take(summary(9, 9, oldest_unsent_seq=9, gaps=gap(5, 6)))

    written = [publish_us(minute, 0.5) for minute in (2, 9)]
    assert ledger.touched == {KEY}
    assert ledger.holes(KEY) == [(3, 4, "", *written), (5, 6, "outbox full", 7, 8), (7, 8, "", *written)]


def test_a_declaration_that_comes_after_the_hole_explains_it():
    ledger = Ledger()
    ledger.take(summary(1, 1))
    ledger.take(summary(4, 4, oldest_unsent_seq=4))
    assert [hole.reason for hole in ledger.holes(KEY)] == [""]
    ledger.take(summary(5, 5, oldest_unsent_seq=5, gaps=gap(2, 3)))
    assert ledger.touched == {KEY}
    assert [hole[:3] for hole in ledger.holes(KEY)] == [(2, 3, "outbox full")]
    ledger.take(summary(6, 6, oldest_unsent_seq=6, gaps=gap(2, 3)))
    assert ledger.touched == set()


def test_an_epoch_that_ended_misses_its_last_batches_until_they_come():
    """The next epoch names the one before it and how far that one got."""
    ledger = Ledger()
    old = Key("gw-home-1", "aa" * 16)
    ledger.take(summary(5, 5, epoch=old.epoch))
    ledger.take(summary(1, 9, epoch="bb" * 16, previous_epoch=old.epoch, previous_head_seq=7))
    assert ledger.touched == {old}
    assert ledger.holes(old) == [(6, 7, "", publish_us(5, 0.5), 0)]
    for seq in (6, 7):
        ledger.take(summary(seq, seq, epoch=old.epoch))
    assert ledger.holes(old) == []


def test_state_of_before_the_times_of_holes_is_still_read():
    ledger = Ledger()
    ledger.take(summary(1, 0))
    epochs, present = ledger.plain()
    assert Ledger.of_plain((tuple(epoch[:6] for epoch in epochs), present)).present == ledger.present


def test_what_was_sent_before_the_ledger_began_is_not_missed():
    assert Ledger().take(summary(5000, 1, oldest_unsent_seq=4999)).holes is None


def test_the_ledger_is_bounded_in_holes_and_epochs():
    ledger = Ledger()
    for seq in random.Random(1).sample(range(1, 2000, 2), 500):
        ledger.take(summary(seq, 1, oldest_unsent_seq=1))
    (epoch,) = ledger.epochs.values()
    assert len(epoch.intervals) <= MAX_INTERVALS

    for number in range(3 * MAX_EPOCHS):
        ledger.take(summary(1, 2 + number, epoch=f"{number:032x}"))
    assert len(ledger.epochs) == MAX_EPOCHS


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.sampled_from(["aa" * 16, "bb" * 16]))))
def test_a_ledger_survives_its_codec(batches):
    ledger = Ledger()
    for seq, minute, epoch in batches:
        ledger.take(summary(seq, minute, epoch=epoch))

    assert Ledger.of_plain(ledger.plain()) == ledger
