"""States and packs of supervision ↔ bytes: versioned, and the same bytes for equal values. No Beam here."""

from __future__ import annotations

import marshal
from array import array
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final

from transforms.correlation import Correlator, Open
from transforms.roster import Member, Scope
from transforms.supervision import Beat, Held, Lost, Mains, Returned, Shard

SHARD_VERSION: Final = 1
CORRELATOR_VERSION: Final = 1
_MARSHAL: Final = 2  # neither references nor interning: equal values, equal bytes
_HELD: Final = ("heard_us", "epoch", "seq", "written_us", "mains_changed_us", "mains_lost", "lost_us")


def encode_shard(shard: Shard) -> bytes:
    """State of a shard."""
    homes = [(home, *(getattr(held, name) for name in _HELD)) for home, held in sorted(shard.homes.items())]
    return marshal.dumps((SHARD_VERSION, shard.alive_us, shard.watched_us, homes), _MARSHAL)


def decode_shard(data: bytes) -> Shard:
    """
    Raises:
        ValueError: State of another version: the job needs that version's code or a migration.
    """
    alive_us, watched_us, homes = _read(data, SHARD_VERSION)
    return Shard(alive_us, watched_us, {home: Held(*values) for home, *values in homes})


def encode_correlator(state: Correlator) -> bytes:
    """State of the correlator: eight bytes for a home in an incident."""
    incidents = [
        (
            *(i.incident_id, *i.scope, i.from_us, i.last_us, i.opened_us, i.homes, i.returned, i.mains_lost),
            *(dict(sorted(i.regions.items())), dict(sorted(i.operators.items()))),
            array("Q", sorted(i.silent)).tobytes(),
        )
        for i in sorted(state.incidents.values(), key=attrgetter("incident_id"))
    ]
    waiting, alone = ([_plain(lost) for _, lost in sorted(h.items())] for h in (state.waiting, state.alone))
    return marshal.dumps((CORRELATOR_VERSION, waiting, alone, incidents), _MARSHAL)


def decode_correlator(data: bytes) -> Correlator:
    """
    Raises:
        ValueError: State of another version: the job needs that version's code or a migration.
    """
    waiting, alone, incidents = _read(data, CORRELATOR_VERSION)
    opened = [_open(*row) for row in incidents]
    return Correlator(
        {lost.member.home_id: lost for lost in map(_lost, waiting)},
        {lost.member.home_id: lost for lost in map(_lost, alone)},
        {incident.incident_id: incident for incident in opened},
    )


def pack_heard(records: Iterable[Beat | Mains]) -> bytes:
    """What a bundle heard of a shard's homes."""
    return marshal.dumps([(isinstance(record, Mains), *record) for record in records], _MARSHAL)


def unpack_heard(data: bytes) -> tuple[list[Beat], list[Mains]]:
    """The inverse of `pack_heard`."""
    rows: list[list[Any]] = marshal.loads(data)
    beats = [Beat(*row) for is_mains, *row in rows if not is_mains]
    return beats, [Mains(*row) for is_mains, *row in rows if is_mains]


def pack_shard_news(tick_us: int, counted: tuple[int, ...], news: Iterable[Lost | Returned]) -> bytes:
    """What a shard found in a tick, and its (number, homes, silent homes, age of the roster in s)."""
    rows: list[Any] = [(True, *_plain(one)) if isinstance(one, Lost) else (False, *one) for one in news]
    return marshal.dumps((tick_us, counted, rows), _MARSHAL)


def unpack_shard_news(data: bytes) -> tuple[int, tuple[int, ...], list[Lost | Returned]]:
    """The inverse of `pack_shard_news`."""
    tick_us, counted, rows = marshal.loads(data)
    return tick_us, counted, [_lost(row) if is_lost else Returned(*row) for is_lost, *row in rows]


def _read(data: bytes, known: int) -> list[Any]:
    version, *rest = marshal.loads(data)
    if version != known:
        raise ValueError(f"state has version {version}, known versions: {known}")
    return rest


def _open(name: str, region: str, operator: str, *counted: Any) -> Open:
    *numbers, regions, operators, silent = counted
    incident = Open(name, Scope(region, operator), *numbers)
    incident.regions, incident.operators = Counter(regions), Counter(operators)
    incident.silent = set(array("Q", silent))
    return incident


def _plain(lost: Lost) -> Any:
    return (tuple(lost.member), *lost[1:])


def _lost(row: Any) -> Lost:
    member, *rest = row
    return Lost(Member(*member), *rest)
