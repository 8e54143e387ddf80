"""The roster: what enrolment may write, and what a worker takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.errors import BadInput
from schemas.roster import OFFERED, REPORTING, PathCategory, RosterEntry, roster_text, silence_s
from tests.transforms.rosters import START_US, entry, roster_file
from transforms.home_packs import shard_of
from transforms.refreshed_file import RefreshedFile
from transforms.roster import Scope, parse_roster


def test_every_home_is_found_in_its_shard_with_what_enrolment_said() -> None:
    entries = [
        entry(f"home-{n}", region=f"r{n % 3}", operator=f"o{n % 2}", timezone="Europe/Berlin")
        for n in range(50)
    ]
    entries.append(entry("home-x", category=PathCategory.SP2, region="Ost, Süd"))
    roster = parse_roster(roster_file(entries), shards=4)

    members = {m.home_id: m for shard in range(4) for m in roster.members(shard)}
    assert members.keys() == {e.home_id for e in entries}
    assert all(
        m.home_id in {x.home_id for x in roster.members(shard_of(m.home_id, 4))} for m in members.values()
    )
    assert members["home-x"].silence_us == (25 * 3600 - 50) * 1_000_000
    assert (members["home-4"].region, members["home-4"].operator, members["home-4"].gateway_id) == (
        "r1",
        "o0",
        "gw-home-4",
    )
    assert roster.sizes[Scope("r0", "")] == 17
    assert roster.sizes[Scope("", "o1")] == 25
    assert roster.sizes[Scope("Ost, Süd", "netz-a")] == 1


@pytest.mark.parametrize("category", sorted(set(PathCategory) - set(OFFERED)))
def test_a_category_that_a_heartbeat_a_minute_cannot_keep_is_refused(category: PathCategory) -> None:
    with pytest.raises(
        BadInput, match=rf"{category} wants a report within {REPORTING[category].within_s} s, limit 180"
    ):
        roster_text([entry(category=category)], START_US)


def test_offered_categories_leave_time_to_tell() -> None:
    assert {c: silence_s(c) for c in OFFERED} == {"sp2": 89_950, "sp3": 1_750, "sp4": 130, "nfpa72": 3_550}


def test_a_home_is_enrolled_once() -> None:
    with pytest.raises(BadInput, match="home-1 is enrolled twice"):
        roster_text([entry(), entry(region="West")], START_US)


@pytest.mark.parametrize(
    "fields",
    [{"home_id": "a b"}, {"home_id": "a/b"}, {"gateway_id": "a\nb"}, {"region": "a\tb"}, {"operator": ""}],
    ids=["space-in-home", "slash-in-home", "line-break", "tab-in-region", "no-operator"],
)
def test_a_name_that_would_break_a_line_or_a_path_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        RosterEntry.model_validate(entry().model_dump() | fields)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1"),
        ('{"schema_version": 2, "homes": 0, "made_us": 1}', "version 2, known versions: 1"),
        (roster_file([entry("a"), entry("b")]).rsplit("\n", 2)[0], "1 homes, its header says 2"),
        (roster_file([entry()]).replace('"sp4"', '"sp9"'), "line 2: category"),
    ],
    ids=["empty", "other-version", "half-a-file", "unknown-category"],
)
def test_a_bad_file_is_refused_with_its_fault(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        parse_roster(text, 1)


def test_a_bad_file_leaves_the_last_good_copy_which_ages(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "roster.jsonl"
    path.write_text(roster_file([entry()]))
    os.utime(path, (100, 100))
    held = RefreshedFile(str(path), lambda text: parse_roster(text, 1), lambda: now[0])
    path.write_text("half a")
    now[0] = 60.0
    assert not held.refresh()
    assert (held.content.homes, held.age_s) == (1, 60.0)
    path.write_text(roster_file([entry("a"), entry("b")]))
    assert held.refresh()
    assert (held.content.homes, held.age_s) == (2, 0.0)
