"""Rosters and heartbeats of invented homes, for the tests of supervision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from schemas.roster import RosterEntry, roster_text
from tests.fakes import NOW_US, SECOND_US
from transforms.roster import Member
from transforms.supervision import Beat

START_US: Final = NOW_US
SP4_US: Final = 130 * SECOND_US


def at(seconds: float) -> int:
    """µs since 1970 UTC, `seconds` after the start of a test."""
    return START_US + int(seconds * SECOND_US)


def member(home: str = "home-1", **fields: Any) -> Member:
    """A home of category SP4 that was enrolled long ago."""
    values: dict[str, Any] = {
        "home_id": home,
        "gateway_id": f"gw-{home}",
        "region": "Ost",
        "operator": "netz-a",
        "timezone": "UTC",
        "silence_us": SP4_US,
        "enrolled_us": at(-1e6),
    }
    return Member(**(values | fields))


def entry(home: str = "home-1", **fields: Any) -> RosterEntry:
    """The same as a line of the file."""
    values: dict[str, Any] = {
        "home_id": home,
        "gateway_id": f"gw-{home}",
        "region": "Ost",
        "operator": "netz-a",
        "enrolled_us": at(-1e6),
    }
    return RosterEntry(**(values | fields))


def roster_file(entries: Iterable[RosterEntry]) -> str:
    """The text of a roster."""
    return roster_text(entries, START_US)


def beat(seconds: float, seq: int, home: str = "home-1", **fields: Any) -> Beat:
    """Batch `seq` of a home, published and written `seconds` after the start."""
    values: dict[str, Any] = {
        "home_id": home,
        "publish_us": at(seconds),
        "epoch": "e1",
        "seq": seq,
        "written_us": at(seconds),
        "suspect": False,
        "previous": "",
    }
    return Beat(**(values | fields))
