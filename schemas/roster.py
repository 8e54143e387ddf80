"""The roster: which homes must be heard, how soon silence is reported, and whom they share a fate with.

Enrolment writes it as one file of JSON lines, replaced as a whole: a header with the number of homes,
then a line a home. A file because everybody who supervises reads all of it: a million documents read
every few minutes would cost thousands of dollars a month.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import BadInput
from schemas.readings import MAX_ID_CHARS

SCHEMA_VERSION: Final = 1
HEARTBEAT_S: Final = 60  # a minute batch is a home's heartbeat
# Of the reporting time: 10 s for the watermark, 10 s for the tick that judges, 30 s for correlation.
TELLING_S: Final = 50
_SHORTEST_S: Final = 2 * HEARTBEAT_S + 10  # one batch may be lost and the next be late


class PathCategory(StrEnum):
    """How soon a home's silence must be reported."""

    SP2 = "sp2"
    SP3 = "sp3"
    SP4 = "sp4"
    SP5 = "sp5"
    SP6 = "sp6"
    DP4 = "dp4"
    NFPA72 = "nfpa72"


class Reporting(NamedTuple):
    """From the failure of a path to its report at the latest, and where that is written."""

    within_s: int
    source: str


_EN: Final = "EN 50136-1, reporting time (secondary source; no claim of conformity)"
REPORTING: Final = {
    PathCategory.SP2: Reporting(25 * 3600, _EN),
    PathCategory.SP3: Reporting(30 * 60, _EN),
    PathCategory.SP4: Reporting(3 * 60, _EN),
    PathCategory.SP5: Reporting(90, _EN),
    PathCategory.SP6: Reporting(20, _EN),
    PathCategory.DP4: Reporting(90, _EN),
    PathCategory.NFPA72: Reporting(60 * 60, "NFPA 72, single path supervision"),
}
DEFAULT_CATEGORY: Final = PathCategory.SP4


def silence_s(category: PathCategory) -> int:
    """Seconds without a batch after which a home of this category is missed.

    >>> silence_s(PathCategory.SP4)
    130

    Raises:
        BadInput: A heartbeat a minute cannot keep the category's reporting time.
    """
    silence = REPORTING[category].within_s - TELLING_S
    if silence < _SHORTEST_S:
        raise BadInput(
            f"category {category} wants a report within {REPORTING[category].within_s} s, "
            f"limit {_SHORTEST_S + TELLING_S}: a home is heard once in {HEARTBEAT_S} s"
        )
    return silence


OFFERED: Final = tuple(c for c in PathCategory if REPORTING[c].within_s >= _SHORTEST_S + TELLING_S)

_Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\s/]+$")]
_Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\t\r\n]+$")]


class RosterEntry(BaseModel):
    """One home that is to be heard.

    Attributes:
        certificate_serial: Of its gateway, in hex.
        region: Area that shares mains and masts. operator: whose network its gateway uses.
        timezone: IANA name; what its troubles tell the time in.
        enrolled_us: µs since 1970 UTC.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    home_id: _Id
    gateway_id: _Id
    certificate_serial: str = ""
    category: PathCategory = DEFAULT_CATEGORY
    region: _Name
    operator: _Name
    timezone: str = "UTC"
    enrolled_us: int = Field(ge=0)


class RosterHeader(BaseModel):
    """First line of the file. `homes` lets a reader refuse half a file."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    schema_version: int = SCHEMA_VERSION
    homes: int
    made_us: int


def roster_text(entries: Iterable[RosterEntry], made_us: int) -> str:
    """Entries → the file.

    Raises:
        BadInput: A home twice, or a category that cannot be kept.
    """
    by_home: dict[str, RosterEntry] = {}
    for entry in entries:
        silence_s(entry.category)
        if entry.home_id in by_home:
            raise BadInput(f"home {entry.home_id} is enrolled twice, limit: once")
        by_home[entry.home_id] = entry
    header = RosterHeader(homes=len(by_home), made_us=made_us)
    lines = [header, *(by_home[home] for home in sorted(by_home))]
    return "".join(json.dumps(line.model_dump(mode="json"), ensure_ascii=False) + "\n" for line in lines)
