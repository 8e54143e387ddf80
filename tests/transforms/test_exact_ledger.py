"""The exact ledger: against a count by hand of single numbers, in any order of the archive's parts."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.exact_ledger import Hole, LedgerRow, ledger
from transforms.ledger_accounts import (
    DAY_US,
    Account,
    Declared,
    Fact,
    Run,
    account_of,
    join_runs,
    merge,
    of_plain,
    plain,
)

MINUTE_US = 60_000_000
DAY = 20_000
DAY0_US = DAY * DAY_US
OLD, NEW = "0a" * 16, "0b" * 16


def fact(seq: int, minute: float | None = None, *, epoch: str = OLD, **fields: object) -> Fact:
    """A message that was written at `minute` of the first day, when nothing older was held."""
    written_us = DAY0_US + int((seq if minute is None else minute) * MINUTE_US)
    values = {"oldest_unsent_seq": seq, "head_seq": seq, "content": f"{epoch[:2]}-{seq}"}
    return Fact(epoch, seq, written_us, **{**values, **fields})


def rows(*facts: Fact, **options: object) -> list[LedgerRow]:
    return ledger("home-1", "gw-1", account_of(facts), **options)


def total(found: list[LedgerRow], kind: str) -> int:
    return sum(getattr(row, kind) for row in found)


def test_a_number_below_the_oldest_unsent_that_never_came_is_a_hole_with_its_times() -> None:
    (row,) = rows(fact(1), fact(2), fact(5))
    assert (row.day, row.expected, row.received, row.declared, row.unexplained) == (DAY, 5, 3, 0, 2)
    assert row.holes == (Hole(OLD, 3, 4, DAY0_US + 2 * MINUTE_US, DAY0_US + 5 * MINUTE_US),)


def test_what_the_gateway_still_holds_is_pending_and_not_missed() -> None:
    (row,) = rows(fact(1), fact(6, oldest_unsent_seq=2))
    assert (row.expected, row.received, row.unexplained, row.pending) == (2, 2, 0, 4)


def test_a_declared_gap_explains_what_it_covers_and_no_more() -> None:
    gap = Declared(3, 4, 1, DAY0_US, DAY0_US)
    (row,) = rows(fact(1), fact(2), fact(6, gaps=((OLD, gap),)))
    assert (row.expected, row.received, row.declared, row.unexplained) == (6, 3, 2, 1)
    assert row.gaps == ((OLD, gap),)
    assert [(hole.first, hole.last) for hole in row.holes] == [(5, 5)]


def test_what_was_declared_lost_but_came_is_received() -> None:
    (row,) = rows(fact(1), fact(2), fact(3, gaps=((OLD, Declared(2, 2, 1, 0, 0)),)))
    assert (row.expected, row.received, row.declared, row.unexplained) == (3, 3, 0, 0)


def test_the_head_of_an_ended_epoch_is_missed_once_its_backlog_had_time_to_come() -> None:
    known = [fact(1), fact(2), fact(1, 20, epoch=NEW, previous=(OLD, 4))]
    assert [(row.unexplained, row.pending) for row in rows(*known)] == [(0, 2)]
    later = rows(*known, fact(2, 20 + 6 * 60, epoch=NEW))
    assert [(row.expected, row.unexplained, row.pending) for row in later] == [(6, 2, 0)]
    assert [(hole.epoch, hole.first, hole.last) for hole in later[0].holes] == [(OLD, 3, 4)]


def test_a_hole_over_midnight_is_divided_between_its_days() -> None:
    found = rows(fact(1, 0), fact(2, 1439), fact(2 + 10, 1450))
    assert [(row.day - DAY, row.received, row.unexplained) for row in found] == [(0, 2, 0), (1, 1, 9)]
    earlier = rows(fact(1, 1400), fact(82, 1481))
    assert [(row.day - DAY, row.expected, row.unexplained) for row in earlier] == [(0, 40, 39), (1, 42, 41)]


def test_a_clock_that_was_set_back_loses_no_number() -> None:
    found = rows(fact(1, 3000), fact(9, 5))
    assert (total(found, "expected"), total(found, "received"), total(found, "unexplained")) == (9, 2, 7)


def test_two_contents_of_one_identity_are_a_conflict_and_one_received_number() -> None:
    (row,) = rows(fact(1), fact(2, content="a"), fact(2, content="b", rivals=("a",)))
    assert (row.expected, row.received, row.duplicate, row.conflicts) == (2, 2, 0, 1)


def test_two_epochs_written_at_once_are_two_gateways_and_a_restart_is_not() -> None:
    twins = [fact(seq, minute=seq, epoch=epoch) for seq in range(1, 30) for epoch in (OLD, NEW)]
    assert total(rows(*twins), "concurrent_epochs") == 1
    restart = [fact(1), fact(2), fact(1, 3, epoch=NEW, previous=(OLD, 2))]
    assert total(rows(*restart), "concurrent_epochs") == 0


def test_an_account_that_begins_in_the_middle_does_not_miss_what_came_before() -> None:
    (row,) = rows(fact(500, 1), fact(502, 2), from_start=False)
    assert (row.expected, row.received, row.unexplained) == (3, 2, 1)


def test_an_absurd_head_costs_no_memory() -> None:
    (row,) = rows(fact(1), fact(2, oldest_unsent_seq=1 << 62, head_seq=1 << 62))
    assert row.expected == (1 << 62) - 1 == row.received + row.unexplained


class World(NamedTuple):
    """What happened, number by number: the oracle's view."""

    facts: list[Fact]
    received: set[tuple[str, int]]
    declared: set[tuple[str, int]]
    expected: set[tuple[str, int]]
    copies: int


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A gateway that writes, loses, declares, repeats and restarts."""
    facts: list[Fact] = []
    received, declared, expected = set(), set(), set()
    copies, minute = 0, 1.0
    previous = None
    for epoch in ("0a" * 16, "0b" * 16, "0c" * 16)[: draw(st.integers(1, 3))]:
        fates = draw(st.lists(st.sampled_from("rrrrlldc"), min_size=1, max_size=25))
        known_gaps: list[Declared] = []
        for seq, fate in enumerate(fates, 1):
            minute += draw(st.sampled_from((1, 1, 1, 400)))
            if fate == "d":
                known_gaps.append(Declared(seq, seq, 1, 0, 0))
            if fate not in "rc":
                continue
            gaps = tuple((epoch, gap) for gap in known_gaps)
            declared |= {(epoch, gap.first) for gap in known_gaps}
            made = fact(seq, minute, epoch=epoch, gaps=gaps, previous=previous)
            facts += [made] + [made._replace(copy=True)] * (fate == "c")
            copies += fate == "c"
            received.add((epoch, seq))
            expected |= {(epoch, number) for number in range(1, seq + 1)}
            if previous:
                expected |= {(previous[0], number) for number in range(1, previous[1] + 1)}
        previous = (epoch, len(fates))
    return World(facts, received, declared - received, expected, copies)


@given(worlds(), st.integers(0, 1000))
def test_the_ledger_equals_a_count_of_single_numbers_in_any_order(world: World, seed: int) -> None:
    chance = random.Random(seed)
    shuffled = world.facts[:]
    chance.shuffle(shuffled)
    cuts = sorted(chance.randint(0, len(shuffled)) for _ in range(3))
    parts = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    merged = merge(of_plain(plain(account_of(part))) for part in parts)
    found = ledger("home-1", "gw-1", merged, settle_us=0)

    assert found == ledger("home-1", "gw-1", account_of(world.facts), settle_us=0)
    assert all(row.expected == row.received + row.declared + row.unexplained for row in found)
    counted = Counter()
    for row in found:
        counted.update(
            row._asdict() | {"holes": 0, "gaps": 0, "bulk_missing": 0, "home_id": 0, "gateway_id": 0}
        )
        assert row.unexplained == sum(hole.last - hole.first + 1 for hole in row.holes)
    missing = {(h.epoch, number) for row in found for h in row.holes for number in range(h.first, h.last + 1)}
    assert missing == world.expected - world.received - world.declared
    assert counted["received"] == len(world.received)
    assert counted["declared"] == len(world.declared)
    assert counted["expected"] == len(world.expected)
    assert counted["duplicate"] == world.copies


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9), st.integers(0, 99), st.integers(0, 99))))
def test_runs_join_the_same_in_any_grouping(spans: list[tuple[int, int, int, int]]) -> None:
    runs = [Run(first, first + length, a, b) for first, length, a, b in spans]
    half = len(runs) // 2
    assert join_runs(runs) == join_runs([*join_runs(runs[half:]), *join_runs(runs[:half])])


@pytest.mark.parametrize("account", [{}, account_of([fact(1, previous=(NEW, 3))])], ids=["empty", "linked"])
def test_an_account_survives_its_file(account: Account) -> None:
    assert of_plain(plain(account)) == account
