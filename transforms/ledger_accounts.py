"""What the archive says of each gateway: accounts that can be made of any part and merged in any order.

Numbers are kept as runs by the day on which the gateway wrote them, so that an account stays small
however much it covers. `transforms.exact_ledger` reads the ledger from it. No Beam here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

DAY_US: Final = 86_400_000_000


class Declared(NamedTuple):
    """A stretch that the gateway says will never come. `reason`: schemas GapReason; times: its clock."""

    first: int
    last: int
    reason: int
    first_us: int
    last_us: int


class Fact(NamedTuple):
    """What one verified message says.

    Attributes:
        written_us: When the gateway wrote it (its clock, never later than arrival).
        gaps: Epoch (hex) and what is declared of it.
        previous: Epoch before this one (hex) and its last known head; None if not said.
        content: Digest of the envelope.
        copy: The same envelope is known already.
        rivals: Digests of other verified envelopes with this identity.
        bulk_missing: Names of announced objects that are not there as announced.
    """

    epoch: str
    seq: int
    written_us: int
    oldest_unsent_seq: int
    head_seq: int
    gaps: tuple[tuple[str, Declared], ...] = ()
    previous: tuple[str, int] | None = None
    content: str = ""
    copy: bool = False
    rivals: tuple[str, ...] = ()
    bulk_missing: tuple[str, ...] = ()


class Run(NamedTuple):
    """Numbers received without a hole, and when the first and the last were written."""

    first: int
    last: int
    first_us: int
    last_us: int


@dataclass
class EpochAccount:
    """One epoch of one gateway.

    Attributes:
        received: Day → runs; a number that was written on two days (a conflict) counts on the first.
        copies: Day → messages that were there already.
        conflicts: Number → digests of the different envelopes that claim it.
        unsent: Greatest oldest_unsent_seq that was said. head: greatest number that was said.
        ended: Head that a later epoch names, 0: none does. ended_us: when that was first written.
        first_us, last_us: Span of writing; 0, 0 while only other epochs spoke of this one.
        bulk_missing: Day and name of announced objects that are not there.
    """

    received: dict[int, list[Run]] = field(default_factory=dict)
    copies: Counter[int] = field(default_factory=Counter)
    conflicts: dict[int, frozenset[str]] = field(default_factory=dict)
    gaps: frozenset[Declared] = frozenset()
    unsent: int = 0
    head: int = 0
    ended: int = 0
    ended_us: int = 0
    first_us: int = 0
    last_us: int = 0
    bulk_missing: frozenset[tuple[int, str]] = frozenset()


Account = dict[str, EpochAccount]  # epoch (hex) → its account


def join_runs(runs: Iterable[Run]) -> list[Run]:
    """Runs in any order → the runs that they make together."""
    joined: list[Run] = []
    for run in sorted(runs):
        if not joined or run.first > joined[-1].last + 1:
            joined.append(run)
            continue
        before = joined[-1]
        first_us = min(before.first_us, run.first_us) if run.first == before.first else before.first_us
        last, last_us = max((before.last, before.last_us), (run.last, run.last_us))
        joined[-1] = Run(before.first, last, first_us, last_us)
    return joined


def account_of(facts: Iterable[Fact]) -> Account:
    """Facts of one gateway → its account."""
    account: Account = defaultdict(EpochAccount)
    runs: dict[str, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        epoch = account[fact.epoch]
        day = fact.written_us // DAY_US
        epoch.unsent = max(epoch.unsent, fact.oldest_unsent_seq)
        epoch.head = max(epoch.head, fact.head_seq, fact.seq)
        epoch.first_us = min(epoch.first_us or fact.written_us, fact.written_us)
        epoch.last_us = max(epoch.last_us, fact.written_us)
        epoch.bulk_missing |= {(day, name) for name in fact.bulk_missing}
        if fact.copy:
            epoch.copies[day] += 1
        else:
            runs[fact.epoch][day].append(Run(fact.seq, fact.seq, fact.written_us, fact.written_us))
        if fact.rivals:
            known = epoch.conflicts.get(fact.seq, frozenset())
            epoch.conflicts[fact.seq] = known | {fact.content, *fact.rivals}
        for other, gap in fact.gaps:
            account[other].gaps |= {gap}
        if fact.previous:
            _end(account[fact.previous[0]], fact.previous[1], fact.written_us)
    for name, days in runs.items():
        account[name].received = {day: join_runs(found) for day, found in days.items()}
    return dict(account)


def _end(epoch: EpochAccount, head: int, when_us: int) -> None:
    if not head:
        return
    epoch.ended = max(epoch.ended, head)
    epoch.ended_us = min(epoch.ended_us or when_us, when_us)


def merge(accounts: Iterable[Account]) -> Account:
    """Accounts of one gateway from parts of the archive → one. The order does not matter."""
    merged: Account = defaultdict(EpochAccount)
    runs: dict[str, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for account in accounts:
        for name, part in account.items():
            epoch = merged[name]
            for day, found in part.received.items():
                runs[name][day] += found
            epoch.copies += part.copies
            for seq, contents in part.conflicts.items():
                epoch.conflicts[seq] = epoch.conflicts.get(seq, frozenset()) | contents
            epoch.gaps |= part.gaps
            epoch.bulk_missing |= part.bulk_missing
            epoch.unsent = max(epoch.unsent, part.unsent)
            epoch.head = max(epoch.head, part.head)
            _end(epoch, part.ended, part.ended_us)
            if part.last_us:
                epoch.first_us = min(epoch.first_us or part.first_us, part.first_us)
                epoch.last_us = max(epoch.last_us, part.last_us)
    for name, days in runs.items():
        merged[name].received = {day: join_runs(found) for day, found in days.items()}
    return dict(merged)


def plain(account: Account) -> dict[str, Any]:
    """Account → JSON-able, the same for equal accounts."""
    return {
        name: {
            "received": {str(day): [list(run) for run in runs] for day, runs in sorted(e.received.items())},
            "copies": {str(day): count for day, count in sorted(e.copies.items())},
            "conflicts": {str(seq): sorted(found) for seq, found in sorted(e.conflicts.items())},
            "gaps": [list(gap) for gap in sorted(e.gaps)],
            "bulk_missing": [list(entry) for entry in sorted(e.bulk_missing)],
            **{key: getattr(e, key) for key in _NUMBERS},
        }
        for name, e in sorted(account.items())
    }


_NUMBERS: Final = ("unsent", "head", "ended", "ended_us", "first_us", "last_us")


def of_plain(made: dict[str, Any]) -> Account:
    """The inverse of `plain`."""
    return {
        name: EpochAccount(
            received={int(day): [Run(*run) for run in runs] for day, runs in e["received"].items()},
            copies=Counter({int(day): count for day, count in e["copies"].items()}),
            conflicts={int(seq): frozenset(found) for seq, found in e["conflicts"].items()},
            gaps=frozenset(Declared(*gap) for gap in e["gaps"]),
            bulk_missing=frozenset((day, missing) for day, missing in e["bulk_missing"]),
            **{key: e[key] for key in _NUMBERS},
        )
        for name, e in made.items()
    }
