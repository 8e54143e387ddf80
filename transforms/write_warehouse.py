"""WriteWarehouse: receipts, scores and window scores → BigQuery by load jobs, or JSON lines in a folder.

Why not Beam's FILE_LOADS: on the portable Flink of Beam 2.62 it fails on a stream (ClassCastException of
bytes to WindowedValue; the job restarts and loads nothing). Where it runs, it is 45 transforms with 5
shuffles and 8 side inputs a table, and every row crosses a shuffle alone. Here a bundle's rows cross as
one value a table, and one shuffle waits for the trigger (in the JVM; no Python state). Load jobs cost
nothing, streaming inserts do; 1,500 jobs a table and day are allowed, so period_s / shards must be at
least 58 s.

A group of rows becomes an object first and is then loaded (transforms/staged_loads.py); object and job
are named by content, so a bundle that is tried again loads nothing twice. After a rollback rows may be
grouped anew and come twice: `schemas.warehouse.current_sql` reads past that. A load that fails never
stops the pipeline (alarms must not share the fate of statistics): it is counted, and tried again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms.trigger import AccumulationMode, AfterProcessingTime, Repeatedly
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from google.cloud import bigquery

from schemas.live_features import SUMMARY_NAMES
from schemas.warehouse import (
    BATCHES,
    LOSSES,
    READINGS_SCORES,
    SCHEMA_VERSION,
    SHADOW_SCORES,
    TABLES,
    WINDOW_SCORES,
    Table,
)
from transforms.elements import Receipt, Score, WindowScore
from transforms.losses import LossChange
from transforms.staged_loads import StagedLoads
from transforms.warehouse_loads import (
    SCHEME,
    LoadTarget,
    bigquery_client,
    load_target,
    staged_name,
    timestamp,
)
from transforms.write_objects import write_object

PERIOD_S: Final = 60
MAX_OBJECT_BYTES: Final = 64 << 20
_WAIT_S: Final = 2.0  # for loads that go well, so that a run over files ends with its rows loaded

Row = dict[str, Any]


def score_row(score: Score) -> Row:
    """Score → a row of `readings_scores`."""
    pairs = zip(score.labels, score.probabilities, strict=True)
    names = SUMMARY_NAMES.get(score.family, ())[: len(score.quantities)]
    return {
        "home_id": score.home_id,
        "gateway_id": score.gateway_id,
        "publish_time": timestamp(score.publish_us),
        "batch_id": score.batch_id,
        "reading_id": score.reading_id,
        "sensor_id": score.sensor_id,
        "room": score.room,
        "family": score.family,
        "minute_time": timestamp(score.minute_us),
        "arming_mode": score.arming_mode,
        "label": score.label,
        "score": score.score,
        "probabilities": [{"label": label, "probability": p} for label, p in pairs],
        "quantities": [
            {"name": name, "value": _finite(value)}
            for name, value in zip(names, score.quantities, strict=True)
        ],
        "model_version": score.model_version,
        "schema_version": SCHEMA_VERSION,
    }


def window_row(window: WindowScore) -> Row:
    """WindowScore → a row of `window_scores`."""
    return {
        "home_id": window.home_id,
        "gateway_id": window.gateway_id,
        "publish_time": timestamp(window.publish_us),
        "window_end": timestamp(window.window_end_us),
        "arming_mode": window.arming_mode,
        "kind": window.kind,
        "score": window.score,
        "heard": window.heard,
        "reasons": list(window.reasons),
        "evidence": list(window.evidence),
        "rule_version": window.rule_version,
        "schema_version": SCHEMA_VERSION,
    }


def receipt_row(receipt: Receipt) -> Row:
    """Receipt → a row of `batches`."""
    return {
        "home_id": receipt.home_id,
        "gateway_id": receipt.gateway_id,
        "publish_time": timestamp(receipt.publish_us),
        "epoch": receipt.epoch,
        "seq": receipt.seq,
        "lane": receipt.lane,
        "message_id": receipt.message_id,
        "size_bytes": receipt.size,
        "object_name": receipt.object_name,
        "schema_version": SCHEMA_VERSION,
    }


def loss_row(change: LossChange) -> Row:
    """LossChange → a row of `losses`."""
    return {
        "home_id": change.home_id,
        "gateway_id": change.gateway_id,
        "publish_time": timestamp(change.told_us),
        "epoch": change.epoch,
        "first_seq": change.first_seq,
        "last_seq": change.last_seq,
        "from_time": timestamp(change.from_us) if change.from_us else None,
        "to_time": timestamp(change.to_us) if change.to_us else None,
        "reason": change.reason,
        "state": change.state,
        "schema_version": SCHEMA_VERSION,
    }


_ROWS: Final[dict[str, tuple[Table, Callable[[Any], Row]]]] = {
    "receipts": (BATCHES, receipt_row),
    "scores": (READINGS_SCORES, score_row),
    "shadows": (SHADOW_SCORES, score_row),
    "windows": (WINDOW_SCORES, window_row),
    "losses": (LOSSES, loss_row),
}


class WriteWarehouse(beam.PTransform):
    """{"receipts": Receipt, "scores": Score, "shadows": Score, "windows": WindowScore, "losses": LossChange}.

    Any of them may be missing.

    Attributes:
        destination: bigquery://PROJECT.DATASET, or a folder for JSON lines.
        staging: gs:// folder, for BigQuery only.
        period_s: A table is loaded once in so many seconds. shards: and by so many workers at once.

    Raises:
        ValueError: BigQuery without a dataset or a gs:// folder to stage in.
    """

    def __init__(
        self,
        destination: str,
        staging: str = "",
        *,
        period_s: float = PERIOD_S,
        shards: int = 1,
        make_client: Callable[[str], bigquery.Client] = bigquery_client,
    ) -> None:
        super().__init__()
        self.destination = destination.rstrip("/")
        self.period_s = period_s
        self.shards = shards
        self.target: LoadTarget | None = None
        if destination.startswith(SCHEME):
            self.target = load_target(destination, staging, make_client)

    def expand(self, inputs):  # type: ignore[no-untyped-def]
        lines = []
        for name, elements in inputs.items():
            table, to_row = _ROWS[name]
            label = f"Build{''.join(part.capitalize() for part in table.name.split('_'))}Rows"
            lines.append(elements | label >> _to_lines(table, to_row))
        joined = lines | "JoinRows" >> beam.Flatten()
        if self.target is None:
            return joined | "WriteFiles" >> beam.ParDo(_WriteFiles(self.destination))
        packed = joined | "PackRows" >> beam.ParDo(_PackRows(self.shards)).with_output_types(
            tuple[str, bytes]
        )
        if not joined.is_bounded:
            packed = packed | "AwaitTrigger" >> beam.WindowInto(
                GlobalWindows(),
                trigger=Repeatedly(AfterProcessingTime(self.period_s)),
                accumulation_mode=AccumulationMode.DISCARDING,
            )
        return packed | "GroupRows" >> beam.GroupByKey() | "LoadRows" >> beam.ParDo(_LoadRows(self.target))


def _to_lines(table: Table, to_row: Callable[[Any], Row]) -> beam.PTransform:
    return beam.Map(_line, table.name, to_row).with_output_types(tuple[str, bytes])


def json_line(row: Row) -> bytes:
    """A row as a line of a load job's file."""
    return _ENCODE(row).encode() + b"\n"


