"""Where a home's id stands: in text, in protobuf, in compressed bodies. No Beam here.

Ids may be prefixes of each other ("home-1", "home-10"): an occurrence counts only where the id stands
alone, that is not beside another character that an id may hold. In protobuf a string follows its
length, which may look like such a character: an id after its own length counts as well.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any, Final, NamedTuple

import fastavro
from pydantic import ValidationError

from schemas.envelope import open_body, parse_envelope
from schemas.errors import BadInput
from schemas.roster import RosterHeader
from transforms.compact_archive import UNREADABLE
from transforms.write_objects import avro_bytes

_ID_CHARACTER: Final = rb"[A-Za-z0-9_.\-]"
_ENVELOPES: Final = ("envelope", "payload")


class HomeSearch:
    """Finds one home's id."""

    def __init__(self, home_id: str) -> None:
        self.home_id = home_id
        name = home_id.encode()
        alone = rb"(?<!%s)%s(?!%s)" % (_ID_CHARACTER, re.escape(name), _ID_CHARACTER)
        measured = re.escape(bytes([len(name)])) + rb"%s(?!%s)" % (re.escape(name), _ID_CHARACTER)
        self._pattern = re.compile(alone + rb"|" + measured)

    def in_bytes(self, data: bytes) -> bool:
        """Whether the id stands in these bytes as they are."""
        return self._pattern.search(data) is not None

    def in_envelope(self, payload: bytes) -> bool:
        """Whether it stands in an envelope, or in what it unfolds to."""
        if self.in_bytes(payload):
            return True
        try:
            envelope, header = parse_envelope(payload)
            body = open_body(envelope, header)
        except BadInput:
            return False
        return self.in_bytes(header.SerializeToString()) or self.in_bytes(body.SerializeToString())

    def in_value(self, value: Any) -> bool:
        """Whether it stands anywhere in plain data: keys, texts, bytes, lists."""
        if isinstance(value, str):
            return self.in_bytes(value.encode())
        if isinstance(value, bytes):
            return self.in_bytes(value)
        if isinstance(value, dict):
            return any(self.in_value(key) or self.in_value(one) for key, one in value.items())
        if isinstance(value, (list, tuple)):
            return any(self.in_value(one) for one in value)
        return False

    def in_row(self, row: dict[str, Any]) -> bool:
        """Whether it stands in a row of an Avro file, envelopes unfolded."""
        return self.in_value(row) or any(self.in_envelope(row[name]) for name in _ENVELOPES if row.get(name))


class Remaining(NamedTuple):
    """What is left of an object without a home: None if nothing, and how many rows went."""

    data: bytes | None
    removed: int


def without_home(path: str, data: bytes, search: HomeSearch) -> Remaining:
    """An object → the same without a home: rows of Avro, lines of JSON, or all of anything else.

    Of an object without that home the bytes stay as they are.

    Raises:
        BadInput: It holds the id and cannot be taken apart.
    """
    if path.endswith(".avro"):
        return _without_rows(path, data, search)
    if path.endswith((".jsonl", ".json")):
        return _without_lines(data, search)
    mentioned = search.in_bytes(path.encode()) or search.in_envelope(data)
    return Remaining(None, 1) if mentioned else Remaining(data, 0)


def _without_lines(data: bytes, search: HomeSearch) -> Remaining:
    lines = data.splitlines(keepends=True)
    kept = [line for line in lines if not search.in_bytes(line)]
    removed = len(lines) - len(kept)
    if not removed:
        return Remaining(data, 0)
    header = _roster_header(lines[0])
    if header is not None:  # a roster says how many homes it lists: its readers refuse half a file
        fewer = header.model_copy(update={"homes": header.homes - removed})
        kept[0] = fewer.model_dump_json().encode() + b"\n"
    return Remaining(b"".join(kept) or None, removed)


def _roster_header(line: bytes) -> RosterHeader | None:
    try:
        return RosterHeader.model_validate_json(line)
    except ValidationError:
        return None


def _without_rows(path: str, data: bytes, search: HomeSearch) -> Remaining:
    try:
        reader = fastavro.reader(io.BytesIO(data))
        rows: list[dict[str, Any]] = list(reader)  # type: ignore[arg-type]
    except UNREADABLE as error:
        if search.in_bytes(data):
            raise BadInput(
                f"{path} holds the home and cannot be read: {type(error).__name__}: {error}"
            ) from error
        return Remaining(data, 0)
    kept = [row for row in rows if not search.in_row(row)]
    if len(kept) == len(rows):
        return Remaining(data, 0)
    if not kept:
        return Remaining(None, len(rows))
    marker = hashlib.sha256(data).digest()[:16]
    return Remaining(avro_bytes(kept, reader.writer_schema, marker), len(rows) - len(kept))
