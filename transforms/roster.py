"""The roster in a worker: a million homes in about 42 MB, by supervision shard. No Beam here.

Ids of a shard are one string, numbers are arrays: a tuple a home would take ten times as much.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic import ValidationError

from schemas.errors import BadInput
from schemas.roster import SCHEMA_VERSION, RosterEntry, RosterHeader, silence_s
from transforms.home_packs import shard_of

MAX_NAMES: Final = 65_535
SECOND_US: Final = 1_000_000


class Member(NamedTuple):
    """A home of the roster, as supervision needs it. `silence_us`: after so long it is missed."""

    home_id: str
    gateway_id: str
    region: str
    operator: str
    timezone: str
    silence_us: int
    enrolled_us: int


class Scope(NamedTuple):
    """Homes that may vanish together; "" is any."""

    region: str
    operator: str


class _Names:
    """Names that repeat, by number."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        if name not in self._numbers:
            if len(self.listed) == MAX_NAMES:
                raise BadInput(f"roster names more than {MAX_NAMES} regions, operators or zones")
            self._numbers[name] = len(self.listed)
            self.listed.append(name)
        return self._numbers[name]


class _Shard:
    def __init__(self) -> None:
        self.ids: list[str] = []
        self.text = ""
        self.regions, self.operators, self.zones = array("H"), array("H"), array("H")
        self.silence_s, self.enrolled_us = array("I"), array("q")


class Roster:
    """Who must be heard. `sizes`: homes of each region, operator, and both."""

    def __init__(self, shards: int) -> None:
        self._shards = [_Shard() for _ in range(shards)]
        self._names = _Names()
        self.homes = 0
        self.sizes: Counter[Scope] = Counter()

    def members(self, shard: int) -> Iterator[Member]:
        """The homes of a shard."""
        held, names = self._shards[shard], self._names.listed
        ids = held.text.split("\n") if held.text else []
        for line, region, operator, zone, silence, enrolled_us in zip(
            ids, held.regions, held.operators, held.zones, held.silence_s, held.enrolled_us, strict=True
        ):
            home_id, _, gateway_id = line.partition(" ")
            yield Member(
                *(home_id, gateway_id, names[region], names[operator], names[zone]),
                silence * SECOND_US,
                enrolled_us,
            )

    def _add(self, entry: RosterEntry) -> None:
        shard = self._shards[shard_of(entry.home_id, len(self._shards))]
        shard.ids.append(f"{entry.home_id} {entry.gateway_id}")
        shard.regions.append(self._names.number(entry.region))
        shard.operators.append(self._names.number(entry.operator))
        shard.zones.append(self._names.number(entry.timezone))
        shard.silence_s.append(silence_s(entry.category))
        shard.enrolled_us.append(entry.enrolled_us)
        self.homes += 1
        for scope in scopes_of(entry.region, entry.operator):
            self.sizes[scope] += 1

    def _seal(self) -> None:
        for shard in self._shards:
            shard.text = "\n".join(shard.ids)
            shard.ids = []


def scopes_of(region: str, operator: str) -> tuple[Scope, Scope, Scope]:
    """Narrowest first."""
    return Scope(region, operator), Scope(region, ""), Scope("", operator)


def parse_roster(text: str, shards: int) -> Roster:
    """The file (schemas.roster) → roster.

    Raises:
        BadInput: Another version, a bad line, or fewer or more homes than its header says.
    """
    lines = iter(text.splitlines())
    roster = Roster(shards)
    number = 1
    try:
        header = RosterHeader.model_validate_json(next(lines, ""))
        if header.schema_version != SCHEMA_VERSION:
            raise BadInput(f"roster has version {header.schema_version}, known versions: {SCHEMA_VERSION}")
        for number, line in enumerate(lines, start=2):  # noqa: B007, named in the complaint
            roster._add(RosterEntry.model_validate_json(line))
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadInput(f"roster line {number}: {'.'.join(map(str, fault['loc']))} {fault['msg']}") from error
    if roster.homes != header.homes:
        raise BadInput(f"roster has {roster.homes} homes, its header says {header.homes}")
    roster._seal()
    return roster
