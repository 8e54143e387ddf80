"""Avro: the archive (the batch as it was signed) and the dead letters.

Plain Avro tools and BigQuery external tables read both. Files lie under
`{archive}/hour=YYYY-MM-DDTHH/` by arrival hour (publish time, UTC).
"""

from __future__ import annotations

from typing import Any, Final

SCHEMA_VERSION: Final = 1

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
