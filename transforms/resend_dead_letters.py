"""ResendDeadLetters: dead letters → their messages, published whole once more, each only once.

A message is known by its payload: all its dead letters (one a bad reading) are one message, and one that
was resent is marked beside the dead letters, after Pub/Sub confirmed it. A crash in between resends it
once more, which changes nothing downstream: its identity is the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import apache_beam as beam
import fastavro
from apache_beam.io.filesystems import FileSystems

from schemas.archive import PARTITIONS
from schemas.topics import ATTRIBUTE_LANE, LANE_TOPICS
from transforms.compacted import read_object
from transforms.elements import RawMessage
from transforms.read_archive import raw_message
from transforms.rows import register_rows
from transforms.write_objects import write_object

RESENT: Final = "resent"
ATTRIBUTE_RESENT: Final = "resent_from"  # Pub/Sub id under which it first came
_BUCKETS: Final = 16
_LANES: Final = frozenset(LANE_TOPICS.values())


class Letter(NamedTuple):
    """A dead letter's message, and why it is one. `stages`, `reasons`: of all its dead letters."""

    digest: str
    stage: str
    reason: str
    home_id: str
    message: bytes  # RawMessage does not nest in a RowCoder
    attributes: list[str]
    message_id: str
    publish_us: int
    lane: str


register_rows(Letter)


class Wanted(NamedTuple):
    """Which dead letters; an empty field wants all.

    Attributes:
        reason: A part of the error's type or message.
        first, end: Hours of arrival, [first, end), like 2026-03-01T12.
    """

    stage: str = ""
    reason: str = ""
    home: str = ""
    first: str = ""
    end: str = ""

    def takes(self, row: dict[str, Any]) -> bool:
        """Whether a row of schemas.archive.DEAD_LETTER_SCHEMA is wanted."""
        hour = row["publish_time"].strftime("%Y-%m-%dT%H")
        return (
            (not self.stage or row["stage"] == self.stage)
            and (not self.reason or self.reason in f"{row['error_type']}: {row['message']}")
            and (not self.home or row["home_id"] == self.home)
            and (not self.first or hour >= self.first)
            and (not self.end or hour < self.end)
        )


def letter_of(row: dict[str, Any]) -> Letter:
    """A row of DEAD_LETTER_SCHEMA → its message."""
    lane = row["attributes"].get(ATTRIBUTE_LANE, "")
    message = raw_message({**row, "envelope": row["payload"], "lane": lane if lane in _LANES else "minutes"})
    return Letter(
        digest=hashlib.sha256(message.payload).hexdigest(),
        stage=row["stage"],
        reason=f"{row['error_type']}: {row['message']}",
        home_id=row["home_id"],
        message=message.payload,
        attributes=message.attributes,
        message_id=message.message_id,
        publish_us=message.publish_us,
        lane=message.lane,
    )


def message_of(letter: Letter) -> RawMessage:
    """The message as it first came."""
    return RawMessage(letter.message, letter.attributes, letter.message_id, letter.publish_us, letter.lane)


def read_letters(path: str, wanted: Wanted) -> Iterator[Letter]:
    """An object of dead letters → those that are wanted."""
    for row in fastavro.reader(io.BytesIO(read_object(path))):
        if wanted.takes(row):  # type: ignore[arg-type]
            yield letter_of(row)  # type: ignore[arg-type]


def list_letters(folder: str) -> list[str]:
    """Objects of dead letters under a folder, as the monitor writes them."""
    (match,) = FileSystems.match([f"{folder.rstrip('/')}/{PARTITIONS}/*.avro"])
    return sorted(entry.path for entry in match.metadata_list)


def resent_before(folder: str) -> frozenset[str]:
    """Digests of the messages that were resent already."""
    (match,) = FileSystems.match([f"{folder.rstrip('/')}/{RESENT}/*.jsonl"])
    lines = (line for entry in match.metadata_list for line in read_object(entry.path).splitlines())
    return frozenset(json.loads(line)["sha256"] for line in lines)


class Publisher(Protocol):
    """Publishes a message and returns only when it is confirmed."""

    def publish(self, letters: Iterable[Letter]) -> None: ...

    def close(self) -> None: ...


@dataclass
class ResendDeadLetters(beam.PTransform):
    """Names of objects → a line for each message: JSON of digest, stage, reason, home, resent.

    Attributes:
        folder: Of the dead letters; marks go beside them.
        wanted: Which.
        done: Digests not to resend.
        open_publisher: Makes one in a worker; None: only say what would be resent.
        clock_us: µs since 1970 UTC, for the marks.
    """

    folder: str
    wanted: Wanted
    done: frozenset[str]
    open_publisher: Callable[[], Publisher] | None
    clock_us: Callable[[], int]

    def expand(self, paths):  # type: ignore[no-untyped-def]
        return (
            paths
            | "ReadLetters" >> beam.FlatMap(read_letters, self.wanted).with_output_types(Letter)
            | "SkipResent" >> beam.Filter(_is_new, self.done)
            | "KeyByDigest" >> beam.Map(_by_digest).with_output_types(tuple[int, Letter])
            | "GroupLetters" >> beam.GroupByKey()
            | "Resend" >> beam.ParDo(_Resend(self.folder, self.open_publisher, self.clock_us))
        )


def _is_new(letter: Letter, done: frozenset[str]) -> bool:
    return letter.digest not in done


def _by_digest(letter: Letter) -> tuple[int, Letter]:
    return int(letter.digest[:8], 16) % _BUCKETS, letter


class _Resend(beam.DoFn):
    def __init__(
        self, folder: str, open_publisher: Callable[[], Publisher] | None, clock_us: Callable[[], int]
    ) -> None:
        self._folder = folder.rstrip("/")
        self._open_publisher = open_publisher
        self._clock_us = clock_us

    def setup(self) -> None:
        self._publisher = self._open_publisher() if self._open_publisher else None

    def teardown(self) -> None:
        if self._publisher:
            self._publisher.close()

    def process(self, element: tuple[int, Iterable[Letter]]) -> Iterator[str]:
        _, letters = element
        first: dict[str, Letter] = {}
        for letter in sorted(letters):
            first.setdefault(letter.digest, letter)
        if self._publisher:
            self._publisher.publish(first.values())
            self._mark(first)
        for letter in first.values():
            yield json.dumps(
                {
                    "sha256": letter.digest,
                    "stage": letter.stage,
                    "reason": letter.reason,
                    "home_id": letter.home_id,
                    "arrived": _utc(letter.publish_us),
                    "lane": letter.lane,
                    "resent": self._publisher is not None,
                },
                sort_keys=True,
            )

    def _mark(self, letters: dict[str, Letter]) -> None:
        at = _utc(self._clock_us())
        lines = [json.dumps({"sha256": digest, "resent_at": at}) for digest in sorted(letters)]
        name = hashlib.sha256("|".join(sorted(letters)).encode()).hexdigest()[:32]
        write_object(f"{self._folder}/{RESENT}/{name}.jsonl", "".join(f"{x}\n" for x in lines).encode())


def _utc(us: int) -> str:
    return (dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=us)).isoformat()
