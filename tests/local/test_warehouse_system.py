"""The BigQuery stand-in does what Beam's query reads ask of it, and leaves other datasets alone."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from google.cloud import bigquery

from local import emulators, install, parts
from local.config import Settings, isolated
from pipelines.training.endpoints import use_stand_in

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
ROWS = [{"home_id": f"home-{n}", "payload": bytes([n, 0, 255])} for n in range(5)]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = isolated(tmp_path_factory.mktemp("warehouse"))
    install.ensure_warehouse(settings, print)
    by_name = {part.name: part for part in parts.stand_ins(settings)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        with parts.running(by_name["gcs"], settings), parts.running(by_name["bigquery"], settings):
            yield settings


def test_a_query_read_by_beam_gives_every_row_and_deletes_nobodys_dataset(
    stand_in: Settings,
) -> None:
    assert use_stand_in()
    client = bigquery.Client(project=stand_in.project)
    client.create_dataset("kept", timeout=20)
    lines = [{**row, "payload": base64.b64encode(row["payload"]).decode()} for row in ROWS]
    client.load_table_from_file(
        io.BytesIO("\n".join(map(json.dumps, lines)).encode()),
        "kept.rows",
        job_config=bigquery.LoadJobConfig(
            source_format="NEWLINE_DELIMITED_JSON",
            schema=[bigquery.SchemaField("home_id", "STRING"), bigquery.SchemaField("payload", "BYTES")],
        ),
    ).result(timeout=30)
    options = PipelineOptions(
        [f"--project={stand_in.project}", f"--temp_location=gs://{stand_in.bucket}/temp"]
    )
    with beam.Pipeline(FnApiRunner(), options) as pipeline:
        rows = pipeline | beam.io.ReadFromBigQuery(
            query="SELECT home_id, payload FROM kept.rows",
            use_standard_sql=True,
            method=beam.io.ReadFromBigQuery.Method.DIRECT_READ,
        )
        assert_that(rows, equal_to(ROWS))
    assert [dataset.dataset_id for dataset in client.list_datasets(timeout=20)] == ["kept"]
