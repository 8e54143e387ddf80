"""CopyHome, CopyLetters: the messages of one home, or of dead letters, → a small archive of their own."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import fastavro
from apache_beam.io.filesystems import FileSystems

from schemas.archive import ARCHIVE_SCHEMA, partition
from transforms.archive_raw import archive_row
from transforms.compact_archive import messages_of
from transforms.compacted import hour_of, read_object
from transforms.elements import RawMessage
from transforms.merge_bucket import Known
from transforms.resend_dead_letters import Wanted, message_of, read_letters
from transforms.verify_parts import claimed_home
from transforms.write_objects import avro_bytes, write_object

_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


def hour_us(hour: str) -> int:
    """Hour of arrival → µs since 1970 UTC.

    >>> hour_us("1970-01-01T01")
    3600000000
    """
    start = dt.datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=dt.UTC)
    return (start - _EPOCH) // dt.timedelta(microseconds=1)


@dataclass
class CopyHome(beam.PTransform):
    """Names of archive files → an archive under `folder`, and a line for each message in it.

    Attributes:
        first_us, end_us: Times of arrival, [first_us, end_us).
    """

    home_id: str
    first_us: int
    end_us: int
    folder: str

    def expand(self, paths):  # type: ignore[no-untyped-def]
        messages = paths | "ReadHome" >> beam.FlatMap(
            _of_home, self.home_id, self.first_us, self.end_us
        ).with_output_types(RawMessage)
        return messages | "WriteCopy" >> _WriteCopy(self.folder)


@dataclass
class CopyLetters(beam.PTransform):
    """Names of objects of dead letters → an archive of their messages, and a line for each of them."""

    folder: str
    wanted: Wanted
    done: frozenset[str]

    def expand(self, paths):  # type: ignore[no-untyped-def]
        letters = paths | "ReadLetters" >> beam.FlatMap(read_letters, self.wanted)
        new = letters | "SkipResent" >> beam.Filter(lambda letter, done: letter.digest not in done, self.done)
        messages = new | "ToMessages" >> beam.Map(message_of).with_output_types(RawMessage)
        _ = messages | "WriteCopy" >> _WriteCopy(self.folder)
        return new | "LetterLines" >> beam.Map(
            lambda letter: json.dumps(
                {"sha256": letter.digest, "stage": letter.stage, "reason": letter.reason}
            )
        )


def _of_home(path: str, home_id: str, first_us: int, end_us: int) -> Iterator[RawMessage]:
    if not _may_hold(path, home_id):
        return
    for message in messages_of(read_object(path)):
        if first_us <= message.publish_us < end_us and claimed_home(message.payload) == home_id:
            yield message


def _may_hold(path: str, home_id: str) -> bool:
    """A part has an index, a hundredth of its size: look there first."""
    folder, name = os.path.split(path)
    index = f"{folder}/{name.replace('part-', 'index-', 1)}"
    if not name.startswith("part-") or not FileSystems.exists(index):
        return True
    rows = fastavro.reader(io.BytesIO(read_object(index)))
    return any(Known(**row).home_id == home_id for row in rows)  # type: ignore[arg-type]


@dataclass
class _WriteCopy(beam.PTransform):
    """RawMessage → one object an hour of arrival, in the order of arrival; → its message id."""

    folder: str

    def expand(self, messages):  # type: ignore[no-untyped-def]
        return (
            messages
            | "KeyByHour"
            >> beam.Map(lambda m: (hour_of(m.publish_us), m)).with_output_types(tuple[str, RawMessage])
            | "GroupByHour" >> beam.GroupByKey()
            | "WriteHour" >> beam.FlatMap(_write_hour, self.folder)
        )


def _write_hour(element: tuple[str, Iterable[RawMessage]], folder: str) -> Iterator[str]:
    hour, found = element
    messages = sorted(found, key=lambda m: (m.publish_us, m.message_id, m.payload))
    rows = [archive_row(message) for message in messages]
    marker = hashlib.sha256(b"".join(message.payload for message in messages)).digest()[:16]
    data = avro_bytes(rows, fastavro.parse_schema(ARCHIVE_SCHEMA), marker)
    write_object(f"{folder}/{partition(messages[0].publish_us)}/messages-{hour}.avro", data)
    yield from (message.message_id for message in messages)
