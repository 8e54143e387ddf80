"""Avro: the archive (the batch as it was signed) and the dead letters.

Plain Avro tools and BigQuery external tables read both. Files lie under
`{archive}/day=YYYY-MM-DD/hour=HH/` by arrival hour (publish time, UTC): hive partitions that BigQuery
reads as `{day:DATE}/{hour:STRING}`. The hour is text: it keeps its zero, and sorts.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

SCHEMA_VERSION: Final = 1
PARTITIONS: Final = "day=*/hour=*"  # glob below the folder
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)


def partition(publish_us: int) -> str:
    """Publish time, µs since 1970 UTC → folder of the arrival hour.

    >>> partition(7 * 3_600_000_000)
    'day=1970-01-01/hour=07'
    """
    return (_EPOCH + dt.timedelta(microseconds=publish_us)).strftime("day=%Y-%m-%d/hour=%H")


ARCHIVE_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "ArchivedBatch",
    "namespace": "hearthwatch.v1",
    "doc": "One message as it arrived. `envelope` is byte for byte what was published; the columns "
    "beside it are read from its unverified header for pruning, empty if it has none.",
    "fields": [
        {"name": "gateway_id", "type": "string", "default": ""},
        {"name": "home_id", "type": "string", "default": ""},
        {"name": "epoch", "type": "string", "default": "", "doc": "hex"},
        {"name": "seq", "type": "long", "default": 0},
        {"name": "lane", "type": "string", "default": ""},
        {"name": "message_id", "type": "string", "default": ""},
        {"name": "publish_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "attributes", "type": {"type": "map", "values": "string"}, "default": {}},
        {"name": "envelope", "type": "bytes"},
    ],
}

DEAD_LETTER_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "DeadLetter",
    "namespace": "hearthwatch.v1",
    "doc": "What was rejected, whole, with where and why; pipelines/replay.py can send it back.",
    "fields": [
        {"name": "stage", "type": "string"},
        {"name": "error_type", "type": "string"},
        {"name": "message", "type": "string"},
        {"name": "scope", "type": "string", "doc": "batch, reading or event"},
        {"name": "part", "type": "int", "default": -1, "doc": "index within the batch; -1: all of it"},
        {"name": "home_id", "type": "string", "default": "", "doc": "claimed, not verified"},
        {"name": "gateway_id", "type": "string", "default": ""},
        {"name": "message_id", "type": "string", "default": ""},
        {"name": "publish_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "attributes", "type": {"type": "map", "values": "string"}, "default": {}},
        {"name": "payload", "type": "bytes"},
    ],
}
