"""Which batches of a home's gateway have come, and which one may speak for the present. No Beam here.

A replay of old signed data must not fake life (design.md): only an identity that is not yet in the
interval set of its gateway and epoch, and only the newest by sequence, may change liveness or
arming. Between epochs the newer is the one whose batch the gateway wrote later: that time is signed,
arrival is not.
"""

from __future__ import annotations

import bisect
import json
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from transforms.elements import BatchSummary

MAX_EPOCHS: Final = 4
# Further holes than this are forgotten from the oldest on: compaction's ledger, made from the
# objects themselves, is the exact one.
MAX_INTERVALS: Final = 32

MAX_DECLARED: Final = 32

Interval = tuple[int, int]  # first and last seq, both received


class Hole(NamedTuple):
    """Numbers that will not come, or have not.

    Attributes:
        first, last: Inclusive.
        reason: As the gateway declared it, "" if it did not.
        from_us, to_us: Gateway clock, of the lost minutes or of the batches on either side; 0: unknown.
    """

    first: int
    last: int
    reason: str
    from_us: int
    to_us: int


def insert(intervals: list[Interval], seq: int) -> bool:
    """Add a number to disjoint, sorted, non-touching intervals. False: it was there.

    >>> have = [(1, 3), (5, 6)]
    >>> insert(have, 4), insert(have, 2), have
    (True, False, [(1, 6)])
    """
    at = bisect.bisect_right(intervals, (seq, float("inf")))
    if at and intervals[at - 1][1] >= seq:
        return False
    first = last = seq
    if at < len(intervals) and intervals[at][0] == seq + 1:
        last = intervals.pop(at)[1]
    if at and intervals[at - 1][1] == seq - 1:
        at -= 1
        first = intervals.pop(at)[0]
    intervals.insert(at, (first, last))
    return True


def holes(intervals: list[Interval], first: int, below: int) -> list[Interval]:
    """What is missing of [first, below).

    >>> holes([(2, 3), (6, 9)], 1, 8)
    [(1, 1), (4, 5)]
    """
    missing = []
    at = first
    for low, high in intervals:
        if low >= below:
            break
        if low > at:
            missing.append((at, low - 1))
        at = max(at, high + 1)
    if at < below:
        missing.append((at, below - 1))
    return missing


@dataclass
class Epoch:
    """One unbroken life of an outbox.

    Attributes:
        first_seq: Where this ledger begins: what was sent before we first heard of the epoch is not
            ours to miss. oldest_unsent_seq: below it the gateway holds nothing any more.
        created_us: Newest time of writing, gateway clock.
        edges: When the first and last batch of each interval were written.
        declared: What the gateway said is lost, in any header.
        head_seq: The last number of an epoch that has ended, as the next one tells; 0: unknown.
    """

    intervals: list[Interval] = field(default_factory=list)
    first_seq: int = 0
    oldest_unsent_seq: int = 0
    created_us: int = 0
    edges: dict[int, int] = field(default_factory=dict)
    declared: list[Hole] = field(default_factory=list)
    head_seq: int = 0


class Key(NamedTuple):
    """One epoch of one gateway."""

    gateway_id: str
    epoch: str


class Present(NamedTuple):
    """What the newest batch says of its home. `seen_us`: its publish time."""

    key: Key
    seq: int
    created_us: int
    seen_us: int
    mode: str
    phase: str
    software_version: str


class Taken(NamedTuple):
    """What one batch changed.

    Attributes:
        new: Its identity had not been seen.
        newest: It speaks for the present.
        holes: What its epoch now misses, if that changed, else None.
    """

    new: bool
    newest: bool
    holes: list[Interval] | None


