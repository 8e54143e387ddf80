"""ReadArchive: archive objects → RawMessage, as they once arrived.

Copies of a message (a bundle that was tried again) are passed on: dropping them here would shuffle
every payload, and everything downstream is idempotent by identity.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas.archive import PARTITIONS
from transforms.elements import RawMessage

_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


def raw_message(row: dict[str, Any]) -> RawMessage:
    """A row of the archive → the message as it arrived: the inverse of `archive_raw.archive_row`."""
    published = row["publish_time"]
    return RawMessage(
        payload=row["envelope"],
        attributes=[f"{key}={value}" for key, value in sorted(row["attributes"].items())],
        message_id=row["message_id"],
        # Avro readers turn timestamp-micros into a datetime; integer arithmetic keeps every microsecond.
        publish_us=(published - _EPOCH) // dt.timedelta(microseconds=1),
        lane=row["lane"],
    )


def _stamped(row: dict[str, Any]) -> TimestampedValue:
    message = raw_message(row)
    return TimestampedValue(message, Timestamp(micros=message.publish_us))


class ReadArchive(beam.PTransform):
    """Pipeline → PCollection[RawMessage] with publish time as timestamp, bounded.

    Args:
        folder: gs:// or local, as ArchiveRaw wrote it. lanes: those to read, all if empty.
    """

    def __init__(self, folder: str, lanes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._pattern = f"{folder.rstrip('/')}/{PARTITIONS}/*.avro"
        self._lanes = frozenset(lanes)

    def expand(self, root: Any) -> Any:
        lanes = self._lanes
        return (
            root
            | "ReadAvro" >> beam.io.ReadFromAvro(self._pattern)
            | "PickLanes" >> beam.Filter(lambda row: not lanes or row["lane"] in lanes)
            | "Stamp" >> beam.Map(_stamped).with_output_types(RawMessage)
        )
