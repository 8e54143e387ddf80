"""A home's id is found wherever it stands, also unfolded, and nowhere else."""

from __future__ import annotations

import io
import random

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import ARCHIVE_SCHEMA
from schemas.errors import BadInput
from schemas.roster import RosterEntry, roster_text
from tests.archives import garbage, minute_message
from tests.fakes import Fleet
from transforms.archive_raw import archive_row
from transforms.erase_documents import take_out
from transforms.home_search import HomeSearch, Remaining, without_home
from transforms.roster import parse_roster
from transforms.write_objects import avro_bytes

FLEET = Fleet(6)
FIRST, SECOND = FLEET.gateway(1), FLEET.gateway(2)
SEARCH = HomeSearch("home-1")


@pytest.mark.parametrize(
    "text", ["home-1", "homes/home-1/rich", "('home-1', 'gw-1')", "open/home-1~fire", '"home-1"']
)
def test_an_id_is_found_where_it_stands_alone(text: str) -> None:
    assert SEARCH.in_bytes(text.encode())
    assert SEARCH.in_value({"any": [{"deep": text}]})


@pytest.mark.parametrize("text", ["home-10", "my-home-1", "home-1.b", "home-", "HOME-1", ""])
def test_another_home_with_a_similar_id_is_not_touched(text: str) -> None:
    assert not SEARCH.in_bytes(text.encode())


@given(st.text("abc019-._", min_size=1, max_size=64), st.text("abc019-._", min_size=1, max_size=64))
def test_a_header_is_found_by_its_own_home_and_by_no_other(home: str, other: str) -> None:
    header = pb.Header(home_id=home, gateway_id="gw").SerializeToString()
    assert HomeSearch(home).in_bytes(header)
    if home not in other:
        assert not HomeSearch(other).in_bytes(header) or other in ("gw",)


def test_an_id_inside_a_compressed_body_is_found() -> None:
    text = "".join(random.Random(1).choices("etaoinh-1", k=3000)) + " of home-1 "
    body = pb.Body(command_receipts=[pb.CommandReceipt(command_id=b"c", detail=text)])
    payload = SECOND.envelope(body)
    assert not SEARCH.in_bytes(payload)
    assert SEARCH.in_envelope(payload)


def archive(*messages: object) -> bytes:
    return avro_bytes(map(archive_row, messages), fastavro.parse_schema(ARCHIVE_SCHEMA))


def test_rows_of_others_stay_byte_for_byte() -> None:
    mine, theirs = minute_message(FIRST, 1), minute_message(SECOND, 1)
    left = without_home("x.avro", archive(mine, theirs, garbage(1)), HomeSearch("home-0001"))
    assert left.removed == 1
    rows = list(fastavro.reader(io.BytesIO(left.data)))
    assert [row["envelope"] for row in rows] == [theirs.payload, garbage(1).payload]
    assert without_home("x.avro", left.data, HomeSearch("home-0001")) == Remaining(left.data, 0)
    assert without_home("x.avro", archive(mine), HomeSearch("home-0001")).data is None


def test_lines_and_whole_objects_go() -> None:
    assert without_home("x.jsonl", b'{"h":"home-1"}\n{"h":"home-10"}\n', SEARCH) == Remaining(
        b'{"h":"home-10"}\n', 1
    )
    assert without_home("bulk/home-1/gw/a.hwb", b"anything", SEARCH) == Remaining(None, 1)
    assert without_home("bulk/home-10/gw/a.hwb", b"anything", SEARCH) == Remaining(b"anything", 0)


def test_a_roster_without_a_home_is_a_whole_roster() -> None:
    entries = [
        RosterEntry(home_id=home, gateway_id=f"gw-{home}", region="Ost", operator="Net", enrolled_us=1)
        for home in ("home-1", "home-10", "home-2")
    ]
    left = without_home("roster.jsonl", roster_text(entries, 5).encode(), SEARCH)
    assert left.removed == 1
    members = parse_roster(left.data.decode(), 1).members(0)
    assert {member.home_id for member in members} == {"home-10", "home-2"}


def test_what_cannot_be_taken_apart_is_said_and_not_destroyed() -> None:
    torn = archive(minute_message(FIRST, 1))[:-30]
    with pytest.raises(BadInput, match=r"x\.avro holds the home and cannot be read"):
        without_home("x.avro", torn, HomeSearch("home-0001"))
    assert without_home("x.avro", torn, SEARCH) == Remaining(torn, 0)


def test_a_home_is_taken_out_of_an_incident_of_many() -> None:
    incident = {
        "homes": ["home-1", "home-10"],
        "entries": [{"home_id": "home-1", "at": 1}, {"home_id": "home-2", "at": 2}],
        "by_home": {"home-1": 1, "home-2": 2},
        "title": "Two homes",
    }
    assert take_out(incident, SEARCH) == {
        "homes": ["home-10"],
        "entries": [{"home_id": "home-2", "at": 2}],
        "by_home": {"home-2": 2},
        "title": "Two homes",
    }
