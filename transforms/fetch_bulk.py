"""FetchBulk: verified notices → the readings of the hourly objects that they announce.

The object lies where its gateway uploaded it, and stays there: it is the archived copy, the notice in
the archive names it. It is believed as far as the signed notice vouches for it: its name must be the
one that home, gateway, first minute and SHA-256 give (nobody can announce another home's object), and
size and hash must be the notice's. Its readings then go the ordinary way; being an hour old they
refine history and raise nothing (transforms/track_homes.py).

A gateway announces an object after its upload was confirmed. One that is not there all the same is
waited for, a few seconds; then the notice becomes a dead letter that can be replayed. Storage that
does not answer is no fault of the notice: the error goes to the runner, which tries again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from google.api_core.exceptions import NotFound

from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import open_body, parse_envelope
from schemas.errors import BadInput
from schemas.readings import check_reading
from transforms.batch_parts import Fault, accepted_reading, dead_letter
from transforms.decode_batches import CLOCK_TOLERANCE_S, SECOND_US, check_minute
from transforms.elements import AcceptedReading, DeadLetter, RawMessage

NAMESPACE: Final = "fetch_bulk"
STAGE: Final = "bulk"
MAX_REJECTED: Final = 256  # readings of one object: bounds the dead letters that it can cause
WAITS_S: Final = (0.0, 0.5, 2.0)  # before each look for an object that is not there
FRESH_US: Final = 120 * SECOND_US  # a notice older than this is not waited for
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

Read = Callable[[str, int], bytes | None]


class Fetched(NamedTuple):
    """What one notice gave."""

    readings: list[AcceptedReading]
    rejected: list[DeadLetter]


def fetch(notice: RawMessage, read: Read, tolerance_us: int = int(CLOCK_TOLERANCE_S * SECOND_US)) -> Fetched:
    """A notice that DecodeBatches has verified → its readings and dead letters.

    Args:
        read: (object name, most bytes) → content; None: no such object.
        tolerance_us: How far a gateway's clock may be from arrival.

    Raises:
        Exception: What `read` raises while storage does not answer.
    """
    envelope, header = parse_envelope(notice.payload)
    found = Fetched([], [])
    for part, reference in enumerate(open_body(envelope, header).bulk):
        try:
            readings = _open(header, reference, read)
        except BadInput as error:
            found.rejected.append(dead_letter(notice, header, Fault(STAGE, error), "batch", part))
            continue
        refused = len(found.rejected)
        for place, reading in enumerate(readings):
            try:
                check_reading(reading)
                _check_within(reading, reference)
                check_minute(reading.minute_us, notice.publish_us, tolerance_us)
            except BadInput as error:
                found.rejected.append(dead_letter(notice, header, Fault(STAGE, error), "reading", place))
                if len(found.rejected) - refused >= MAX_REJECTED:
                    break
            else:
                found.readings.append(accepted_reading(notice, header, reading))
    return found


def _open(header: pb.Header, reference: pb.BulkReference, read: Read) -> list[pb.Reading]:
    """An object's readings, once everything fits that the notice says of it.

    Raises:
        BadInput: It does not, or the object is not there.
    """
    _check_reference(header, reference)
    data = read(reference.object, reference.size + 1)
    if data is None:
        raise BadInput(f"object {reference.object} is not there: replay the notice when it is")
    if len(data) != reference.size:
        raise BadInput(f"object is {len(data)} bytes or more, its notice says {reference.size}")
    if (digest := bulk.sha256(data)) != reference.sha256:
        raise BadInput(f"object has SHA-256 {digest.hex()}, its notice says {reference.sha256.hex()}")
    head, readings = bulk.unpack_object(data)
    owner, sender = (head.home_id, head.gateway_id), (header.home_id, header.gateway_id)
    if owner != sender:
        raise BadInput(f"object is of {owner}, its notice of {sender}")
    if len(readings) != reference.readings:
        raise BadInput(f"object has {len(readings)} readings, its notice says {reference.readings}")
    return readings


def _check_reference(header: pb.Header, reference: pb.BulkReference) -> None:
    for what in (header.home_id, header.gateway_id):
        if not _SAFE_ID.fullmatch(what):
            raise BadInput(f"id {what!r} cannot name an object, limit: {_SAFE_ID.pattern}")
    if len(reference.sha256) != 32:
        raise BadInput(f"sha256 is {len(reference.sha256)} bytes, limit exactly 32")
    if not 1 <= reference.size <= bulk.MAX_OBJECT_BYTES:
        raise BadInput(f"size is {reference.size}, limits 1 to {bulk.MAX_OBJECT_BYTES}")
    if not 0 <= reference.first_minute_us <= bulk.MAX_MINUTE_US:
        raise BadInput(f"first_minute_us is {reference.first_minute_us}, limits 0 to {bulk.MAX_MINUTE_US}")
    name = bulk.object_name(header.home_id, header.gateway_id, reference.first_minute_us, reference.sha256)
    if reference.object != name:
        raise BadInput(f"object is named {reference.object!r}, this gateway's would be {name!r}")


def _check_within(reading: pb.Reading, reference: pb.BulkReference) -> None:
    if not reference.first_minute_us <= reading.minute_us <= reference.last_minute_us:
        raise BadInput(
            f"minute_us is {reading.minute_us}, its object holds "
            f"{reference.first_minute_us} to {reference.last_minute_us}"
        )


class FetchedBulk(NamedTuple):
    """Named outputs of `FetchBulk`."""

    readings: PCollection[AcceptedReading]
    rejected: PCollection[DeadLetter]


@dataclass
class FetchBulk(beam.PTransform):
    """Verified RawMessage that announces objects → their readings, and dead letters.

    Attributes:
        folder: Where gateways upload: gs://BUCKET or a local folder.
        clock_tolerance_s: How far a gateway's clock may be from arrival.
    """

    folder: str
    clock_tolerance_s: float = CLOCK_TOLERANCE_S

    def expand(self, notices: PCollection[RawMessage]):  # type: ignore[no-untyped-def]
        outputs = notices | "FetchAndSplit" >> (
            beam.ParDo(_Fetch(self.folder, int(self.clock_tolerance_s * SECOND_US)))
            .with_output_types(AcceptedReading, rejected=DeadLetter)
            .with_outputs("rejected", main="readings")
        )
        return FetchedBulk(outputs.readings, outputs.rejected)


class _Fetch(beam.DoFn):
    """Counters: readings_in = readings_out + readings_rejected; notices that fail whole are beside."""

    def __init__(self, folder: str, tolerance_us: int, now_us: Callable[[], int] | None = None) -> None:
        self._folder = folder.rstrip("/")
        self._tolerance_us = tolerance_us
        self._now_us = now_us or _wall_clock_us
        self._count = {
            name: Metrics.counter(NAMESPACE, name)
            for name in ("notices_in", "objects_rejected", "readings_out", "readings_rejected", "bytes_in")
        }

    def process(self, notice: RawMessage) -> Iterator[AcceptedReading | TaggedOutput]:
        fresh = self._now_us() - notice.publish_us <= FRESH_US
        waits_s = WAITS_S if fresh else WAITS_S[:1]

        def read(name: str, most: int) -> bytes | None:
            for wait_s in waits_s:
                time.sleep(wait_s)
                data = read_object(f"{self._folder}/{name}", most)
                if data is not None:
                    self._count["bytes_in"].inc(len(data))
                    return data
            return None

        fetched = fetch(notice, read, self._tolerance_us)
        self._count["notices_in"].inc()
        self._count["objects_rejected"].inc(sum(letter.scope == "batch" for letter in fetched.rejected))
        self._count["readings_rejected"].inc(sum(letter.scope != "batch" for letter in fetched.rejected))
        self._count["readings_out"].inc(len(fetched.readings))
        yield from fetched.readings
        for letter in fetched.rejected:
            yield TaggedOutput("rejected", letter)


def read_object(path: str, most: int) -> bytes | None:
    """gs:// or local path → up to `most` bytes of it, None if there is no such object."""
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            data: bytes = file.read(most)
            return data
    except (FileNotFoundError, NotFound):
        return None


def _wall_clock_us() -> int:
    return time.time_ns() // 1000
