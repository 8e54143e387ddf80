"""VerifyParts: that every message of the landing objects is in the parts as they lie in storage."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import fastavro
from apache_beam.pvalue import TaggedOutput

from schemas.compacted import tombstone
from schemas.envelope import parse_envelope
from schemas.errors import BadInput
from transforms.compact_archive import messages_of
from transforms.compacted import read_object, sha256
from transforms.merge_bucket import Known


@dataclass
class VerifyParts(beam.PTransform):
    """(names of landing objects, expected parts, names of indexes) → a line for each fault.

    Both sides are read again from storage: a message counts as there if a part or an earlier index holds
    the digest of its bytes.

    Attributes:
        folder: Of the day. tombstones: Homes whose messages are not wanted.
    """

    folder: str
    tombstones: frozenset[str] = frozenset()

    def expand(self, names):  # type: ignore[no-untyped-def]
        landing, parts, indexes = names
        wanted = landing | "ReadWanted" >> beam.ParDo(_Wanted(self.tombstones)).with_output_types(
            tuple[bytes, str]
        )
        checked = parts | "CheckParts" >> beam.ParDo(_CheckPart(self.folder)).with_outputs(
            "faults", main="there"
        )
        there = checked.there | "TypeThere" >> beam.Map(lambda pair: pair).with_output_types(
            tuple[bytes, str]
        )
        before = indexes | "ReadKnown" >> beam.FlatMap(_known_digests).with_output_types(tuple[bytes, str])
        missing = (
            {"wanted": wanted, "there": [there, before] | "JoinThere" >> beam.Flatten()}
            | "MatchDigests" >> beam.CoGroupByKey()
            | "FindMissing" >> beam.FlatMap(_missing)
        )
        return [missing, checked.faults] | "JoinFaults" >> beam.Flatten()


class _Wanted(beam.DoFn):
    def __init__(self, tombstones: frozenset[str]) -> None:
        self._tombstones = tombstones

    def process(self, path: str) -> Iterator[tuple[bytes, str]]:
        for message in messages_of(read_object(path)):
            if tombstone(claimed_home(message.payload)) not in self._tombstones:
                yield hashlib.sha256(message.payload).digest(), path


def claimed_home(payload: bytes) -> str:
    """The home that an envelope claims, "" if it has no readable header."""
    try:
        return parse_envelope(payload)[1].home_id
    except BadInput:
        return ""


class _CheckPart(beam.DoFn):
    """schemas.compacted.Part as JSON → digests of the envelopes that it holds."""

    def __init__(self, folder: str) -> None:
        self._folder = folder.rstrip("/")

    def process(self, line: str) -> Iterator[tuple[bytes, str] | TaggedOutput]:
        expected = json.loads(line)
        data = read_object(f"{self._folder}/{expected['name']}")
        if sha256(data) != expected["sha256"]:
            fault = (
                f"{expected['name']} is not what was written: {len(data)} bytes, {expected['size']} written"
            )
            yield TaggedOutput("faults", fault)
            return
        for message in messages_of(data):
            yield hashlib.sha256(message.payload).digest(), expected["name"]


def _known_digests(path: str) -> Iterator[tuple[bytes, str]]:
    for row in fastavro.reader(io.BytesIO(read_object(path))):
        yield Known(**row).sha256, path  # type: ignore[arg-type]


def _missing(element: tuple[bytes, dict[str, Iterable[str]]]) -> Iterator[str]:
    digest, sides = element
    wanted = sorted(set(sides["wanted"]))
    if wanted and not any(True for _ in sides["there"]):
        yield f"message {digest.hex()} of {wanted[0]} is in no part"
