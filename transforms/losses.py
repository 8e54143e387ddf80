"""What is lost of a home: which holes are told to operators, and when. No Beam here.

Lanes race, and a backlog follows the present: a hole is told when it has stood for `WAIT_US`. What was
told and comes after all is told as filled. Of a hole that is partly filled the rest stands told.
"""

from __future__ import annotations

import datetime as dt
import marshal
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.alarms import Evidence
from schemas.events import AlarmKind, Code
from schemas.incidents import MAX_LOSSES, UNEXPLAINED, HomeLosses, Loss
from transforms.advance_home import HoleReport
from transforms.evidence import NEW, RESTORE, Raised, digest, raised
from transforms.gateway_ledger import Hole

WAIT_US: Final = 120_000_000
RULE_VERSION: Final = "losses-1"
STATE_VERSION: Final = 1
_MARSHAL: Final = 2


class Key(NamedTuple):
    """One epoch of one gateway."""

    gateway_id: str
    epoch: str


class LossChange(NamedTuple):
    """A loss was told ("open"), or what was told of came after all ("filled").

    Attributes:
        told_us: Event time. reason: As declared, or "unexplained".
        from_us, to_us: Gateway clock; 0: unknown.
    """

    home_id: str
    gateway_id: str
    epoch: str
    first_seq: int
    last_seq: int
    from_us: int
    to_us: int
    reason: str
    state: str
    told_us: int


@dataclass
class Losses:
    """State of a home: its holes, since when each stands, and which were told."""

    holes: dict[Key, dict[Hole, int]] = field(default_factory=dict)
    told: dict[Key, set[Hole]] = field(default_factory=dict)

    @property
    def due_us(self) -> int | None:
        """When the next hole is to be told, None if there is none."""
        waits = [
            since_us + WAIT_US
            for key, holes in self.holes.items()
            for hole, since_us in holes.items()
            if hole not in self.told.get(key, set())
        ]
        return min(waits, default=None)


def take(state: Losses, report: HoleReport) -> None:
    """The newest report of an epoch. Changes `state`: a part of a known hole stands as long as that."""
    key = Key(report.gateway_id, report.epoch)
    known = state.holes.get(key, {})
    columns = (report.first_seqs, report.last_seqs, report.reasons, report.from_us, report.to_us)
    state.holes[key] = {
        hole: min(
            (s for old, s in known.items() if old.first <= hole.last and hole.first <= old.last),
            default=report.publish_us,
        )
        for hole in map(Hole, *columns)
    }


def tell(state: Losses, home_id: str, now_us: int) -> list[LossChange]:
    """What is due at `now_us`: first what is filled, then what stands. Changes `state`."""
    changes = []
    for key, holes in list(state.holes.items()):
        told = state.told.get(key, set())
        due = {hole for hole, since_us in holes.items() if since_us + WAIT_US <= now_us}
        changes += [_change(home_id, key, hole, "filled", now_us) for hole in sorted(told - holes.keys())]
        changes += [_change(home_id, key, hole, "open", now_us) for hole in sorted(due - told)]
        state.told[key] = (told & holes.keys()) | due
        if not holes:
            del state.holes[key], state.told[key]
    return changes


def document(state: Losses, home_id: str, now_us: int) -> HomeLosses:
    """What operators see of a home."""
    losses = [
        Loss.model_validate(_change(home_id, key, hole, "open", now_us)._asdict())
        for key, told in state.told.items()
        for hole in told
    ]
    newest = sorted(losses, key=lambda loss: (loss.to_us, loss.last_seq), reverse=True)
    return HomeLosses(
        home_id=home_id,
        unexplained=sum(loss.reason == UNEXPLAINED for loss in losses),
        batches=sum(loss.last_seq - loss.first_seq + 1 for loss in losses),
        losses=newest[:MAX_LOSSES],
        updated_us=now_us,
    )


def evidence_of_loss(change: LossChange, recorded_us: int) -> Raised | None:
    """An unexplained loss → evidence for an operator, its filling → the end; None for a declared one."""
    if change.reason != UNEXPLAINED:
        return None
    filled = change.state == "filled"
    place = f"{change.epoch[:8]}.{change.first_seq}-{change.last_seq}"
    evidence = Evidence(
        evidence_id=digest(change.home_id, "loss", change.gateway_id, change.epoch, place, change.state),
        home_id=change.home_id,
        gateway_id=change.gateway_id,
        source="pipeline",
        code=Code.MISSING_BATCHES,
        qualifier=RESTORE if filled else NEW,
        title="Missing readings came after all" if filled else loss_title(change),
        sensor_id=place,
        occurred_us=change.told_us,
        arrived_us=change.told_us,
        recorded_us=recorded_us,
        rule_version=RULE_VERSION,
    )
    return raised(AlarmKind.LOSS, "", evidence)


def loss_title(change: LossChange) -> str:
    """
    >>> loss_title(LossChange("h", "g", "e", 3, 5, 0, 1_080_000_000, "unexplained", "open", 0))
    'Readings missing without a reason: 3 batches, until 00:18 UTC'
    """
    count = change.last_seq - change.first_seq + 1
    times = " ".join(
        f"{word} {dt.datetime.fromtimestamp(us / 1e6, dt.UTC):%H:%M}"
        for word, us in (("from", change.from_us), ("until", change.to_us))
        if us
    )
    batches = "1 batch" if count == 1 else f"{count} batches"
    return f"Readings missing without a reason: {batches}" + (f", {times} UTC" if times else "")


def encode(state: Losses) -> bytes:
    """Losses → bytes."""
    rows = [
        (*key, [(*hole, since_us) for hole, since_us in holes.items()]) for key, holes in state.holes.items()
    ]
    told = [(*key, [tuple(hole) for hole in sorted(holes)]) for key, holes in state.told.items()]
    return marshal.dumps((STATE_VERSION, rows, told), _MARSHAL)


def decode(data: bytes) -> Losses:
    """The inverse of `encode`.

    Raises:
        ValueError: State of another version: the job needs that version's code or a migration.
    """
    version, rows, told = marshal.loads(data)
    if version != STATE_VERSION:
        raise ValueError(f"state has version {version}, known versions: {STATE_VERSION}")
    return Losses(
        {Key(*key): {Hole(*hole): since_us for *hole, since_us in holes} for *key, holes in rows},
        {Key(*key): {Hole(*hole) for hole in holes} for *key, holes in told},
    )


def _change(home_id: str, key: Key, hole: Hole, state: str, now_us: int) -> LossChange:
    reason = hole.reason or UNEXPLAINED
    return LossChange(home_id, *key, hole.first, hole.last, hole.from_us, hole.to_us, reason, state, now_us)
