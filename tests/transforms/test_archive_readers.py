"""The archive as others read it: Apache's own Avro library, and BigQuery."""

from __future__ import annotations

import re
from pathlib import Path

import avro.datafile
import avro.io
import numpy as np
import pytest

from local.config import ROOT
from schemas.archive import ARCHIVE_SCHEMA, DEAD_LETTER_SCHEMA, PARTITIONS, partition
from schemas.readings import MINUTE_US
from tests.fakes import NOW_US, Fleet, body_of_minute
from tests.transforms.runs import run_batch
from transforms.archive_raw import ArchiveRaw
from transforms.elements import DeadLetter, RawMessage
from transforms.write_dead_letters import WriteDeadLetters
from transforms.write_objects import WriteAvroObjects

GATEWAY = Fleet(1).gateway(1)
BATCH = GATEWAY.envelope(body_of_minute(NOW_US - MINUTE_US, np.random.default_rng(1)), seq=7)
MESSAGE = RawMessage(BATCH, ["home_id=home-0001"], "m-1", NOW_US + 123_457, "minutes")
LETTER = DeadLetter("verify", "BadInput", "no", "batch", -1, "h", "g", "m-2", NOW_US, ["a=b"], b"\x00whole")
DDL = (ROOT / "deploy" / "bigquery" / "external_tables.sql").read_text()


def _read(file: Path) -> list[dict]:
    with file.open("rb") as stored, avro.datafile.DataFileReader(stored, avro.io.DatumReader()) as reader:
        return list(reader)


def test_apaches_avro_reads_the_archive_with_the_envelope_as_it_was_signed(tmp_path: Path) -> None:
    run_batch([MESSAGE], lambda messages: {"receipts": messages | ArchiveRaw(str(tmp_path))})
    (file,) = tmp_path.glob(f"{PARTITIONS}/*.avro")
    (row,) = _read(file)
    assert row["envelope"] == BATCH
    assert (row["gateway_id"], row["home_id"], row["seq"]) == ("gw-0001", "home-0001", 7)
    assert row["publish_time"].timestamp() == pytest.approx(MESSAGE.publish_us / 1e6, abs=1e-6)
    assert row["attributes"] == {"home_id": "home-0001"}


def test_apaches_avro_reads_dead_letters(tmp_path: Path) -> None:
    sink = WriteAvroObjects(str(tmp_path), "dead_letters", DEAD_LETTER_SCHEMA)

    def write(letters):  # type: ignore[no-untyped-def]
        _ = letters | WriteDeadLetters(sink)
        return {}

    run_batch([LETTER], write)
    (file,) = tmp_path.glob(f"{PARTITIONS}/*.avro")
    assert _read(file)[0]["payload"] == LETTER.payload


def _tables() -> dict[str, str]:
    """Name → its statement."""
    return {
        match[1]: match[0]
        for match in re.finditer(r"CREATE OR REPLACE EXTERNAL TABLE `[^`]*\.(\w+)`.*?;", DDL, re.DOTALL)
    }


@pytest.mark.parametrize(
    ("table", "schema"), [("archive", ARCHIVE_SCHEMA), ("dead_letters", DEAD_LETTER_SCHEMA)]
)
def test_an_external_table_declares_the_partitions_that_are_written(table: str, schema: dict) -> None:
    statement = _tables()[table]
    columns = re.search(r"WITH PARTITION COLUMNS \((.*?)\)", statement)
    assert columns is not None
    declared = dict(column.split() for column in columns[1].split(", "))
    written = dict(pair.split("=") for pair in partition(NOW_US).split("/"))
    assert list(declared) == list(written), "BigQuery wants the keys in the order of the folders"
    assert declared == {"day": "DATE", "hour": "STRING"}
    # BigQuery refuses a key that is also a column.
    assert not set(declared) & {field["name"] for field in schema["fields"]}
    assert f"hive_partition_uri_prefix = '${{OUTPUT}}/{table}'" in statement
    assert f"uris = ['${{OUTPUT}}/{table}/*.avro']" in statement
    assert statement.count("*") == 1, "one wildcard a URI"
