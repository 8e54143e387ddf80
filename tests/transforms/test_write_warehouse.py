"""Rows of the warehouse, how they are grouped, and what a load that fails costs."""

from __future__ import annotations

import json
import math
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from functools import partial
from typing import Any

import apache_beam as beam
import google.auth
import pytest
from apache_beam.internal.gcp import auth
from google.api_core.exceptions import Conflict, ServiceUnavailable
from google.auth.credentials import AnonymousCredentials
from hypothesis import given
from hypothesis import strategies as st

from schemas.warehouse import READINGS_SCORES, TABLES, WINDOW_SCORES, current_sql
from tests.transforms.homes import home_window, minute_of_scores, score
from tests.transforms.runs import run_batch, run_stream
from transforms.elements import Receipt, Score, WindowScore
from transforms.read_scores import read_scores
from transforms.score_homes import fuse
from transforms.warehouse_loads import (
    MAX_TRIES,
    LoadRefused,
    LoadTarget,
    bigquery_client,
    load,
    load_config,
    timestamp,
)
from transforms.write_warehouse import (
    WriteWarehouse,
    _LoadRows,
    join_packs,
    receipt_row,
    score_row,
    window_row,
)

RECEIPT = Receipt(
    home_id="home-1",
    gateway_id="gw-1",
    epoch="0e" * 16,
    seq=7,
    lane="minutes",
    message_id="m-7",
    publish_us=1_772_366_461_000_000,
    size=31_000,
    object_name="archive/day=2026-03-01/hour=12/batches-1.avro",
)
SCORE = score("air-kitchen", 0, "fire", 0.8)._replace(quantities=[900.0, 3.0, math.nan, 60.0, 20.0, 1000.0])
WINDOW = fuse(home_window([score("sound-kitchen", 0, "glass_break", 0.9), score("motion-hall", 1, "person")]))
ROWS = [
    ("readings_scores", score_row(SCORE)),
    ("window_scores", window_row(WINDOW)),
    ("batches", receipt_row(RECEIPT)),
]
PYTHON_TYPES = {"STRING": str, "INTEGER": int, "FLOAT": float, "TIMESTAMP": str}


def check_fields(row: dict[str, Any], fields) -> None:
    assert set(row) == {field["name"] for field in fields}
    for field in fields:
        value = row[field["name"]]
        values = value if field["mode"] == "REPEATED" else [value]
        for one in values:
            if field["type"] == "RECORD":
                check_fields(one, field["fields"])
            elif one is None:
                assert field["mode"] == "NULLABLE", field["name"]
            else:
                assert isinstance(one, PYTHON_TYPES[field["type"]]), field["name"]


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[name for name, _ in ROWS])
def test_a_row_has_exactly_the_columns_of_its_table(table, row):
    check_fields(row, TABLES[table].fields)


def test_a_quantity_without_data_becomes_null_and_keeps_its_name():
    assert score_row(SCORE)["quantities"][2] == {"name": "voc_index", "value": None}


@given(st.integers(0, 4_102_444_800_000_000))
def test_timestamps_keep_their_microseconds(us):
    whole, part = timestamp(us).removesuffix("Z").split(".")

    assert int(part) == us % 1_000_000
    assert len(whole) == len("1970-01-01T00:00:00")


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(1, 60))
def test_packs_are_joined_up_to_the_limit_in_order_and_never_split(packs, limit):
    joined = list(join_packs(packs, limit))

    assert b"".join(joined) == b"".join(packs)
    assert all(len(data) <= limit or data in packs for data in joined)
    assert len(joined) <= len(packs)


@pytest.mark.parametrize(
    ("destination", "staging"),
    [("bigquery://project", "gs://b/s"), ("bigquery://p.d", ""), ("bigquery://p.d", "/tmp/staging")],
)
def test_a_destination_that_cannot_work_is_refused(destination, staging):
    with pytest.raises(ValueError, match="want"):
        WriteWarehouse(destination, staging)


def write(elements, sink: WriteWarehouse) -> dict[str, beam.PCollection]:
    """Split a mixed collection into the inputs and write them."""
    kinds = {"receipts": Receipt, "scores": Score, "windows": WindowScore}
    parts = {
        name: elements | f"Only{name.capitalize()}" >> beam.Filter(isinstance, kind).with_output_types(kind)
        for name, kind in kinds.items()
    }
    _ = parts | "WriteWarehouse" >> sink
    return {}


