"""ArchiveRaw: RawMessage → Avro objects, one a bundle, lane and arrival hour, and a Receipt of each.

The object exists before the bundle finishes, the bundle finishes before the runner commits, and the
source acknowledges after the commit: what is acknowledged is archived (transforms/write_objects.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import fastavro
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas.archive import ARCHIVE_SCHEMA, partition
from schemas.envelope import parse_envelope
from schemas.errors import BadInput
from transforms.elements import RawMessage, Receipt
from transforms.write_objects import avro_bytes, object_name, write_object


def archive_row(message: RawMessage) -> dict[str, Any]:
    """RawMessage → a row of `ARCHIVE_SCHEMA`; identity columns stay empty if it has no readable header."""
    try:
        _, header = parse_envelope(message.payload)
        identity = {
            "gateway_id": header.gateway_id,
            "home_id": header.home_id,
            "epoch": header.epoch.hex(),
            "seq": header.seq,
        }
    except BadInput:
        identity = {"gateway_id": "", "home_id": "", "epoch": "", "seq": 0}
    return identity | {
        "lane": message.lane,
        "message_id": message.message_id,
        "publish_time": message.publish_us,
        "attributes": dict(pair.split("=", 1) for pair in message.attributes),
        "envelope": message.payload,
    }


class _Archive(beam.DoFn):
    """Collects a bundle's messages and writes them when it finishes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder.rstrip("/")
        self._messages_in = Metrics.counter("archive_raw", "messages_in")
        self._objects_out = Metrics.counter("archive_raw", "objects_out")
        self._bytes_out = Metrics.counter("archive_raw", "bytes_out")
        self._object_messages = Metrics.distribution("archive_raw", "messages_per_object")

    def setup(self) -> None:
        self._schema = fastavro.parse_schema(ARCHIVE_SCHEMA)

    def start_bundle(self) -> None:
        self._partitions: dict[tuple[str, str], list[RawMessage]] = {}

    def process(self, message: RawMessage) -> None:
        self._messages_in.inc()
        self._partitions.setdefault((partition(message.publish_us), message.lane), []).append(message)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for (_, lane), messages in self._partitions.items():
            name = object_name(self._folder, messages[0].publish_us, lane)
            rows = [archive_row(message) for message in messages]
            data = avro_bytes(rows, self._schema)
            write_object(name, data)
            self._objects_out.inc()
            self._bytes_out.inc(len(data))
            self._object_messages.update(len(rows))
            for message, row in zip(messages, rows, strict=True):
                receipt = Receipt(
                    home_id=row["home_id"],
                    gateway_id=row["gateway_id"],
                    epoch=row["epoch"],
                    seq=row["seq"],
                    lane=lane,
                    message_id=message.message_id,
                    publish_us=message.publish_us,
                    size=len(message.payload),
                    object_name=name,
                )
                yield WindowedValue(receipt, Timestamp(micros=message.publish_us), (GlobalWindow(),))
        self._partitions = {}


class ArchiveRaw(beam.PTransform):
    """RawMessage → objects under `folder` (gs:// or a local path) → Receipt.

    Args:
        folder: Where the partitions `day=…/hour=…/` are made.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, messages: Any) -> Any:
        return messages | "WriteAvro" >> beam.ParDo(_Archive(self._folder)).with_output_types(Receipt)