@dataclass
class Ledger:
    """Interval sets of a home's gateways, and its present.

    Attributes:
        touched: Epochs whose holes, or their reasons, the last `take` changed. Not kept.
    """

    epochs: dict[Key, Epoch] = field(default_factory=dict)
    present: Present | None = None
    touched: set[Key] = field(default_factory=set, compare=False)

    def take(self, summary: BatchSummary) -> Taken:
        """Account for one batch."""
        key = Key(summary.gateway_id, summary.epoch)
        self.touched = set()
        epoch = self.epochs.get(key)
        if epoch is None:
            epoch = self.epochs[key] = Epoch(first_seq=summary.seq)
        missed = _missing(epoch)
        before = {known: self.holes(known) for known in self.epochs}
        if not insert(epoch.intervals, summary.seq):
            return Taken(False, False, None)
        while len(epoch.intervals) > MAX_INTERVALS:
            (first, _), (_, last) = epoch.intervals[:2]
            epoch.intervals[:2] = [(first, last)]
        unsent = summary.oldest_unsent_seq or summary.seq
        epoch.first_seq = min(epoch.first_seq, summary.seq, unsent)
        epoch.oldest_unsent_seq = max(epoch.oldest_unsent_seq, unsent)
        # Signed, but never beyond arrival: a clock that ran ahead must not shut out the next epoch.
        written_us = min(summary.created_us, summary.publish_us)
        epoch.created_us = max(epoch.created_us, written_us)
        epoch.edges[summary.seq] = written_us
        ends = {seq for interval in epoch.intervals for seq in interval}
        epoch.edges = {seq: us for seq, us in epoch.edges.items() if seq in ends}
        self._believe(summary)
        newest = self._is_newest(key, summary, written_us)
        if newest:
            self.present = Present(
                key,
                summary.seq,
                written_us,
                summary.publish_us,
                summary.arming_mode,
                summary.arming_phase,
                summary.software_version,
            )
        missing = _missing(epoch)
        self._forget_oldest(key)
        self.touched = {known for known in self.epochs if self.holes(known) != before.get(known, [])}
        return Taken(True, newest, missing if missing != missed else None)

    def holes(self, key: Key) -> list[Hole]:
        """What an epoch misses: declared stretches with their reason, the rest without."""
        epoch = self.epochs[key]
        found = []
        for first, last in _missing(epoch):
            from_us, to_us = epoch.edges.get(first - 1, 0), epoch.edges.get(last + 1, 0)
            at = first
            for gap in sorted(epoch.declared):
                low, high = max(gap.first, at), min(gap.last, last)
                if low > high:
                    continue
                if low > at:
                    found.append(Hole(at, low - 1, "", from_us, to_us))
                found.append(Hole(low, high, gap.reason, gap.from_us, gap.to_us))
                at = high + 1
            if at <= last:
                found.append(Hole(at, last, "", from_us, to_us))
        return found

    def _believe(self, summary: BatchSummary) -> None:
        """Take what a batch says of losses, and of the epoch before its own."""
        for epoch, *gap in json.loads(summary.gaps or "[]"):
            known = self.epochs.get(Key(summary.gateway_id, epoch))
            if known is not None and Hole(*gap) not in known.declared:
                known.declared = [*known.declared, Hole(*gap)][-MAX_DECLARED:]
        before = self.epochs.get(Key(summary.gateway_id, summary.previous_epoch))
        if before is not None:
            before.head_seq = max(before.head_seq, summary.previous_head_seq)

    def plain(self) -> tuple[Any, ...]:
        """As tuples of plain values, for the state's codec."""
        epochs = tuple(
            (
                *(*key, tuple(e.intervals), e.first_seq, e.oldest_unsent_seq, e.created_us),
                *(tuple(sorted(e.edges.items())), tuple(map(tuple, e.declared)), e.head_seq),
            )
            for key, e in sorted(self.epochs.items())
        )
        present = self.present and (*self.present.key, *self.present[1:])
        return epochs, present

    @classmethod
    def of_plain(cls, plain: tuple[Any, ...]) -> Ledger:
        """The inverse of `plain`; of () an empty ledger."""
        if not plain:
            return cls()
        epochs, present = plain
        return cls(
            {Key(gateway, epoch): _epoch(*rest) for gateway, epoch, *rest in epochs},
            present and Present(Key(*present[:2]), *present[2:]),
        )

    def _is_newest(self, key: Key, summary: BatchSummary, written_us: int) -> bool:
        if self.present is None:
            return True
        if key == self.present.key:
            return summary.seq > self.present.seq
        # A clock that is not to be trusted cannot prove that its epoch is the later one.
        return not summary.clock_suspect and written_us > self.present.created_us

    def _forget_oldest(self, keep: Key) -> None:
        spared = {keep, self.present.key if self.present else keep}
        while len(self.epochs) > MAX_EPOCHS:
            old = min((k for k in self.epochs if k not in spared), key=lambda k: self.epochs[k].created_us)
            del self.epochs[old]


def _missing(epoch: Epoch) -> list[Interval]:
    below = max(epoch.oldest_unsent_seq, epoch.head_seq + 1)
    return holes(epoch.intervals, epoch.first_seq, below)


def _epoch(
    have: Any, first: int, unsent: int, created: int, edges: Any = (), declared: Any = (), head: int = 0
) -> Epoch:
    """Of plain values; state of before the edges has none."""
    gaps = [Hole(*gap) for gap in declared]
    return Epoch(list(have), first, unsent, created, dict(edges), gaps, head)