def test_a_run_over_files_leaves_json_lines_by_table(tmp_path):
    run_batch([RECEIPT, SCORE, WINDOW], partial(write, sink=WriteWarehouse(str(tmp_path))))

    for table, row in ROWS:
        (file,) = (tmp_path / table).glob("*.jsonl")
        assert [json.loads(line) for line in file.read_text().splitlines()] == [row]


def test_a_job_without_a_lanes_parts_writes_what_it_has(tmp_path):
    def only_receipts(receipts):
        _ = {"receipts": receipts} | WriteWarehouse(str(tmp_path))
        return {}

    run_batch([RECEIPT], only_receipts)

    assert [folder.name for folder in tmp_path.iterdir()] == ["batches"]


class FakeJob:
    """A job that is done; with `error_result` it failed."""

    def __init__(self, error_result: dict[str, str] | None = None) -> None:
        self.error_result = error_result

    def result(self, **_: Any) -> None:
        """Done."""


class FakeClient:
    """The parts of a BigQuery client that loading uses; jobs are kept by id, as the service keeps them."""

    project = "p"
    jobs: dict[str, dict[str, Any]] = {}  # noqa: RUF012 — shared by the copies that Beam pickles
    fails = False
    failed: set[str] = set()  # noqa: RUF012 — ids of jobs that the service took and could not do

    def __init__(self, project: str) -> None:
        self.project = project

    def create_dataset(self, name: str, **_: Any) -> None:
        """There is one."""

    def load_table_from_uri(self, names, table, *, job_id, **_: Any) -> FakeJob:
        if FakeClient.fails:
            raise ServiceUnavailable("503 down")
        if job_id in FakeClient.jobs:
            raise Conflict("409 job exists")
        FakeClient.jobs[job_id] = {"table": table, "names": names}
        return FakeJob()

    def get_job(self, job_id: str, **_: Any) -> FakeJob:
        assert job_id in FakeClient.jobs
        return FakeJob({"reason": "backendError"} if job_id in FakeClient.failed else None)

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def fake_client():
    FakeClient.jobs, FakeClient.fails, FakeClient.failed = {}, False, set()
    return FakeClient


def test_the_same_objects_are_loaded_once_however_often_they_are_tried(fake_client):
    for names in (["gs://b/1", "gs://b/2"], ["gs://b/2", "gs://b/1"], ["gs://b/3"]):
        load(fake_client("p"), "d", WINDOW_SCORES, names)

    assert [job["names"] for job in fake_client.jobs.values()] == [["gs://b/1", "gs://b/2"], ["gs://b/3"]]


def test_tables_are_made_partitioned_and_clustered():
    config = load_config(WINDOW_SCORES).to_api_repr()["load"]

    assert config["timePartitioning"] == {"type": "DAY", "field": "publish_time"}
    assert config["clustering"] == {"fields": ["home_id"]}
    assert config["createDisposition"] == "CREATE_IF_NEEDED"


def test_a_group_becomes_one_object_and_one_job_and_the_object_goes(fake_client, tmp_path):
    writer = loader(tmp_path)

    writer.process(("window_scores/0", [b"{}\n", b"{}\n{}\n"]))
    writer.finish_bundle()

    (job,) = fake_client.jobs.values()
    assert job["table"] == "p.d.window_scores"
    assert len(job["names"]) == 1
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_failed_load_keeps_the_rows_and_does_not_stop_the_pipeline(fake_client, tmp_path):
    writer = loader(tmp_path)
    fake_client.fails = True

    writer.process(("batches/0", [b'{"seq":1}\n']))
    writer.finish_bundle()

    (kept,) = tmp_path.rglob("*.jsonl")
    assert kept.read_bytes() == b'{"seq":1}\n'


def test_a_failed_job_is_tried_again_under_the_next_number_and_given_up_after_the_last(fake_client):
    for number in range(MAX_TRIES):
        load(fake_client("p"), "d", WINDOW_SCORES, ["gs://b/1"])
        assert len(fake_client.jobs) == number + 1
        fake_client.failed = set(fake_client.jobs)

    with pytest.raises(LoadRefused, match="backendError"):
        load(fake_client("p"), "d", WINDOW_SCORES, ["gs://b/1"])
    assert len(fake_client.jobs) == MAX_TRIES


