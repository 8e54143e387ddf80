"""The exact ledger: what each gateway numbered, what came, what it declared lost, and what is missing.

It is made in batch from the archived objects themselves, and only from envelopes whose signature was
checked: a forged header makes no hole. Accounts of any parts of the archive can be merged in any order.

A number belongs to the day (UTC) on which its gateway wrote it; that of a missing number is
interpolated between its neighbours. A number is expected once the gateway says that it holds nothing
older (`oldest_unsent_seq`), or a later epoch names it as the head of an epoch that ended. What the
gateway still holds is `pending` and not expected. Always: expected = received + declared + unexplained.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from transforms.intervals import Interval, common, minus, size, union
from transforms.ledger_accounts import DAY_US, Account, Declared, EpochAccount, Run, join_runs

# A gateway that started a new epoch still sends what it holds of the one before: wait before missing it.
SETTLE_US: Final = 6 * 3_600_000_000
# Two epochs of one gateway that were written at the same time are two gateways; clocks may step a little.
OVERLAP_US: Final = 600_000_000


class Hole(NamedTuple):
    """Missing numbers. `after_us`, `before_us`: when their received neighbours were written, 0: none."""

    epoch: str
    first: int
    last: int
    after_us: int
    before_us: int


class LedgerRow(NamedTuple):
    """A gateway's day (days since 1970). expected = received + declared + unexplained.

    Attributes:
        duplicate: Messages that were there already.
        pending: Numbers that the gateway still holds, on its newest day.
        conflicts: Numbers that came with several different, validly signed contents.
        concurrent_epochs: Epochs that were written while another was: two gateways share an identity.
        holes: The unexplained, by time.
    """

    home_id: str
    gateway_id: str
    day: int
    expected: int
    received: int
    duplicate: int
    declared: int
    unexplained: int
    pending: int
    conflicts: int
    concurrent_epochs: int
    holes: tuple[Hole, ...]
    gaps: tuple[tuple[str, Declared], ...]
    bulk_missing: tuple[str, ...]


@dataclass
class _Day:
    counts: Counter[str] = field(default_factory=Counter)
    holes: list[Hole] = field(default_factory=list)
    gaps: list[tuple[str, Declared]] = field(default_factory=list)
    bulk_missing: list[str] = field(default_factory=list)


def ledger(
    home_id: str,
    gateway_id: str,
    account: Account,
    *,
    from_start: bool = True,
    settle_us: int = SETTLE_US,
) -> list[LedgerRow]:
    """A gateway's whole account → a row for each day, oldest first.

    Args:
        from_start: The account covers the archive from its beginning. False: what an epoch sent before
            it was first heard of is not missed.
        settle_us: How long after a new epoch began the rest of the one before may still come.
    """
    days: dict[int, _Day] = defaultdict(_Day)
    newest_us = max((epoch.last_us for epoch in account.values()), default=0)
    for name, epoch in sorted(account.items()):
        _enter(days, name, epoch, from_start, newest_us - epoch.ended_us >= settle_us)
    for epoch in _concurrent(account):
        days[epoch.first_us // DAY_US].counts["concurrent_epochs"] += 1
    return [
        LedgerRow(
            home_id,
            gateway_id,
            day,
            **{kind: found.counts[kind] for kind in COUNTS},
            holes=tuple(sorted(found.holes, key=lambda hole: (hole.after_us, hole))),
            gaps=tuple(sorted(found.gaps)),
            bulk_missing=tuple(sorted(found.bulk_missing)),
        )
        for day, found in sorted(days.items())
    ]


COUNTS: Final = (
    "expected",
    "received",
    "duplicate",
    "declared",
    "unexplained",
    "pending",
    "conflicts",
    "concurrent_epochs",
)


def _enter(days: dict[int, _Day], name: str, epoch: EpochAccount, from_start: bool, settled: bool) -> None:
    """Count one epoch."""
    received: list[Interval] = []
    for day, runs in sorted(epoch.received.items()):
        own = minus([(run.first, run.last) for run in runs], received)
        received = union([*received, *own])
        days[day].counts["received"] += size(own)
        days[day].counts["expected"] += size(own)
        claimed = [(seq, seq) for seq in sorted(epoch.conflicts)]
        days[day].counts["conflicts"] += size(common(own, claimed))
    for day, copies in epoch.copies.items():
        days[day].counts["duplicate"] += copies
    for day, missing_object in epoch.bulk_missing:
        days[day].bulk_missing.append(missing_object)

    declared = minus(union((gap.first, gap.last) for gap in epoch.gaps), received)
    top = max(epoch.unsent - 1, epoch.ended if settled else 0)
    floor = 1 if from_start else (received[0][0] if received else top + 1)
    wanted = [(floor, top)] if floor <= top else []
    known = union([*wanted, *received, *declared])
    timeline = join_runs(itertools.chain.from_iterable(epoch.received.values()))
    for hole in _holes(name, minus(known, received), timeline):
        for day, piece in _by_day(hole, epoch.ended_us or epoch.last_us):
            lost = common([piece], declared)
            rest = minus([piece], declared)
            days[day].counts["expected"] += size([piece])
            days[day].counts["declared"] += size(lost)
            days[day].counts["unexplained"] += size(rest)
            days[day].holes += [hole._replace(first=first, last=last) for first, last in rest]
            if lost:
                days[day].gaps += [(name, gap) for gap in epoch.gaps if common([(gap.first, gap.last)], lost)]
    held = (
        minus([(top + 1, max(epoch.head, epoch.ended))], known) if max(epoch.head, epoch.ended) > top else []
    )
    if held:
        days[(epoch.last_us or epoch.ended_us) // DAY_US].counts["pending"] += size(held)


def _holes(name: str, missing: list[Interval], timeline: list[Run]) -> Iterator[Hole]:
    """Missing intervals with the times of their received neighbours."""
    firsts = [run.first for run in timeline]
    for first, last in missing:
        at = bisect.bisect_right(firsts, first)
        after_us = timeline[at - 1].last_us if at else 0
        before_us = timeline[at].first_us if at < len(timeline) else 0
        yield Hole(name, first, last, after_us, before_us)


def _by_day(hole: Hole, otherwise_us: int) -> Iterator[tuple[int, Interval]]:
    """A hole cut at midnight, its numbers spread evenly between its neighbours."""
    end_us = hole.before_us or max(otherwise_us, hole.after_us)
    start_us = min(hole.after_us or end_us, end_us)  # a clock that was set back: all on the later's day
    count = hole.last - hole.first + 2

    def written_us(seq: int) -> int:
        return start_us + (end_us - start_us) * (seq - hole.first + 1) // count

    at = hole.first
    while at <= hole.last:
        day = written_us(at) // DAY_US
        numbers = range(at, hole.last + 1)
        after = at + bisect.bisect_left(numbers, (day + 1) * DAY_US, key=written_us)
        yield day, (at, after - 1)
        at = after


def _concurrent(account: Account) -> list[EpochAccount]:
    """Epochs that began while an earlier one was still being written."""
    found = []
    until_us = 0
    for epoch in sorted(account.values(), key=lambda e: (e.first_us, e.last_us)):
        if not epoch.last_us:
            continue
        if until_us and epoch.first_us < until_us - OVERLAP_US:
            found.append(epoch)
        until_us = max(until_us, epoch.last_us)
    return found
