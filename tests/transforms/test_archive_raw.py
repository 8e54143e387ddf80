"""Everything that arrives is archived as it arrived, before anybody looks whether it is good."""

from __future__ import annotations

from pathlib import Path

import fastavro
import numpy as np

from schemas.archive import PARTITIONS
from schemas.readings import MINUTE_US
from tests.fakes import NOW_US, Fleet, body_of_minute
from tests.transforms.runs import run_batch, run_stream
from transforms.archive_raw import ArchiveRaw, archive_row
from transforms.elements import RawMessage
from transforms.read_archive import raw_message

GATEWAY = Fleet(1).gateway(1)
BATCH = GATEWAY.envelope(body_of_minute(NOW_US - MINUTE_US, np.random.default_rng(1)), seq=7)
GOOD = RawMessage(BATCH, ["home_id=home-0001", "note=a=b"], "1", NOW_US + 123_457, "minutes")
BAD = RawMessage(b"\x00random", [], "2", NOW_US + 3_600_000_000, "minutes")


def test_good_and_bad_messages_come_back_byte_for_byte_by_arrival_hour(tmp_path: Path) -> None:
    receipts = run_batch([GOOD, BAD], lambda messages: {"receipts": messages | ArchiveRaw(str(tmp_path))})
    files = sorted(tmp_path.glob(f"{PARTITIONS}/*.avro"))
    assert [file.parent.name for file in files] == ["hour=12", "hour=13"]
    back = [raw_message(row) for file in files for row in fastavro.reader(file.open("rb"))]
    assert back == [GOOD, BAD]
    assert {(r.gateway_id, r.seq, r.message_id) for r in receipts["receipts"]} == {
        ("gw-0001", 7, "1"),
        ("", 0, "2"),
    }
    assert {r.object_name for r in receipts["receipts"]} == {str(file) for file in files}


def test_an_unreadable_header_leaves_its_columns_empty() -> None:
    row = archive_row(BAD)
    assert (row["gateway_id"], row["home_id"], row["epoch"], row["seq"]) == ("", "", "", 0)
    assert row["envelope"] == BAD.payload


def test_no_partial_file_is_left_beside_the_objects(tmp_path: Path) -> None:
    run_batch([GOOD], lambda messages: {"receipts": messages | ArchiveRaw(str(tmp_path))})
    assert {file.suffix for file in tmp_path.rglob("*") if file.is_file()} == {".avro"}


def _stored(folder: Path) -> dict[str, list[RawMessage]]:
    """Messages by the object that holds them."""
    return {
        str(file): [raw_message(row) for row in fastavro.reader(file.open("rb"))]
        for file in sorted(folder.glob(f"{PARTITIONS}/*.avro"))
    }


def test_held_bundles_become_one_object_an_hour_and_lane(tmp_path: Path) -> None:
    bundles = [[GOOD._replace(message_id=str(number))] for number in range(5)] + [[BAD]]
    found = run_stream(
        bundles, lambda messages: {"receipts": messages | ArchiveRaw(str(tmp_path), hold_s=60)}
    )
    objects = _stored(tmp_path)
    assert sorted(len(messages) for messages in objects.values()) == [1, 5]
    assert sorted(message for messages in objects.values() for message in messages) == sorted(
        message for [message] in bundles
    )
    assert {receipt.message_id: receipt.object_name for receipt in found["receipts"]} == {
        message.message_id: name for name, messages in objects.items() for message in messages
    }


def test_a_large_bundle_does_not_wait_for_small_ones(tmp_path: Path) -> None:
    first, second, third, fourth = (GOOD._replace(message_id=str(number)) for number in range(4))
    build = ArchiveRaw(str(tmp_path), hold_s=60, large_bytes=2 * len(BATCH))
    run_stream([[first], [second, third], [fourth]], lambda messages: {"receipts": messages | build})
    objects = {frozenset(one.message_id for one in messages) for messages in _stored(tmp_path).values()}
    assert objects == {frozenset("12"), frozenset("03")}


def test_a_group_is_written_early_when_it_has_many_packs(tmp_path: Path) -> None:
    bundles = [[GOOD._replace(message_id=str(number))] for number in range(11)]
    build = ArchiveRaw(str(tmp_path), hold_s=60, max_packs=8)
    run_stream(bundles, lambda messages: {"receipts": messages | build})
    assert sorted(map(len, _stored(tmp_path).values())) == [3, 8]
