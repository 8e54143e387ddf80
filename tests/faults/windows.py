"""Windows that the stream wrote, beside those that the same pipeline makes of the archive's files."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.io import choose_io
from pipelines.models import model_handlers
from pipelines.monitor import build
from pipelines.options import MonitorConfig
from schemas.warehouse import WINDOW_SCORES, Table
from tests.faults.system import FaultSystem
from transforms.warehouse_loads import bigquery_client, timestamp

_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)
Window = tuple[str, str]  # home, end
Said = tuple[str, float, tuple[str, ...]]  # kind, score, reasons


def streamed(system: FaultSystem) -> list[dict[str, Any]]:
    """Rows of `window_scores` that the running jobs have written so far, repeated ones included."""
    return rows(system, WINDOW_SCORES)


def rows(system: FaultSystem, table: Table) -> list[dict[str, Any]]:
    """Rows of a table that the running jobs have written so far, repeated ones included."""
    if system.settings.warehouse == "off":
        return _rows(system.windows, table)
    names = [field["name"] for field in table.fields]
    with closing(bigquery_client(system.settings.project)) as client:
        found = client.query_and_wait(
            f"SELECT {', '.join(names)} FROM {system.settings.dataset}.{table.name}"
        )
        return [{name: _plain(value) for name, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    """A column as a JSON line has it."""
    if isinstance(value, dt.datetime):
        return timestamp((value - _EPOCH) // dt.timedelta(microseconds=1))
    return value


def replayed(system: FaultSystem, folder: Path) -> list[dict[str, Any]]:
    """Rows of `window_scores` of a run over the archive, by Beam's in-process runner."""
    config = MonitorConfig(
        input=(str(system.archive.folder),),
        output=str(folder),
        fleet_ca=str(system.ca),
        bulk=str(system.bucket),
    )
    options = PipelineOptions([])
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, config, choose_io(config, options), model_handlers())
    return _rows(folder / "warehouse", WINDOW_SCORES)


def standing(rows: Iterable[dict[str, Any]]) -> dict[Window, Said]:
    """The last word on each window: of its sendings the one that heard most."""
    best: dict[Window, tuple[int, Said]] = {}
    for row in rows:
        said = (row["heard"], (row["kind"], round(row["score"], 6), tuple(row["reasons"])))
        key = (row["home_id"], row["window_end"])
        best[key] = max(best.get(key, said), said, key=lambda one: (one[0], one[1][1], len(one[1][2])))
    return {key: said for key, (_, said) in best.items()}


def differences(wanted: Mapping[Window, Said], said: Mapping[Window, Said]) -> list[str]:
    """What the stream said otherwise than the archive, a line a window.

    >>> differences({("h1", "12:00"): ("fire", 0.8, ("air",))}, {})
    ["h1 12:00: archive ('fire', 0.8, ('air',)), stream None"]
    """
    return [
        f"{home} {end}: archive {wanted.get((home, end))}, stream {said.get((home, end))}"
        for home, end in sorted(wanted.keys() | said.keys())
        if wanted.get((home, end)) != said.get((home, end))
    ]


def _rows(warehouse: Path, table: Table) -> list[dict[str, Any]]:
    files = sorted((warehouse / table.name).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
