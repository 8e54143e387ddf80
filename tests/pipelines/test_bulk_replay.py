"""An hour under the adaptive uplink, read from files: live features, then the object of their payloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.recorded import write_archive
from pipelines.io import choose_io
from pipelines.models import model_handlers
from pipelines.monitor import build
from pipelines.options import BadOptions, MonitorConfig, parse_options
from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import seal
from schemas.live_features import features_of
from schemas.models import is_large
from schemas.readings import MINUTE_US
from tests.fakes import NOW_US, SENSORS, Fleet, reading
from transforms.elements import RawMessage

FLEET = Fleet(4)
GATEWAY = FLEET.gateway(1)
MINUTES = 6


def _messages(folder: Path) -> list[RawMessage]:
    """Six live minutes and, half an hour later, the notice of their object, which lies in `folder`."""
    rng, found, kept = np.random.default_rng(3), [], []
    for minute in range(MINUTES):
        minute_us = NOW_US + minute * MINUTE_US
        readings = [reading(*s, minute_us, rng, gateway_id=GATEWAY.gateway_id) for s in SENSORS]
        kept += readings
        features = [features_of(r, GATEWAY.gateway_id, with_log_mel=minute % 2 == 0) for r in readings]
        body = pb.Body(features=features, features_minute_us=minute_us)
        header = GATEWAY.header(seq=minute + 1, created_us=minute_us + MINUTE_US)
        payload = seal(header, body, GATEWAY.key, GATEWAY.certificate, dictionary_id=1)
        found.append(RawMessage(payload, [], f"m-{minute}", minute_us + MINUTE_US + 1, "minutes"))
    data = bulk.pack_object(kept, GATEWAY.home_id, GATEWAY.gateway_id)
    digest = bulk.sha256(data)
    name = bulk.object_name(GATEWAY.home_id, GATEWAY.gateway_id, NOW_US, digest)
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(data)
    reference = pb.BulkReference(
        object=name,
        sha256=digest,
        size=len(data),
        first_minute_us=NOW_US,
        last_minute_us=NOW_US + (MINUTES - 1) * MINUTE_US,
        readings=len(kept),
    )
    at_us = NOW_US + 40 * MINUTE_US
    header = GATEWAY.header(seq=MINUTES + 1, lane=pb.LANE_BULK, created_us=at_us)
    payload = seal(header, pb.Body(bulk=[reference]), GATEWAY.key, GATEWAY.certificate, dictionary_id=1)
    return [*found, RawMessage(payload, [], "notice", at_us, "bulk")]


def _replay(tmp_path: Path, name: str, messages: list[RawMessage]) -> dict[str, list[Any]]:
    source, out = tmp_path / name / "archive", tmp_path / f"{name}-out"
    write_archive(source, messages)
    (tmp_path / "ca.pem").write_bytes(FLEET.ca_pem)
    config = MonitorConfig(
        input=(str(source),), output=str(out), fleet_ca=str(tmp_path / "ca.pem"), bulk=str(tmp_path)
    )
    options = PipelineOptions([])
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, config, choose_io(config, options), model_handlers())
    rows = {
        table: [
            json.loads(line)
            for file in (out / "warehouse" / table).glob("*.jsonl")
            for line in file.read_text().splitlines()
        ]
        for table in ("readings_scores", "window_scores")
    }
    # What the large model says of some of the sounds again is not what these tests are about.
    small = [row for row in rows["readings_scores"] if not is_large(row["family"], row["model_version"])]
    return rows | {"readings_scores": small, "dead": list(out.glob("dead_letters/**/*.avro"))}


def test_the_object_refines_history_under_the_same_ids_and_changes_no_window(tmp_path: Path) -> None:
    messages = _messages(tmp_path)
    live = _replay(tmp_path, "live", messages[:-1])
    both = _replay(tmp_path, "both", messages)
    assert both["dead"] == []
    ids = {row["reading_id"] for row in live["readings_scores"]}
    assert len(ids) == 10 * MINUTES
    assert {row["reading_id"] for row in both["readings_scores"]} == ids
    # Each reading has now been scored from its payload as well; the sounds that stayed at home for the
    # first time.
    assert len(both["readings_scores"]) == 2 * len(live["readings_scores"])
    verdicts = {row["reading_id"] for row in both["readings_scores"] if row["model_version"] != "device"}
    assert verdicts == ids
    windows = [
        sorted((r["window_end"], r["score"], r["heard"]) for r in run["window_scores"])
        for run in (live, both)
    ]
    assert windows[0] == windows[1] != []


def test_a_lost_object_is_a_dead_letter_and_the_minutes_stand(tmp_path: Path) -> None:
    messages = _messages(tmp_path)
    next((tmp_path / "bulk").rglob("*.hwb")).unlink()
    found = _replay(tmp_path, "lost", messages)
    assert len(found["readings_scores"]) == 10 * MINUTES
    assert len(found["dead"]) == 1


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["--input", "gs://b/monitor/archive", "--output", "gs://other/replay"], "gs://b"),
        (["--input", "/data/archive/", "--output", "/tmp/replay"], "/data"),
        (
            ["--input", "pubsub://p/bulk-monitor", "--output", "gs://b/monitor", "--alarms", "firestore://p"],
            "gs://b",
        ),
        (["--input", "/data/archive", "--output", "/tmp/r", "--bulk", "gs://uploads"], "gs://uploads"),
    ],
)
def test_where_gateways_upload_has_a_default(arguments: list[str], folder: str) -> None:
    assert parse_options([*arguments, "--fleet-ca", "ca.pem"])[0].bulk_folder == folder


def test_lanes_are_those_of_the_inputs_and_of_files_all() -> None:
    common = ["--output", "gs://b/monitor", "--fleet-ca", "ca.pem"]
    live, _ = parse_options(
        ["--input", "pubsub://p/minutes-monitor", "pubsub://p/bulk-x", "--alarms", "firestore://p", *common]
    )
    assert live.lanes == ("minutes", "bulk")
    files, _ = parse_options(["--input", "gs://b/archive", *common])
    assert files.lanes == ("urgent", "minutes", "bulk")
    with pytest.raises(BadOptions, match="known lanes"):
        parse_options(["--input", "gs://b/archive", "--lanes", "radio", *common])
