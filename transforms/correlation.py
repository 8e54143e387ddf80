"""One incident for homes that vanish together: the rules. No Beam here.

A silent home waits `WAIT_US` for others of its region or operator. Enough of them, silent since about the
same time, become one incident; who is alone by then becomes a trouble of its own. A heartbeat a minute
shows one moment over a whole minute, so an incident takes over who was told of alone just before. A home
that falls silent while an incident of its region or operator lives joins it, whenever its category lets
us know. Who returns while it waits was never told of.

What is decided depends on event time and the set of homes alone, so that a repetition after a rollback
says the same again under the same ids. A million homes at once stay bounded: a crowd does not wait, and
an incident remembers eight bytes a home.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from schemas.incidents import MAX_HOMES_A_PART, MAX_NAMED, Incident, NamedCount, incident_id
from transforms.roster import SECOND_US, Member, Scope, scopes_of
from transforms.supervision import Lost, Returned

WAIT_US: Final = 30 * SECOND_US
MIN_HOMES: Final = 3
CROWD: Final = 500  # waits no longer
MIN_SHARE: Final = 0.001  # of the region's or operator's roster: in a large one some are always silent
TOGETHER_US: Final = 90 * SECOND_US  # one moment, seen through a heartbeat a minute
JOIN_US: Final = 600 * SECOND_US  # an outage that spreads


class Trouble(NamedTuple):
    """A home that is silent alone, or its end: it `returned`, or an incident took it over at `ended_us`."""

    lost: Lost
    returned: Returned | None = None
    ended_us: int = 0


class Part(NamedTuple):
    """Homes that joined an incident, at most `MAX_HOMES_A_PART`."""

    incident_id: str
    part: str
    home_ids: list[str]


class Decided(NamedTuple):
    """What a tick of correlation comes to."""

    troubles: list[Trouble]
    incidents: list[Incident]
    parts: list[Part]


@dataclass
class Open:
    """An incident that lives.

    Attributes:
        from_us, last_us: Earliest and latest beginning of a silence in it.
        silent: Digests of the homes that have not returned.
    """

    incident_id: str
    scope: Scope
    from_us: int
    last_us: int
    opened_us: int
    homes: int = 0
    returned: int = 0
    mains_lost: int = 0
    regions: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    silent: set[int] = field(default_factory=set)

    def takes(self, lost: Lost) -> bool:
        """Whether a silent home belongs here."""
        near = self.from_us - TOGETHER_US <= lost.from_us <= self.last_us + JOIN_US
        return near and self.scope in _all_scopes(lost.member)

    def add(self, lost: Lost) -> None:
        self.homes += 1
        self.silent.add(_digest(lost.member.home_id))
        self.mains_lost += lost.mains_us > 0
        self.regions[lost.member.region] += 1
        self.operators[lost.member.operator] += 1
        self.from_us, self.last_us = min(self.from_us, lost.from_us), max(self.last_us, lost.from_us)


@dataclass
class Correlator:
    """State: homes that wait, homes that are silent alone, and incidents with the others."""

    waiting: dict[str, Lost] = field(default_factory=dict)
    alone: dict[str, Lost] = field(default_factory=dict)
    incidents: dict[str, Open] = field(default_factory=dict)


def correlate(
    state: Correlator, news: Iterable[Lost | Returned], now_us: int, sizes: Mapping[Scope, int]
) -> Decided:
    """Take what the shards found up to `now_us`, and decide what is due. Changes `state`.

    Args:
        sizes: Homes on the roster by scope.
    """
    troubles: list[Trouble] = []
    changed: dict[str, list[str]] = {}
    for one in sorted(news, key=_place):
        if isinstance(one, Lost):
            state.waiting[one.member.home_id] = one
        else:
            troubles += _returned(state, one, changed)
    alive = sorted(state.incidents.values(), key=attrgetter("opened_us", "incident_id"))
    for home_id, lost in list(state.waiting.items()):
        for incident in alive:
            if incident.takes(lost):
                _join(incident, [lost], changed)
                del state.waiting[home_id]
                break
    due = any(lost.told_us + WAIT_US <= now_us for lost in state.waiting.values())
    if due or len(state.waiting) >= CROWD:
        for scope, homes in groups(_candidates(state), sizes):
            first = min(homes, key=lambda lost: (lost.from_us, lost.member.home_id))
            name = incident_id(*scope, first.member.home_id, first.from_us)
            incident = Open(name, scope, first.from_us, first.from_us, now_us)
            state.incidents[name] = incident
            _join(incident, homes, changed)
            for lost in homes:
                if state.waiting.pop(lost.member.home_id, None) is None:
                    troubles.append(Trouble(state.alone.pop(lost.member.home_id), ended_us=now_us))
        for home_id, lost in list(state.waiting.items()):
            if lost.told_us + WAIT_US <= now_us:
                state.alone[home_id] = state.waiting.pop(home_id)
                troubles.append(Trouble(lost))
    documents = [_document(state.incidents[name], now_us) for name in changed]
    for document in documents:
        if document.restored_us is not None:
            del state.incidents[document.incident_id]
    parts = [part for name, home_ids in changed.items() for part in _parts(name, home_ids, now_us)]
    return Decided(troubles, documents, parts)


def _place(one: Lost | Returned) -> tuple[bool, str]:
    """Returns first, and no order of arrival."""
    return (True, one.member.home_id) if isinstance(one, Lost) else (False, one.home_id)


def _candidates(state: Correlator) -> list[Lost]:
    """Homes that wait, and those told of alone whose silence began about the same time."""
    oldest_us = min(lost.from_us for lost in state.waiting.values()) - TOGETHER_US
    return [*state.waiting.values(), *(lost for lost in state.alone.values() if lost.from_us >= oldest_us)]


def groups(waiting: Sequence[Lost], sizes: Mapping[Scope, int]) -> list[tuple[Scope, list[Lost]]]:
    """Silent homes → those that vanished together, largest group first; of equal ones the narrowest."""
    found: list[tuple[Scope, list[Lost]]] = []
    left = {lost.member.home_id: lost for lost in waiting}
    while True:
        by_scope: dict[Scope, list[Lost]] = {}
        for lost in left.values():
            for scope in _all_scopes(lost.member):
                by_scope.setdefault(scope, []).append(lost)
        candidates = [
            (len(homes), bool(scope.region) + bool(scope.operator), scope, homes)
            for scope, listed in by_scope.items()
            for homes in _together(listed)
            if len(homes) >= max(MIN_HOMES, MIN_SHARE * sizes.get(scope, 0))
        ]
        if not candidates:
            return found
        _, _, scope, homes = max(candidates, key=lambda c: (*c[:3], c[3][0].from_us))
        found.append((scope, homes))
        for lost in homes:
            del left[lost.member.home_id]


def _together(listed: list[Lost]) -> list[list[Lost]]:
    """Homes by the beginning of their silence, parted where nothing happened for `TOGETHER_US`."""
    ordered = sorted(listed, key=lambda lost: (lost.from_us, lost.member.home_id))
    clusters = [ordered[:1]]
    for before, lost in pairwise(ordered):
        if lost.from_us - before.from_us > TOGETHER_US:
            clusters.append([])
        clusters[-1].append(lost)
    return clusters


def _all_scopes(member: Member) -> tuple[Scope, Scope, Scope]:
    return scopes_of(member.region, member.operator)


def _join(incident: Open, homes: list[Lost], changed: dict[str, list[str]]) -> None:
    for lost in homes:
        incident.add(lost)
    changed.setdefault(incident.incident_id, []).extend(lost.member.home_id for lost in homes)


def _returned(state: Correlator, back: Returned, changed: dict[str, list[str]]) -> list[Trouble]:
    if back.home_id in state.alone:
        return [Trouble(state.alone.pop(back.home_id), back)]
    digest = _digest(back.home_id)
    for incident in state.incidents.values():
        if digest in incident.silent:
            incident.silent.remove(digest)
            incident.returned += 1
            changed.setdefault(incident.incident_id, [])
            return []
    state.waiting.pop(back.home_id, None)
    return []


def _document(incident: Open, now_us: int) -> Incident:
    over = incident.returned == incident.homes
    return Incident(
        incident_id=incident.incident_id,
        region=_common(incident.scope.region, incident.regions),
        operator=_common(incident.scope.operator, incident.operators),
        headline=headline(incident),
        homes=incident.homes,
        returned=incident.returned,
        mains_lost=incident.mains_lost,
        regions=_largest(incident.regions),
        operators=_largest(incident.operators),
        since_us=incident.from_us,
        opened_us=incident.opened_us,
        updated_us=now_us,
        restored_us=now_us if over else None,
    )


def headline(incident: Open) -> str:
    """Incident → "212 homes offline, Ost, one operator".

    >>> one = Open("i", Scope("Ost", ""), 0, 0, 0, 212, 12, 200)
    >>> one.regions, one.operators = Counter(Ost=212), Counter(netz=212)
    >>> headline(one)
    '200 of 212 homes offline, Ost, one operator, 200 without mains'
    """
    silent = incident.homes - incident.returned
    count = f"{silent} of {incident.homes}" if incident.returned else str(incident.homes)
    places = [name.name for name in _largest(incident.regions)[:2]]
    where = ", ".join(places) if len(incident.regions) <= len(places) else f"{len(incident.regions)} regions"
    operators = len(incident.operators)
    by = "one operator" if operators == 1 else f"{operators} operators"
    mains = f", {incident.mains_lost} without mains" if incident.mains_lost else ""
    return f"{count} homes offline, {where}, {by}{mains}"


def _common(said: str, counted: Counter[str]) -> str:
    return said or (next(iter(counted)) if len(counted) == 1 else "")


def _largest(counted: Counter[str]) -> list[NamedCount]:
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:MAX_NAMED]
    return [NamedCount(name=name, homes=homes) for name, homes in ranked]


def _parts(name: str, home_ids: list[str], now_us: int) -> Iterable[Part]:
    ordered = sorted(home_ids)
    for at in range(0, len(ordered), MAX_HOMES_A_PART):
        part = f"{now_us // SECOND_US}-{at // MAX_HOMES_A_PART}"
        yield Part(name, part, ordered[at : at + MAX_HOMES_A_PART])


def _digest(home_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(home_id.encode(), digest_size=8).digest(), "big")
