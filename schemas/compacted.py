"""The compacted archive: large Avro files of a day of arrival, and the manifest that says which count.

Under `{compacted}/day=YYYY-MM-DD/` (publish time, UTC):

    manifest-00001.json    the one with the greatest number counts; written once, never changed
    part-….avro            rows of schemas.archive.ARCHIVE_SCHEMA, sorted by home and time
    index-….avro           a row of INDEX_SCHEMA for each row of its part
    accounts-….jsonl       what the part says of each gateway (transforms.ledger_accounts)

Files are named by content and written before the manifest that names them; files that no manifest
names do not count. Who reads a day takes its newest manifest first and lists the landing archive
after that: an object among the manifest's inputs is read from the parts, any other as it lies.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1
_TOMBSTONE: Final = "hearthwatch.v1.tombstone\x00"

INDEX_SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "IndexedBatch",
    "namespace": "hearthwatch.v1",
    "doc": "Identity and content of one compacted message: enough to know it when it comes again.",
    "fields": [
        {"name": "home_id", "type": "string"},
        {"name": "gateway_id", "type": "string"},
        {"name": "epoch", "type": "string", "doc": "hex"},
        {"name": "seq", "type": "long"},
        {"name": "message_id", "type": "string", "doc": "empty if the identity can be read"},
        {"name": "sha256", "type": "bytes", "doc": "of the envelope"},
        {"name": "verified", "type": "boolean", "doc": "the signature was checked and holds"},
    ],
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class InputObject(_Strict):
    """A landing object that a compaction has read. `name` is relative to the archive."""

    name: str
    size: int
    sha256: str
    rows: int


class Part(_Strict):
    """One file with its index and accounts; names are relative to the day."""

    name: str
    size: int
    sha256: str
    rows: int
    index: str
    accounts: str


class Counts(_Strict):
    """rows_in = kept + copies + erased.

    Attributes:
        erased: Left out, because their home was erased.
        unparsable: Of the kept: they have no readable header.
        unverified: Of the kept: they have one, but no valid signature.
        conflicts: Of the kept: another verified content has the same identity.
    """

    rows_in: int = 0
    kept: int = 0
    copies: int = 0
    erased: int = 0
    unparsable: int = 0
    unverified: int = 0
    conflicts: int = 0


class Manifest(_Strict):
    """All of a day: what was read, and where it is now."""

    schema_version: int = SCHEMA_VERSION
    day: str
    number: int = Field(ge=1)
    inputs: list[InputObject]
    parts: list[Part]
    counts: Counts


def day_folder(day: str) -> str:
    """
    >>> day_folder("2026-03-01")
    'day=2026-03-01'
    """
    return f"day={day}"


def manifest_name(number: int) -> str:
    """
    >>> manifest_name(2)
    'manifest-00002.json'
    """
    return f"manifest-{number:05d}.json"


def tombstone(home_id: str) -> str:
    """What is kept of an erased home, so that nothing of it that comes later is kept: a digest."""
    return hashlib.sha256(f"{_TOMBSTONE}{home_id}".encode()).hexdigest()