_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _line(element: Any, table: str, to_row: Callable[[Any], Row]) -> tuple[str, bytes]:
    return table, json_line(to_row(element))


class _BundleRows(beam.DoFn):
    """Collects a bundle's lines by table."""

    def start_bundle(self) -> None:
        self._lines: dict[str, list[bytes]] = {}

    def process(self, element: tuple[str, bytes]) -> None:
        table, line = element
        self._lines.setdefault(table, []).append(line)


class _PackRows(_BundleRows):
    """(table, line) → (table and shard, all of the bundle's lines), so that one value is shuffled."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for table, lines in self._lines.items():
            data = b"".join(lines)
            shard = int.from_bytes(hashlib.sha256(data).digest()[:4], "big") % self._shards
            yield WindowedValue((f"{table}/{shard}", data), MIN_TIMESTAMP, (GlobalWindow(),))


class _WriteFiles(_BundleRows):
    """(table, line) → objects `{folder}/{table}/….jsonl`, one a bundle and table."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def finish_bundle(self) -> None:
        for table, lines in self._lines.items():
            data = b"".join(lines)
            write_object(staged_name(self._folder, table, data), data)


class _LoadRows(beam.DoFn):
    """(table and shard, packs of lines) → staged objects, which a thread of the worker loads."""

    def __init__(self, target: LoadTarget) -> None:
        self._target = target
        self._rows = Metrics.counter("WriteWarehouse", "rows_staged")
        self._jobs = Metrics.counter("WriteWarehouse", "loads")
        self._failed = Metrics.counter("WriteWarehouse", "loads_failed")
        self._load_msec = Metrics.distribution("WriteWarehouse", "load_msec")

    def setup(self) -> None:
        self._loads = StagedLoads.of(self._target)

    def process(self, element: tuple[str, Iterable[bytes]]) -> None:
        key, packs = element
        table = TABLES[key.partition("/")[0]]
        for data in join_packs(packs):
            name = staged_name(self._target.staging, table.name, data)
            write_object(name, data)
            self._rows.inc(data.count(b"\n"))
            self._loads.add(table, name)

    def finish_bundle(self) -> None:
        self._loads.wait(_WAIT_S)
        counts = self._loads.take_counts()
        self._jobs.inc(counts.loads)
        self._failed.inc(counts.failed)
        for msec in counts.msec:
            self._load_msec.update(msec)


def join_packs(packs: Iterable[bytes], limit: int = MAX_OBJECT_BYTES) -> Iterator[bytes]:
    """Packs of lines → as few objects as the size limit allows; a pack is never split."""
    held: list[bytes] = []
    size = 0
    for pack in packs:
        if held and size + len(pack) > limit:
            yield b"".join(held)
            held, size = [], 0
        held.append(pack)
        size += len(pack)
    if held:
        yield b"".join(held)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
