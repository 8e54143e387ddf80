"""WriteTraining: messages of the archive → the training table, each reading once.

Rows lie as JSON lines under `{folder}/day=YYYY-MM-DD/` by the day of their minute, in shards of homes (so
that a home is in one shard), and are merged with what is there: a label that comes late changes its row.
A shard that changed is loaded beside the warehouse's table and merged into it by reading_id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from schemas.compacted import tombstone
from schemas.warehouse import TRAINING_READINGS
from transforms.compact_archive import messages_of
from transforms.compacted import hour_of, read_object
from transforms.decode_batches import decode
from transforms.elements import RawMessage
from transforms.fetch_bulk import fetch
from transforms.fetch_bulk import read_object as read_bulk
from transforms.merge_bucket import home_bucket
from transforms.training_rows import SAMPLE, Labels, Span, better, training_row
from transforms.trust import Trust, load_ca, revoked_serials
from transforms.warehouse_loads import LoadTarget, merge_data
from transforms.write_objects import write_object
from transforms.write_warehouse import Row

Shard = tuple[str, int]  # day of the minute, number


@dataclass
class WriteTraining(beam.PTransform):
    """Names of archive files → (shard's name, its rows) of each shard; written as it goes.

    Attributes:
        folder: Of the table's files.
        first, end: Hours of arrival that are read, [first, end); empty: no bound.
        ca, revoked: As DecodeBatches takes them.
        fraction: Of readings whose payload is kept without a label.
        bulk: Folder of the hourly objects, "": they are not read.
        shards: A day is so many files; must not change for a folder.
        target: Where changed shards are merged; None: nowhere.
        tombstones: Digests of homes that were erased.
    """

    folder: str
    ca: str | bytes
    revoked: str = ""
    first: str = ""
    end: str = ""
    labels: Sequence[Span] = field(default_factory=tuple)
    fraction: float = SAMPLE
    shards: int = 1
    bulk: str = ""
    target: LoadTarget | None = None
    tombstones: frozenset[str] = frozenset()

    def expand(self, names):  # type: ignore[no-untyped-def]
        return (
            names
            | "ReadMessages" >> beam.FlatMap(_messages, self.first, self.end).with_output_types(RawMessage)
            | "MakeRows"
            >> beam.ParDo(
                _MakeRows(
                    self.ca, self.revoked, self.labels, self.fraction, self.shards, self.bulk, self.tombstones
                )
            ).with_output_types(tuple[Shard, str])
            | "GroupByShard" >> beam.GroupByKey()
            | "WriteShards" >> beam.ParDo(_WriteShard(self.folder, self.shards, self.target))
        )


def _messages(path: str, first: str, end: str) -> Iterator[RawMessage]:
    for message in messages_of(read_object(path)):
        hour = hour_of(message.publish_us)
        if (not first or hour >= first) and (not end or hour < end):
            yield message


class _MakeRows(beam.DoFn):
    """RawMessage → ((day, shard), row as JSON)."""

    def __init__(
        self,
        ca: str | bytes,
        revoked: str,
        labels: Sequence[Span],
        fraction: float,
        shards: int,
        bulk: str,
        tombstones: frozenset[str],
    ) -> None:
        self._ca = ca
        self._revoked = revoked
        self._known = list(labels)
        self._fraction = fraction
        self._shards = shards
        self._bulk = bulk.rstrip("/")
        self._tombstones = tombstones
        self._rows = Metrics.counter("write_training", "rows_out")

    def setup(self) -> None:
        self._trust = Trust(load_ca(self._ca), revoked_serials(self._revoked))
        self._labels = Labels(self._known)

    def process(self, message: RawMessage) -> Iterator[tuple[Shard, str]]:
        decoded = decode(message, self._trust)
        notices = decoded.notices if self._bulk else []
        hourly = [accepted for notice in notices for accepted in fetch(notice, self._read).readings]
        for accepted in [*decoded.readings, *hourly]:
            if tombstone(accepted.home_id) in self._tombstones:
                continue
            row = training_row(accepted, self._labels, self._fraction)
            self._rows.inc()
            shard = home_bucket(accepted.home_id, self._shards)
            yield (row["minute_time"][:10], shard), json.dumps(row, separators=(",", ":"))

    def _read(self, name: str, most: int) -> bytes | None:
        return read_bulk(f"{self._bulk}/{name}", most)


def merge_rows(*sources: Iterable[Row]) -> list[Row]:
    """Rows, the later source the newer → one a reading, sorted by home and time."""
    standing: dict[tuple[str, str], Row] = {}
    for rows in sources:
        for row in rows:
            key = row["home_id"], row["reading_id"]
            standing[key] = better(row, standing[key]) if key in standing else row
    return sorted(
        standing.values(), key=lambda r: (r["home_id"], r["minute_time"], r["sensor_id"], r["reading_id"])
    )


class _WriteShard(beam.DoFn):
    """((day, shard), rows) → the shard's file, merged into the warehouse first."""

    def __init__(self, folder: str, shards: int, target: LoadTarget | None) -> None:
        self._folder = folder.rstrip("/")
        self._shards = shards
        self._target = target
        self._changed = Metrics.counter("write_training", "shards_changed")

    def process(self, element: tuple[Shard, Iterable[str]]) -> Iterator[tuple[str, int]]:
        (day, shard), lines = element
        path = f"{self._folder}/day={day}/shard-{shard:05d}-of-{self._shards:05d}.jsonl"
        before = read_object(path) if FileSystems.exists(path) else b""
        # Of copies in one run any order must give the same: the earliest arrival is the last word.
        new = sorted((json.loads(line) for line in set(lines)), key=_arrival, reverse=True)
        rows = merge_rows(map(json.loads, before.splitlines()), new)
        data = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)
        if data != before:
            if self._target is not None:
                merge_data(self._target, TRAINING_READINGS, data)
            write_object(path, data)
            self._changed.inc()
        yield path, len(rows)


def _arrival(row: dict[str, Any]) -> tuple[str, str]:
    return row["publish_time"], row["gateway_id"]
