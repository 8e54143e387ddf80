"""ArchiveRaw: RawMessage → Avro objects by arrival hour and lane, and a Receipt of each message.

What is acknowledged is archived: the object exists before the bundle finishes, the bundle finishes
before the runner commits, and the source acknowledges after the commit (transforms/write_objects.py).

A bundle that is large enough becomes an object of its own. What a small bundle has may be held
(`hold_s`): packed as one element it crosses a shuffle and waits, in the runner's committed state, for
others of its hour and lane. That is safe only where the state outlives every failure (Dataflow; Flink
with checkpoints that a new job manager finds): docs/decisions/013-archive-objects.md has the prices.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
import fastavro
from apache_beam.metrics import Metrics
from apache_beam.transforms.trigger import (
    AccumulationMode,
    AfterAny,
    AfterCount,
    AfterProcessingTime,
    Repeatedly,
)
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas.archive import ARCHIVE_SCHEMA, partition
from schemas.envelope import parse_envelope
from schemas.errors import BadInput
from transforms.elements import RawMessage, Receipt
from transforms.read_archive import raw_message
from transforms.write_objects import avro_bytes, object_name, write_object

LARGE_BYTES: Final = 4 << 20  # from here on a bundle is an object of its own
# A group is written early when it has so many packs: at most 256 MiB.
MAX_PACKS: Final = 64
Row = dict[str, Any]


def archive_row(message: RawMessage) -> Row:
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


def receipt_of(row: Row, object_name: str) -> Receipt:
    """A row of the archive and the object that holds it → its receipt."""
    return Receipt(
        home_id=row["home_id"],
        gateway_id=row["gateway_id"],
        epoch=row["epoch"],
        seq=row["seq"],
        lane=row["lane"],
        message_id=row["message_id"],
        publish_us=row["publish_time"],
        size=len(row["envelope"]),
        object_name=object_name,
    )


class _WriteObjects(beam.DoFn):
    """Writes rows of one hour and lane as an object, and makes their receipts."""

    def __init__(self, folder: str) -> None:
        self._folder = folder.rstrip("/")
        self._messages_in = Metrics.counter("archive_raw", "messages_in")
        self._objects_out = Metrics.counter("archive_raw", "objects_out")
        self._bytes_out = Metrics.counter("archive_raw", "bytes_out")
        self._object_messages = Metrics.distribution("archive_raw", "messages_per_object")
        self._object_bytes = Metrics.distribution("archive_raw", "bytes_per_object")

    def setup(self) -> None:
        self._schema = fastavro.parse_schema(ARCHIVE_SCHEMA)

    def _write(self, rows: list[Row]) -> Iterator[WindowedValue]:
        name = object_name(self._folder, rows[0]["publish_time"], rows[0]["lane"])
        data = avro_bytes(rows, self._schema)
        write_object(name, data)
        self._objects_out.inc()
        self._bytes_out.inc(len(data))
        self._object_messages.update(len(rows))
        self._object_bytes.update(len(data))
        for row in rows:
            moment = Timestamp(micros=row["publish_time"])
            yield WindowedValue(receipt_of(row, name), moment, (GlobalWindow(),))


class _ArchiveBundle(_WriteObjects):
    """Collects a bundle's messages; writes them when it finishes, or packs what is small.

    Args:
        pack_below: An hour and lane of fewer bytes goes to the output `packs`; 0: everything is written.
    """

    PACKS: Final = "packs"

    def __init__(self, folder: str, pack_below: int = 0) -> None:
        super().__init__(folder)
        self._pack_below = pack_below
        self._packs_out = Metrics.counter("archive_raw", "packs_out")

    def start_bundle(self) -> None:
        self._partitions: dict[tuple[str, str], list[RawMessage]] = {}

    def process(self, message: RawMessage) -> None:
        self._messages_in.inc()
        self._partitions.setdefault((partition(message.publish_us), message.lane), []).append(message)

    def finish_bundle(self) -> Iterator[Any]:
        for (hour, lane), messages in self._partitions.items():
            rows = [archive_row(message) for message in messages]
            if sum(len(message.payload) for message in messages) >= self._pack_below:
                yield from self._write(rows)
                continue
            self._packs_out.inc()
            pack = (f"{hour}/{lane}", avro_bytes(rows, self._schema))
            yield beam.pvalue.TaggedOutput(self.PACKS, WindowedValue(pack, MIN_TIMESTAMP, (GlobalWindow(),)))
        self._partitions = {}


class _WritePacks(_WriteObjects):
    """(hour and lane, packs) → one object."""

    def process(self, group: tuple[str, Iterable[bytes]]) -> Iterator[WindowedValue]:
        _, packs = group
        yield from self._write(
            [
                archive_row(raw_message(row))  # type: ignore[arg-type]
                for pack in packs
                for row in fastavro.reader(io.BytesIO(pack))
            ]
        )


class ArchiveRaw(beam.PTransform):
    """RawMessage → objects under `folder` (gs:// or a local path) → Receipt.

    Args:
        folder: Where the partitions `day=…/hour=…/` are made.
        hold_s: How long small bundles may wait for others in the runner's state; 0: each is written.
        large_bytes: From so many bytes on a bundle is an object of its own.
        max_packs: So many small bundles are written early.
    """

    def __init__(
        self, folder: str, hold_s: float = 0.0, large_bytes: int = LARGE_BYTES, max_packs: int = MAX_PACKS
    ) -> None:
        super().__init__()
        self._folder = folder
        self._hold_s = hold_s
        self._large_bytes = large_bytes
        self._max_packs = max_packs

    def expand(self, messages: Any) -> Any:
        if not self._hold_s:
            return messages | "WriteAvro" >> beam.ParDo(_ArchiveBundle(self._folder)).with_output_types(
                Receipt
            )
        bundles = messages | "WriteLarge" >> beam.ParDo(
            _ArchiveBundle(self._folder, self._large_bytes)
        ).with_output_types(Receipt, packs=tuple[str, bytes]).with_outputs(
            _ArchiveBundle.PACKS, main="receipts"
        )
        held = bundles.packs
        if not messages.is_bounded:
            held = held | "Hold" >> beam.WindowInto(
                GlobalWindows(),
                trigger=Repeatedly(AfterAny(AfterProcessingTime(self._hold_s), AfterCount(self._max_packs))),
                accumulation_mode=AccumulationMode.DISCARDING,
            )
        grouped = (
            held
            | "GroupPacks" >> beam.GroupByKey()
            | "WriteSmall" >> beam.ParDo(_WritePacks(self._folder)).with_output_types(Receipt)
            | "Release" >> beam.WindowInto(GlobalWindows())
        )
        return (bundles.receipts, grouped) | "JoinReceipts" >> beam.Flatten()
