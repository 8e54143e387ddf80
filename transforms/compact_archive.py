"""CompactArchive: landing objects → large parts of a day.

The payload crosses one shuffle, by bucket of homes; a bucket is one file and is sorted in memory, so the
number of buckets bounds it. Nothing here makes a file count: the job commits a manifest after
`VerifyParts` found nothing missing.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import apache_beam as beam
import fastavro
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from schemas.archive import ARCHIVE_SCHEMA
from schemas.compacted import INDEX_SCHEMA, Counts
from transforms.archive_raw import archive_row
from transforms.compacted import read_object, relative, sha256
from transforms.elements import RawMessage
from transforms.ledger_accounts import plain
from transforms.merge_bucket import BulkCheck, Known, Merged, bucket_of, bucket_of_known, merge_bucket
from transforms.read_archive import raw_message
from transforms.rows import register_rows
from transforms.trust import Trust, load_ca, revoked_serials
from transforms.write_objects import avro_bytes, write_object

NAMESPACE: Final = "compact_archive"


class ReadInput(NamedTuple):
    """A landing object that was read; `fault` says why if it could not be."""

    name: str
    size: int
    sha256: str
    rows: int
    fault: str


class WrittenPart(NamedTuple):
    """A part and its counts as JSON (schemas.compacted.Part, Counts)."""

    part: str
    counts: str


register_rows(ReadInput, WrittenPart, Known)


class Compacted(NamedTuple):
    """Named outputs of `CompactArchive`."""

    inputs: beam.PCollection
    parts: beam.PCollection


@dataclass
class CompactArchive(beam.PTransform):
    """(names of landing objects, names of index files) → files under `folder` → Compacted.

    Attributes:
        archive: Folder that names in the manifest are relative to.
        folder: Of the day.
        buckets: How many parts at most.
        ca, revoked: As DecodeBatches takes them: only verified messages enter accounts.
        tombstones: Digests of erased homes.
    """

    archive: str
    folder: str
    buckets: int
    ca: str | bytes
    revoked: str = ""
    tombstones: frozenset[str] = frozenset()
    bulk_fault: BulkCheck | None = None

    def expand(self, names):  # type: ignore[no-untyped-def]
        landing, indexes = names
        read = landing | "ReadObjects" >> beam.ParDo(_ReadObjects(self.archive, self.buckets)).with_outputs(
            "inputs", main="messages"
        )
        messages = read.messages | "TypeMessages" >> beam.Map(lambda pair: pair).with_output_types(
            tuple[int, RawMessage]
        )
        known = indexes | "ReadIndexes" >> beam.ParDo(_ReadIndexes(self.buckets)).with_output_types(
            tuple[int, Known]
        )
        parts = (
            {"messages": messages, "known": known}
            | "GroupByBucket" >> beam.CoGroupByKey()
            | "MergeBuckets"
            >> beam.ParDo(
                _MergeBuckets(self.folder, self.ca, self.revoked, self.tombstones, self.bulk_fault)
            ).with_output_types(WrittenPart)
        )
        return Compacted(read.inputs, parts)


class _ReadObjects(beam.DoFn):
    """Name → (bucket, RawMessage), and a ReadInput beside. An object that cannot be read is left as it is."""

    def __init__(self, archive: str, buckets: int) -> None:
        self._archive = archive
        self._buckets = buckets
        self._rows_in = Metrics.counter(NAMESPACE, "rows_in")

    def process(self, path: str) -> Iterator[tuple[int, RawMessage] | TaggedOutput]:
        data = read_object(path)
        fault, messages = "", []
        try:
            messages = messages_of(data)
        except UNREADABLE as error:
            fault = f"{type(error).__name__}: {error}"
        for message in messages:
            yield bucket_of(archive_row(message), self._buckets), message
        self._rows_in.inc(len(messages))
        name = relative(path, self._archive)
        yield TaggedOutput("inputs", ReadInput(name, len(data), sha256(data), len(messages), fault))


# What fastavro raises for bytes that are not, or not all, an Avro file of our schema.
UNREADABLE: Final = (ValueError, EOFError, KeyError, IndexError, TypeError, StopIteration, OverflowError)


def messages_of(data: bytes) -> list[RawMessage]:
    """A file of ARCHIVE_SCHEMA → its messages."""
    return [raw_message(row) for row in fastavro.reader(io.BytesIO(data))]  # type: ignore[arg-type]


class _ReadIndexes(beam.DoFn):
    """Name of an index → (bucket, Known)."""

    def __init__(self, buckets: int) -> None:
        self._buckets = buckets

    def process(self, path: str) -> Iterator[tuple[int, Known]]:
        for row in fastavro.reader(io.BytesIO(read_object(path))):
            known = Known(**row)  # type: ignore[arg-type]
            yield bucket_of_known(known, self._buckets), known


class _MergeBuckets(beam.DoFn):
    """(bucket, messages and what is known) → three files, if anything new is kept or counted."""

    def __init__(
        self,
        folder: str,
        ca: str | bytes,
        revoked: str,
        tombstones: frozenset[str],
        bulk_fault: BulkCheck | None,
    ) -> None:
        self._folder = folder.rstrip("/")
        self._ca = ca
        self._revoked = revoked
        self._tombstones = tombstones
        self._bulk_fault = bulk_fault
        self._kept = Metrics.counter(NAMESPACE, "rows_kept")
        self._copies = Metrics.counter(NAMESPACE, "copies")
        self._bytes = Metrics.counter(NAMESPACE, "bytes_out")

    def setup(self) -> None:
        self._trust = Trust(load_ca(self._ca), revoked_serials(self._revoked))
        self._archive_schema = fastavro.parse_schema(ARCHIVE_SCHEMA)
        self._index_schema = fastavro.parse_schema(INDEX_SCHEMA)

    def process(self, element: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[WrittenPart]:
        _, sides = element
        messages = list(sides["messages"])
        if not messages:
            return
        merged = merge_bucket(
            messages,
            sides["known"],
            self._trust,
            tombstones=self._tombstones,
            bulk_fault=self._bulk_fault,
        )
        self._kept.inc(merged.counts.kept)
        self._copies.inc(merged.counts.copies)
        part = self._write(merged)
        yield WrittenPart(json.dumps(part), merged.counts.model_dump_json())

    def _write(self, merged: Merged) -> dict[str, Any]:
        files = part_files(merged, self._archive_schema, self._index_schema)
        for name, data in files.items():
            write_object(f"{self._folder}/{name}", data)
            self._bytes.inc(len(data))
        part, index, accounts = files
        return {
            "name": part,
            "size": len(files[part]),
            "sha256": sha256(files[part]),
            "rows": len(merged.rows),
            "index": index,
            "accounts": accounts,
        }


def part_files(merged: Merged, archive_schema: Any, index_schema: Any) -> dict[str, bytes]:
    """What a bucket gave → its part, index and accounts by name. The same for the same rows.

    The accounts are in the digest too: a bucket of nothing but copies has an empty part of its own.
    """
    accounts = b"".join(
        json.dumps([*key, plain(account)], separators=(",", ":"), sort_keys=True).encode() + b"\n"
        for key, account in merged.accounts.items()
    )
    marker = hashlib.sha256(accounts + b"".join(entry.sha256 for entry in merged.index)).digest()
    part = avro_bytes(merged.rows, archive_schema, marker[:16])
    index = avro_bytes([entry._asdict() for entry in merged.index], index_schema, marker[:16])
    digest = hashlib.sha256(part + index + accounts).hexdigest()[:24]
    return {
        f"part-{digest}.avro": part,
        f"index-{digest}.avro": index,
        f"accounts-{digest}.jsonl": accounts,
    }


def total_counts(written: Iterable[WrittenPart]) -> Counts:
    """Counts of a round.

    >>> total_counts([WrittenPart("", '{"kept": 1}'), WrittenPart("", '{"kept": 2}')]).kept
    3
    """
    total = dict.fromkeys(Counts.model_fields, 0)
    for one in written:
        for name, value in Counts.model_validate_json(one.counts):
            total[name] += value
    return Counts(**total)
