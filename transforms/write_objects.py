"""Rows → Avro objects, one a bundle and arrival hour: no rename step, no state.

An object exists before its bundle finishes, and the runner commits after that. A bundle that is tried
again writes another object with the same rows; readers drop copies by identity.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import fastavro
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from schemas.archive import partition


def object_name(folder: str, publish_us: int, prefix: str) -> str:
    """A name that no other bundle takes, in the partition of the arrival hour."""
    return f"{folder}/{partition(publish_us)}/{prefix}-{uuid.uuid4().hex}.avro"


def avro_bytes(rows: Iterable[dict[str, Any]], schema: Any, sync_marker: bytes = b"") -> bytes:
    """Rows → one Avro container file, not compressed: what is big in them is compressed already.

    Args:
        sync_marker: 16 bytes between blocks; with the same marker the same rows give the same bytes.
            Empty: random.
    """
    sink = io.BytesIO()
    fastavro.writer(sink, schema, rows, codec="null", sync_marker=sync_marker)
    return sink.getvalue()


def write_object(path: str, data: bytes) -> None:
    """Put a whole object. An object store shows it only when complete; a local file is made so here."""
    if "://" in path:
        with FileSystems.create(path) as sink:
            sink.write(data)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = f"{path}.part"
    with open(partial, "wb") as sink:
        sink.write(data)
        sink.flush()
        os.fsync(sink.fileno())
    os.replace(partial, path)


class _WriteRows(beam.DoFn):
    """Collects a bundle's rows and writes them when it finishes."""

    def __init__(self, folder: str, prefix: str, schema: dict[str, Any]) -> None:
        self._folder = folder.rstrip("/")
        self._prefix = prefix
        self._schema = schema
        self._rows_out = Metrics.counter("write_objects", f"{prefix}_rows_out")
        self._objects_out = Metrics.counter("write_objects", f"{prefix}_objects_out")

    def setup(self) -> None:
        self._parsed = fastavro.parse_schema(self._schema)

    def start_bundle(self) -> None:
        self._hours: dict[str, list[dict[str, Any]]] = {}

    def process(self, row: dict[str, Any]) -> None:
        self._hours.setdefault(partition(row["publish_time"]), []).append(row)

    def finish_bundle(self) -> None:
        for rows in self._hours.values():
            write_object(
                object_name(self._folder, rows[0]["publish_time"], self._prefix),
                avro_bytes(rows, self._parsed),
            )
            self._rows_out.inc(len(rows))
            self._objects_out.inc()
        self._hours = {}


class WriteAvroObjects(beam.PTransform):
    """Rows with a `publish_time` in µs → objects `{folder}/day=…/hour=…/{prefix}-….avro`."""

    def __init__(self, folder: str, prefix: str, schema: dict[str, Any]) -> None:
        super().__init__()
        self._write = _WriteRows(folder, prefix, schema)

    def expand(self, rows: Any) -> Any:
        return rows | "WriteAvro" >> beam.ParDo(self._write)
