"""Manifests of the compacted archive: which files count, and what of the landing archive is new.

Rules in plain functions first, then the few calls to storage. Compaction of one archive is one job at a
time: a manifest is created only if its number is free, so that of two the later commits nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from apache_beam.io.filesystems import FileSystems

from schemas.archive import PARTITIONS, partition
from schemas.compacted import Counts, Manifest, day_folder, manifest_name
from transforms.write_objects import write_object

_HOUR: Final = re.compile(r"/day=(\d{4}-\d\d-\d\d)/hour=(\d\d)/")
_MANIFEST: Final = re.compile(r"/day=(\d{4}-\d\d-\d\d)/manifest-(\d{5})\.json$")
TOMBSTONES: Final = "tombstones"


class Found(NamedTuple):
    """An object of a listing. `hour`: of its arrival, "2026-03-01T12"."""

    path: str
    size: int
    hour: str

    @property
    def day(self) -> str:
        return self.hour[:10]


def in_hours(found: Iterable[Found], first: str, end: str) -> list[Found]:
    """Objects of the hours [first, end) by path; an empty bound is none.

    >>> [f.hour for f in in_hours([Found("a", 1, "2026-03-01T12")], "2026-03-01T12", "")]
    ['2026-03-01T12']
    """
    return sorted(f for f in found if (not first or f.hour >= first) and (not end or f.hour < end))


def not_yet_read(found: Iterable[Found], manifest: Manifest | None, archive: str) -> list[Found]:
    """Landing objects that the manifest does not cover, by path. Their names are never used again."""
    known = {entry.name for entry in manifest.inputs} if manifest else set()
    return sorted(f for f in found if relative(f.path, archive) not in known)


def rounds(found: Sequence[Found], limit_bytes: int) -> Iterator[list[Found]]:
    """Objects in order → rounds of at most so many bytes, each at least one object. 0: all in one.

    >>> [[f.size for f in r] for r in rounds([Found("", size, "") for size in (5, 4, 3, 20)], 9)]
    [[5, 4], [3], [20]]
    """
    held: list[Found] = []
    for one in found:
        if held and limit_bytes and sum(f.size for f in held) + one.size > limit_bytes:
            yield held
            held = []
        held.append(one)
    if held:
        yield held


def add_counts(one: Counts, other: Counts) -> Counts:
    """
    >>> add_counts(Counts(kept=2), Counts(kept=1, copies=4)).kept
    3
    """
    return Counts(**{name: value + getattr(other, name) for name, value in one})


def relative(path: str, folder: str) -> str:
    """
    >>> relative("/a/day=2026-03-01/hour=12/m.avro", "/a/")
    'day=2026-03-01/hour=12/m.avro'
    """
    return path.removeprefix(folder.rstrip("/")).lstrip("/")


def list_landing(archive: str) -> list[Found]:
    """All objects of the landing archive (gs:// or local): the archive itself is asked, no receipt."""
    (match,) = FileSystems.match([f"{archive.rstrip('/')}/{PARTITIONS}/*.avro"])
    hours = ((_HOUR.search(entry.path), entry) for entry in match.metadata_list)
    return [Found(entry.path, entry.size_in_bytes, f"{hour[1]}T{hour[2]}") for hour, entry in hours if hour]


def hour_of(publish_us: int) -> str:
    """Publish time, µs since 1970 → hour of arrival.

    >>> hour_of(7 * 3_600_000_000)
    '1970-01-01T07'
    """
    return partition(publish_us).removeprefix("day=").replace("/hour=", "T")


def manifests(compacted: str) -> dict[str, Manifest]:
    """Day → the manifest that counts."""
    (match,) = FileSystems.match([f"{compacted.rstrip('/')}/day=*/manifest-*.json"])
    newest: dict[str, tuple[int, str]] = {}
    for entry in match.metadata_list:
        if name := _MANIFEST.search(entry.path):
            newest[name[1]] = max(newest.get(name[1], (0, "")), (int(name[2]), entry.path))
    return {day: Manifest.model_validate_json(read_object(path)) for day, (_, path) in sorted(newest.items())}


def covered_since(compacted: str, before_s: float) -> dict[str, Manifest]:
    """Day → its newest manifest that was committed before a time (s since 1970): readers have seen it."""
    (match,) = FileSystems.match([f"{compacted.rstrip('/')}/day=*/manifest-*.json"])
    old: dict[str, tuple[int, str]] = {}
    for entry in match.metadata_list:
        name = _MANIFEST.search(entry.path)
        if name and entry.last_updated_in_seconds and entry.last_updated_in_seconds < before_s:
            old[name[1]] = max(old.get(name[1], (0, "")), (int(name[2]), entry.path))
    return {day: Manifest.model_validate_json(read_object(path)) for day, (_, path) in sorted(old.items())}


def delete_inputs(archive: str, compacted: str, before_s: float) -> int:
    """Delete landing objects that a manifest has covered since before a time → how many.

    Only where every part of the manifest that counts is there in its size: each was compared with its
    inputs, message by message, before it was committed.

    Raises:
        FileNotFoundError: A part is missing or has another size; of its day nothing is deleted.
    """
    current = manifests(compacted)
    landing = {relative(found.path, archive): found.path for found in list_landing(archive)}
    deleted = 0
    for day, manifest in covered_since(compacted, before_s).items():
        doomed = [landing[entry.name] for entry in manifest.inputs if entry.name in landing]
        if not doomed:
            continue
        folder = f"{compacted.rstrip('/')}/{day_folder(day)}"
        (match,) = FileSystems.match([f"{folder}/part-*.avro"])
        sizes = {relative(entry.path, folder): entry.size_in_bytes for entry in match.metadata_list}
        for part in current[day].parts:
            if sizes.get(part.name) != part.size:
                raise FileNotFoundError(
                    f"{folder}/{part.name} has {sizes.get(part.name)} bytes, its manifest says {part.size}; "
                    "nothing of this day is deleted"
                )
        FileSystems.delete(doomed)
        deleted += len(doomed)
    return deleted


def visible(archive: str, compacted: str, first: str = "", end: str = "") -> list[str]:
    """Paths of the files that hold the messages of the hours [first, end), each message in one of them.

    Parts hold whole days: who wants less drops what lies outside.
    """
    current = manifests(compacted) if compacted else {}
    landing = in_hours(list_landing(archive), first, end)
    parts = [
        f"{compacted.rstrip('/')}/{day_folder(day)}/{part.name}"
        for day, manifest in current.items()
        if (not first or day >= first[:10]) and (not end or f"{day}T00" < end)
        for part in manifest.parts
    ]
    return parts + [found.path for found in landing if not_yet_read([found], current.get(found.day), archive)]


def commit(compacted: str, manifest: Manifest) -> str:
    """Make a manifest the one that counts → its path.

    Raises:
        FileExistsError: Another job committed this number.
    """
    path = f"{compacted.rstrip('/')}/{day_folder(manifest.day)}/{manifest_name(manifest.number)}"
    try:
        if FileSystems.exists(path):  # the stand-in for object storage knows no precondition
            raise FileExistsError(path)
        write_object(path, manifest.model_dump_json(indent=1).encode() + b"\n", only_new=True)
    except FileExistsError as error:
        raise FileExistsError(
            f"{path} exists: another compaction of this archive runs, or ran meanwhile"
        ) from error
    return path


def read_object(path: str) -> bytes:
    """The whole of an object, gs:// or local."""
    if "://" not in path:
        with open(path, "rb") as file:
            return file.read()
    with FileSystems.open(path, "application/octet-stream", "uncompressed") as source:
        data: bytes = source.read()
    return data


def read_tombstones(compacted: str) -> frozenset[str]:
    """Digests of the homes that were erased (schemas.compacted.tombstone)."""
    (match,) = FileSystems.match([f"{compacted.rstrip('/')}/{TOMBSTONES}/*"])
    return frozenset(os.path.basename(entry.path) for entry in match.metadata_list)


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()
