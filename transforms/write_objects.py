"""Rows → Avro objects, one a bundle and arrival hour: no rename step, no state.

An object exists before its bundle finishes, and the runner commits after that. A bundle that is tried
again writes another object with the same rows; readers drop copies by identity.

While object storage is away the bundle waits, so that an outage of minutes restarts no job. What must
not wait for it (alarms of the urgent lane) runs in a job that writes no objects (local/parts.py).
"""

from __future__ import annotations

import functools
import io
import logging
import os
import uuid
from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import fastavro
import requests
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp.gcsio import GcsIO
from apache_beam.metrics import Metrics
from google.api_core import retry
from google.api_core.exceptions import PreconditionFailed, ServerError, TooManyRequests

from schemas.archive import partition

_LOG = logging.getLogger(__name__)
# Shorter than a lease (transforms/lease.py) and than Flink's limit for a checkpoint, 10 min each: the
# bundle's messages are still ours when it is over.
OUTAGE_S: Final = 300.0
_GCS: Final = "gs://"
_CALL_TIMEOUT_S: Final = (5.0, 60.0)  # to connect, to get an answer
_AWAY: Final = (
    ConnectionError,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    ServerError,
    TooManyRequests,
)


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


def write_object(path: str, data: bytes, *, only_new: bool = False) -> None:
    """Put a whole object. An object store shows it only when complete; a local file is made so here.

    Args:
        only_new: Of several who write this name at once, one succeeds.

    Raises:
        FileExistsError: `only_new`, and another content is there.
        google.api_core.exceptions.RetryError: gs:// and the service was away for `OUTAGE_S`.
        GoogleAPICallError: gs:// and the service refused.
        OSError: The file could not be written.
    """
    if path.startswith(_GCS):
        try:
            _put_patiently(path, data, only_new)
        except PreconditionFailed as error:
            if _blob(path).download_as_bytes() != data:  # else it was ours, and its answer was lost
                raise FileExistsError(path) from error
        return
    if "://" in path:
        with FileSystems.create(path) as sink:
            sink.write(data)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = f"{path}.{uuid.uuid4().hex}.part" if only_new else f"{path}.part"
    with open(partial, "wb") as sink:
        sink.write(data)
        sink.flush()
        os.fsync(sink.fileno())
    if not only_new:
        os.replace(partial, path)
        return
    try:
        os.link(partial, path)
    finally:
        os.unlink(partial)


def _report(error: Exception) -> None:
    _LOG.warning("object storage is away, trying again: %s", error)


@retry.Retry(
    predicate=retry.if_exception_type(*_AWAY), initial=0.5, maximum=5.0, timeout=OUTAGE_S, on_error=_report
)
def _put_patiently(path: str, data: bytes, only_new: bool) -> None:
    """One request, where gcsio's writer takes two and gives up after two minutes."""
    condition = {"if_generation_match": 0} if only_new else {}  # "generation 0" is no object
    _blob(path).upload_from_string(
        data, "application/octet-stream", timeout=_CALL_TIMEOUT_S, retry=None, **condition
    )


def _blob(path: str) -> Any:
    bucket, _, name = path.removeprefix(_GCS).partition("/")
    return _gcs(os.environ.get("STORAGE_EMULATOR_HOST", "")).client.bucket(bucket).blob(name)


@functools.lru_cache(maxsize=1)
def _gcs(endpoint: str) -> GcsIO:  # noqa: ARG001 — the client reads it from the environment, and keeps it
    return GcsIO()  # with Beam's way to find credentials


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
