"""Notices of hourly objects: the ledger counts the notice and names the object that is not as announced."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from schemas import hearthwatch_v1_pb2 as pb
from tests.fake_messages import raw_message
from tests.fakes import Fleet
from transforms.bulk_objects import BulkFolder
from transforms.elements import RawMessage
from transforms.exact_ledger import ledger
from transforms.merge_bucket import merge_bucket
from transforms.trust import Trust

FLEET = Fleet(9)
GATEWAY = FLEET.gateway(1)
DATA = b"an hour of readings"
NAME = "bulk/home-0001/gw-0001/2026-03-01T1200-ab.hwb"


def reference(**changes: object) -> pb.BulkReference:
    values = {"object": NAME, "sha256": hashlib.sha256(DATA).digest(), "size": len(DATA), "readings": 600}
    return pb.BulkReference(**{**values, **changes})


def notice(*references: pb.BulkReference) -> RawMessage:
    body = pb.Body(bulk=references)
    return raw_message(GATEWAY.envelope(body, seq=1, lane=pb.LANE_BULK), lane="bulk")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"object": "bulk/other.hwb"}, "missing"),
        ({"size": 3}, "19 bytes, announced 3"),
        ({"sha256": bytes(32)}, "another content than announced"),
        ({"object": "../ca.pem"}, "not a name"),
    ],
    ids=["as announced", "missing", "size", "hash", "outside"],
)
def test_an_object_is_there_or_it_is_said_what_is_wrong(
    folder: Path, changes: dict[str, object], fault: str
) -> None:
    assert BulkFolder(str(folder))(reference(**changes)) == fault


def test_the_ledger_counts_the_notice_and_names_the_object_that_is_missing(folder: Path) -> None:
    message = notice(reference(), reference(object="bulk/gone.hwb"))
    merged = merge_bucket([message], [], Trust(FLEET.ca), bulk_fault=BulkFolder(str(folder)))
    (row,) = ledger("home-0001", "gw-0001", merged.accounts["home-0001", "gw-0001"])
    assert (row.expected, row.received) == (1, 1)
    assert row.bulk_missing == ("bulk/gone.hwb: missing",)
