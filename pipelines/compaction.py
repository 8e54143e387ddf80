"""One day of the archive, round by round: merge, verify, commit. The driver's side of `pipelines.compact`.

A crash at any point leaves either the old manifest or the new one; files that no manifest names are
written again under the same names by the next run.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from schemas.compacted import InputObject, Manifest, Part, day_folder
from transforms.compact_archive import CompactArchive, ReadInput, WrittenPart, total_counts
from transforms.compacted import Found, add_counts, commit, manifests, not_yet_read, relative, rounds
from transforms.gather import GatherLines, gathered
from transforms.merge_bucket import BulkCheck
from transforms.verify_parts import VerifyParts

# Pub/Sub keeps a message for 31 days, so a copy of it may come that much later or earlier.
LOOK_AROUND: Final = dt.timedelta(days=31)
_SHOWN: Final = 5  # faults in one message


class NotVerified(Exception):
    """What was written does not hold what was read; nothing was committed."""


@dataclasses.dataclass
class Compaction:
    """How to compact an archive.

    Attributes:
        part_bytes: Of a part, about. round_bytes: merged and committed at a time, 0: a day.
        make_pipeline: A new pipeline on the job's runner.
        unreadable: Landing objects that could not be read, with why; they stay as they are.
    """

    archive: str
    compacted: str
    ca: str
    revoked: str
    part_bytes: int
    round_bytes: int
    tombstones: frozenset[str]
    make_pipeline: Callable[[], beam.Pipeline]
    bulk_fault: BulkCheck | None = None
    unreadable: dict[str, str] = dataclasses.field(default_factory=dict)

    def compact_day(self, day: str, found: list[Found]) -> int:
        """Merge what is new of a day → how many rounds were committed.

        Raises:
            NotVerified: See there.
            FileExistsError: Another compaction runs.
        """
        done = 0
        current = manifests(self.compacted).get(day)
        for new in rounds(not_yet_read(found, current, self.archive), self.round_bytes):
            done += self._round(day, new)
        return done

    def _round(self, day: str, new: list[Found]) -> int:
        draft = f"{self.compacted}/{day_folder(day)}/draft-{uuid.uuid4().hex}"  # of this run alone
        try:
            return self._merge(day, new, draft)
        finally:
            (match,) = FileSystems.match([f"{draft}-*"])
            FileSystems.delete([entry.path for entry in match.metadata_list])

    def _merge(self, day: str, new: list[Found], draft: str) -> int:
        known = manifests(self.compacted)
        before = known.get(day)
        folder = f"{self.compacted}/{day_folder(day)}"
        indexes = list(_indexes_near(known, day, self.compacted))
        paths = [found.path for found in new]
        with self.make_pipeline() as pipeline:
            names = (
                pipeline | "NewObjects" >> beam.Create(paths),
                pipeline | "KnownIndexes" >> _create(indexes),
            )
            made = names | "CompactArchive" >> CompactArchive(
                archive=self.archive,
                folder=folder,
                buckets=max(1, math.ceil(sum(found.size for found in new) / self.part_bytes)),
                ca=self.ca,
                revoked=self.revoked,
                tombstones=self.tombstones,
                bulk_fault=self.bulk_fault,
            )
            _ = (
                made.inputs
                | "InputLines" >> beam.Map(_line)
                | "GatherInputs" >> GatherLines(f"{draft}-inputs")
            )
            _ = made.parts | "PartLines" >> beam.Map(_line) | "GatherParts" >> GatherLines(f"{draft}-parts")
        inputs = [ReadInput(**json.loads(line)) for line in gathered(f"{draft}-inputs")]
        written = [WrittenPart(**json.loads(line)) for line in gathered(f"{draft}-parts")]
        faulty = {one.name for one in inputs if one.fault}
        self.unreadable.update({one.name: one.fault for one in inputs if one.fault})
        read = [one for one in inputs if not one.fault]
        if read:
            readable = [path for path in paths if relative(path, self.archive) not in faulty]
            self._verify(folder, draft, readable, written, indexes)
            commit(self.compacted, self._manifest(day, before, read, written))
        return int(bool(read))

    def _manifest(
        self, day: str, before: Manifest | None, read: list[ReadInput], written: list[WrittenPart]
    ) -> Manifest:
        counts = total_counts(written)
        if counts.rows_in != sum(one.rows for one in read):
            raise NotVerified(f"{day}: {sum(one.rows for one in read)} rows read, {counts.rows_in} merged")
        names = {one.name for one in read}
        kept = [one for one in before.inputs if one.name not in names] if before else []
        entries = [InputObject.model_validate(one, from_attributes=True) for one in read]
        parts = [Part.model_validate_json(one.part) for one in written]
        return Manifest(
            day=day,
            number=before.number + 1 if before else 1,
            inputs=sorted([*kept, *entries], key=lambda entry: entry.name),
            parts=sorted([*(before.parts if before else []), *parts], key=lambda part: part.name),
            counts=add_counts(before.counts, counts) if before else counts,
        )

    def _verify(
        self, folder: str, draft: str, paths: list[str], written: list[WrittenPart], indexes: list[str]
    ) -> None:
        with self.make_pipeline() as pipeline:
            faults = (
                pipeline | "ReadObjects" >> beam.Create(paths),
                pipeline | "WrittenParts" >> _create([one.part for one in written]),
                pipeline | "KnownIndexes" >> _create(indexes),
            ) | "VerifyParts" >> VerifyParts(folder, self.tombstones)
            _ = faults | "GatherFaults" >> GatherLines(f"{draft}-faults")
        found = gathered(f"{draft}-faults")
        if found:
            shown = "; ".join(found[:_SHOWN])
            raise NotVerified(f"{folder}: {len(found)} faults, nothing was committed: {shown}")


def _create(items: Iterable[str]) -> beam.PTransform:
    """Create that knows its type when it is empty."""
    return beam.Create(list(items)).with_output_types(str)


def _line(element: Any) -> str:
    return json.dumps(element._asdict(), sort_keys=True)


def _indexes_near(known: dict[str, Manifest], day: str, compacted: str) -> Iterable[str]:
    """Index files of the day and of the days around it, where a copy may be."""
    here = dt.date.fromisoformat(day)
    for other, manifest in known.items():
        if abs(dt.date.fromisoformat(other) - here) <= LOOK_AROUND:
            for part in manifest.parts:
                yield f"{compacted}/{day_folder(other)}/{part.index}"
