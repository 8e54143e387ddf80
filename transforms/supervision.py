"""Which homes are silent: the rules of path supervision for one shard of the roster. No Beam here.

All times are publish times (µs since 1970 UTC). What matters:

- **Life is proven by record-setters**: a batch counts if, in the order of publication, it is the newest
  of its gateway by sequence. Between epochs the newer is the one that names its predecessor, or was
  written later by a trusted clock. A replay of old signed data therefore fakes no life.
- **Silence is proven by other voices**: homes are judged only at the end of a tick in which somebody was
  heard through the same pipeline (the path prover speaks every minute). While nobody is, nobody is
  missed; and after a pause of everybody (`PAUSE_US`) each home gets its whole interval anew, because
  what was away was the way and not the homes.
- A home that was never heard by this state counts from the start of the watch (or from its enrolment
  and the time to install it), so that a job which lost its state raises nothing at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple

from transforms.roster import SECOND_US, Member

TICK_US: Final = 10 * SECOND_US
# Longer than the prover's minute: a fleet in which nobody else speaks is no pause.
PAUSE_US: Final = 75 * SECOND_US
INSTALL_US: Final = 600 * SECOND_US  # from enrolment to the first batch
FORGET_US: Final = 86_400 * SECOND_US  # a home that is on no roster


class Beat(NamedTuple):
    """One batch as a sign of life.

    Attributes:
        previous: The epoch that its epoch says it follows, "" if it names none.
        written_us: Gateway clock, never beyond publication.
        suspect: Its clock is not to be trusted.
    """

    home_id: str
    publish_us: int
    epoch: str
    seq: int
    written_us: int
    suspect: bool
    previous: str


class Mains(NamedTuple):
    """A home's mains power was lost or came back, at `occurred_us` by its own clock."""

    home_id: str
    publish_us: int
    occurred_us: int
    lost: bool


class Lost(NamedTuple):
    """A home is silent.

    Attributes:
        silent_us: Last heard; 0: never.
        due_us: When it was to be heard at the latest.
        mains_us: Since when it has no mains power, 0: it has, or nobody knows.
        told_us: End of the tick that judged it.
    """

    member: Member
    silent_us: int
    due_us: int
    mains_us: int
    told_us: int

    @property
    def from_us(self) -> int:
        """Where its silence is counted from: what vanished together has this in common."""
        return self.due_us - self.member.silence_us


class Returned(NamedTuple):
    """A silent home was heard again, or is on the roster no more (`withdrawn`).

    Attributes:
        due_us: As in its `Lost`, which it ends.
    """

    home_id: str
    due_us: int
    returned_us: int
    withdrawn: bool


class Judged(NamedTuple):
    """What a tick found. `first`: (home, publish time) of homes heard for the first time by this state."""

    lost: list[Lost]
    returned: list[Returned]
    first: list[tuple[str, int]]


@dataclass
class Held:
    """What is known of a home. `lost_us`: when it was due, while it is missed; else 0."""

    heard_us: int = 0
    epoch: str = ""
    seq: int = 0
    written_us: int = 0
    mains_changed_us: int = 0
    mains_lost: bool = False
    lost_us: int = 0


@dataclass
class Shard:
    """State of one shard: `alive_us` is the end of the newest tick in which anybody was heard,
    `watched_us` since when everybody could have been heard."""

    alive_us: int = 0
    watched_us: int = 0
    homes: dict[str, Held] = field(default_factory=dict)


def tick_end(publish_us: int) -> int:
    """The end of the tick in which a publish time lies.

    >>> tick_end(25_000_000), tick_end(30_000_000)
    (30000000, 40000000)
    """
    return publish_us // TICK_US * TICK_US + TICK_US


def judge(
    shard: Shard,
    beats: Sequence[Beat],
    mains: Sequence[Mains],
    tick_us: int,
    members: Iterable[Member],
) -> Judged:
    """Take what was heard in the tick that ends at `tick_us` (or came late, for an earlier one).

    Changes `shard`. Ticks in which nobody was heard are not given at all.
    """
    first: list[tuple[str, int]] = []
    returned: list[Returned] = []
    for power in sorted(mains, key=attrgetter("occurred_us", "lost")):
        held = shard.homes.setdefault(power.home_id, Held())
        if power.occurred_us > held.mains_changed_us:
            held.mains_changed_us, held.mains_lost = power.occurred_us, power.lost
    for beat in sorted(beats, key=attrgetter("publish_us", "seq")):
        held = shard.homes.setdefault(beat.home_id, Held())
        if not _is_newest(held, beat):
            continue
        if not held.heard_us:
            first.append((beat.home_id, beat.publish_us))
        if held.lost_us:
            back_us = max(beat.publish_us, held.lost_us)
            returned.append(Returned(beat.home_id, held.lost_us, back_us, False))
            held.lost_us = 0
        held.heard_us = max(held.heard_us, beat.publish_us)
        held.epoch, held.seq, held.written_us = beat.epoch, beat.seq, beat.written_us
    if tick_us <= shard.alive_us:
        return Judged([], returned, first)
    if tick_us - shard.alive_us > PAUSE_US:
        shard.watched_us = tick_us - TICK_US
    shard.alive_us = tick_us
    lost, listed = _missed(shard, tick_us, members)
    return Judged(lost, returned + _withdrawn(shard, listed), first)


def _is_newest(held: Held, beat: Beat) -> bool:
    if beat.epoch == held.epoch:
        return beat.seq > held.seq
    if not held.epoch or beat.previous == held.epoch:
        return True
    # A clock that is not to be trusted cannot prove that its epoch is the later one.
    return not beat.suspect and beat.written_us > held.written_us


def _missed(shard: Shard, tick_us: int, members: Iterable[Member]) -> tuple[list[Lost], set[str]]:
    lost, listed = [], set()
    for member in members:
        listed.add(member.home_id)
        held = shard.homes.get(member.home_id)
        heard_us = held.heard_us if held else 0
        from_us = max(heard_us or member.enrolled_us + INSTALL_US, shard.watched_us)
        due_us = from_us + member.silence_us
        if due_us > tick_us or (held and held.lost_us):
            continue
        held = held or shard.homes.setdefault(member.home_id, Held())
        held.lost_us = due_us
        lost.append(Lost(member, heard_us, due_us, held.mains_changed_us if held.mains_lost else 0, tick_us))
    return lost, listed


def _withdrawn(shard: Shard, listed: set[str]) -> list[Returned]:
    """Silent homes that nobody expects any more; forgets homes that are on no roster for a day."""
    gone = []
    for home_id in [home for home in shard.homes if home not in listed]:
        held = shard.homes[home_id]
        if held.lost_us:
            gone.append(Returned(home_id, held.lost_us, shard.alive_us, True))
            held.lost_us = 0
        if shard.alive_us - held.heard_us > FORGET_US:
            del shard.homes[home_id]
    return gone
