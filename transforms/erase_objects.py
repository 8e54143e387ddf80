"""EraseObjects: files without a home. Counted, rewritten or deleted, one at a time; idempotent.

Landing objects, dead letters, bulk objects, replays, staged rows, ledger and training files keep their
names. Parts of the compacted archive are named by content and listed in a manifest: `EraseParts` writes
them anew, and the job commits the manifest that names them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import fastavro
from apache_beam.io.filesystems import FileSystems

from schemas.archive import ARCHIVE_SCHEMA
from schemas.compacted import INDEX_SCHEMA, Part
from schemas.errors import BadInput
from transforms.compact_archive import part_files
from transforms.compacted import read_object, sha256
from transforms.home_search import HomeSearch, without_home
from transforms.ledger_accounts import of_plain
from transforms.merge_bucket import Known, Merged
from transforms.write_objects import write_object


@dataclass
class EraseObjects(beam.PTransform):
    """(place, path) → a JSON line {place, path, rows, fault} for each object that holds the home.

    Attributes:
        home_id: Whose rows go. dry_run: They are only counted.
    """

    home_id: str
    dry_run: bool

    def expand(self, objects):  # type: ignore[no-untyped-def]
        return objects | "EraseObject" >> beam.FlatMap(_erase_object, self.home_id, self.dry_run)


def _erase_object(element: tuple[str, str], home_id: str, dry_run: bool) -> Iterator[str]:
    place, path = element
    try:
        left = without_home(path, read_object(path), HomeSearch(home_id))
    except BadInput as error:
        yield json.dumps({"place": place, "path": path, "rows": 1, "fault": str(error)})
        return
    if not left.removed:
        return
    if not dry_run and left.data is None:
        FileSystems.delete([path])
    elif not dry_run and left.data is not None:
        write_object(path, left.data)
    yield json.dumps({"place": place, "path": path, "rows": left.removed, "fault": ""})


@dataclass
class EraseParts(beam.PTransform):
    """(day's folder, schemas.compacted.Part as JSON) → {folder, old, new, rows} of parts that hold the home.

    `new` is a Part as JSON, written beside the old files; nothing is deleted here.
    """

    home_id: str
    dry_run: bool

    def expand(self, parts):  # type: ignore[no-untyped-def]
        return parts | "ErasePart" >> beam.FlatMap(_erase_part, self.home_id, self.dry_run)


def _erase_part(element: tuple[str, str], home_id: str, dry_run: bool) -> Iterator[str]:
    folder, line = element
    old = Part.model_validate_json(line)
    search = HomeSearch(home_id)
    rows = _rows(read_object(f"{folder}/{old.name}"))
    index = [Known(**row) for row in _rows(read_object(f"{folder}/{old.index}"))]
    accounts = [json.loads(one) for one in read_object(f"{folder}/{old.accounts}").splitlines()]
    pairs = [(row, known) for row, known in zip(rows, index, strict=True) if not search.in_row(row)]
    own = [account for account in accounts if not search.in_value(account)]
    removed = len(rows) - len(pairs)
    if not removed and len(own) == len(accounts):
        return
    merged = Merged(
        rows=[row for row, _ in pairs],
        index=[known for _, known in pairs],
        accounts={(home, gateway): of_plain(account) for home, gateway, account in own},
    )
    new = "" if dry_run else write_part(folder, merged).model_dump_json()
    yield json.dumps({"folder": folder, "old": old.name, "new": new, "rows": removed})


def write_part(folder: str, merged: Merged) -> Part:
    """What a bucket holds → its three files under the day's folder, and how a manifest names them."""
    files = part_files(merged, fastavro.parse_schema(ARCHIVE_SCHEMA), fastavro.parse_schema(INDEX_SCHEMA))
    for name, data in files.items():
        write_object(f"{folder}/{name}", data)
    part, index, accounts = files
    return Part(
        name=part,
        size=len(files[part]),
        sha256=sha256(files[part]),
        rows=len(merged.rows),
        index=index,
        accounts=accounts,
    )


def _rows(data: bytes) -> list[dict[str, Any]]:
    return list(fastavro.reader(io.BytesIO(data)))  # type: ignore[arg-type]