def loader(folder) -> _LoadRows:
    writer = _LoadRows(LoadTarget("p", "d", str(folder), FakeClient))
    writer.setup()
    return writer


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Object storage and BigQuery on this machine; the environment names them."""
    from local import emulators, install
    from local.config import isolated

    settings = isolated(tmp_path_factory.mktemp("warehouse"))
    install.ensure_warehouse(settings, print)
    for folder in (settings.data / "gcs", settings.data / "bigquery"):
        folder.mkdir(parents=True)
    gcs = f"http://{settings.address(settings.gcs_port)}"
    rest = f"http://{settings.address(settings.bigquery_port)}"
    variables = {
        "STORAGE_EMULATOR_HOST": gcs,
        "BIGQUERY_EMULATOR_HOST": rest,
        "GOOGLE_CLOUD_PROJECT": settings.project,
        "BQEMU_GCS_LOCAL_ROOT": str(settings.data / "gcs" / ".cloudstorage"),
    }
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in variables.items():
            patch.setenv(name, value)
        # Beam's storage client asks for credentials for 20 s even where a stand-in needs none.
        patch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), settings.project))
        patch.setattr(auth._Credentials, "_credentials_init", False)
        patch.setattr(auth._Credentials, "_credentials", None)
        for command, url in (
            (emulators.gcs_command(settings), f"{gcs}/storage/v1/b/{settings.bucket}"),
            (emulators.bigquery_command(settings), f"{rest}/bigquery/v2/projects/p/datasets"),
        ):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            _wait_for(url, process)
        yield settings


def _wait_for(url: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            assert process.poll() is None, f"{process.args[0]} ended with {process.returncode}"
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


def warehouse(settings, dataset: str) -> WriteWarehouse:
    return WriteWarehouse(
        f"bigquery://{settings.project}.{dataset}", f"gs://{settings.bucket}/staging", period_s=2, shards=2
    )


def query(settings, sql: str) -> list[dict[str, Any]]:
    client = bigquery_client(settings.project)
    try:
        return [dict(row) for row in client.query(sql, timeout=30).result(timeout=30)]
    finally:
        client.close()


@pytest.mark.system
def test_rows_arrive_whole_in_bigquery(stand_ins):
    run_batch([RECEIPT, SCORE, WINDOW], partial(write, sink=warehouse(stand_ins, "whole")))

    (stored,) = query(stand_ins, "SELECT * FROM whole.readings_scores")
    assert stored["publish_time"].isoformat().startswith(timestamp(SCORE.publish_us)[:19])
    assert stored["probabilities"] == score_row(SCORE)["probabilities"]
    assert stored["quantities"] == score_row(SCORE)["quantities"]
    (window,) = query(stand_ins, "SELECT kind, score, reasons FROM whole.window_scores")
    assert window == {"kind": WINDOW.kind, "score": WINDOW.score, "reasons": WINDOW.reasons}
    assert query(stand_ins, "SELECT seq, size_bytes FROM whole.batches") == [{"seq": 7, "size_bytes": 31_000}]


@pytest.mark.system
def test_a_stream_is_loaded_and_copies_are_read_past(stand_ins):
    scores = minute_of_scores(0) + minute_of_scores(1)
    earlier = WINDOW._replace(publish_us=WINDOW.publish_us - 1, score=0.1, kind="")
    steps = [[*scores, earlier], [*scores[:5], WINDOW], [RECEIPT]]

    run_stream(steps, partial(write, sink=warehouse(stand_ins, "stream")))

    (rows,) = query(stand_ins, "SELECT COUNT(*) AS n FROM stream.readings_scores")
    assert rows["n"] == 25
    current = current_sql("stream", TABLES["readings_scores"])
    assert query(stand_ins, f"SELECT COUNT(*) AS n FROM ({current})") == [{"n": 20}]
    assert query(stand_ins, current_sql("stream", WINDOW_SCORES))[0]["kind"] == WINDOW.kind
    first_us = scores[0].minute_us
    found = read_scores(f"bigquery://{stand_ins.project}.stream", READINGS_SCORES, first_us, first_us + 1)
    assert sorted(one.reading_id for one in found) == sorted(one.reading_id for one in scores[:10])
    staged = stand_ins.data / "gcs" / ".cloudstorage" / stand_ins.bucket / "staging"
    assert not [file for file in staged.rglob("*.jsonl") if file.is_file()]
