"""All places where a home's data may be: found, erased, found again. The driver of `pipelines.erase`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from pipelines.batch_options import batch_pipeline
from schemas.compacted import Manifest, Part, day_folder
from transforms.compacted import commit, manifests
from transforms.erase_documents import erase_documents, find_documents
from transforms.erase_objects import EraseObjects, EraseParts
from transforms.erase_tables import count_rows, delete_rows
from transforms.firestore_effects import firestore_client
from transforms.gather import GatherLines, gathered
from transforms.home_search import HomeSearch
from transforms.warehouse_loads import bigquery_client

_DRAFT: Final = "erase-draft"


class Found(NamedTuple):
    """What a place holds of the home.

    Attributes:
        rows: Or documents, or whole objects. scanned: Files, tables or documents that were looked at.
        kept: What stays there by rule.
        faults: What could not be taken apart.
    """

    place: str
    rows: int
    scanned: int
    kept: int = 0
    faults: tuple[str, ...] = ()


@dataclass
class Erasure:
    """One home and everywhere it may be. `rest`: Beam's options."""

    home_id: str
    folders: tuple[str, ...]
    compacted: str
    alarms: str
    warehouse: str
    rest: list[str]

    def find(self) -> list[Found]:
        """Scan everything and count."""
        return self._run(dry_run=True)

    def erase(self) -> None:
        """Scan everything and remove. What is removed first is what others are made from."""
        self._run(dry_run=False)

    def _run(self, *, dry_run: bool) -> list[Found]:
        found = [*self._objects(dry_run), self._parts(dry_run)]
        if self.warehouse:
            found += self._tables(dry_run)
        if self.alarms:
            found.append(self._documents(dry_run))
        return found

    def _objects(self, dry_run: bool) -> Iterator[Found]:
        places = [*self.folders, self.compacted]
        objects = [(place, path) for place in places for path in self._files(place)]
        told = self._told("Objects", objects, EraseObjects(self.home_id, dry_run))
        for place in places:
            own = [one for one in told if one["place"] == place]
            name = "compacted: ledger, training, other files" if place == self.compacted else place
            faults = tuple(one["fault"] for one in own if one["fault"])
            scanned = sum(origin == place for origin, _ in objects)
            yield Found(name, sum(one["rows"] for one in own), scanned, faults=faults)

    def _told(self, what: str, places: list[tuple[str, str]], erase: beam.PTransform) -> list[dict[str, Any]]:
        """Run a job over places → what it says of those in which it found the home."""
        draft = f"{self.compacted.rstrip('/')}/{_DRAFT}-{what.lower()}"
        with batch_pipeline(self.rest) as pipeline:
            _ = (
                pipeline
                | what >> beam.Create(places).with_output_types(tuple[str, str])
                | f"Erase{what}" >> erase
                | f"Gather{what}" >> GatherLines(draft)
            )
        told = [json.loads(line) for line in gathered(draft)]
        FileSystems.delete([draft])
        return told

    def _files(self, folder: str) -> list[str]:
        """All files of a folder, or the file itself, but those that a manifest of the archive names."""
        below, itself = FileSystems.match([f"{folder.rstrip('/')}/**", folder])
        compacted = self.compacted.rstrip("/")
        named = {
            f"{compacted}/{day_folder(day)}/{name}"
            for day, manifest in manifests(compacted).items()
            for part in manifest.parts
            for name in (part.name, part.index, part.accounts)
        }
        nested = f"{compacted}/" if folder != self.compacted else "\x00"
        return sorted(
            entry.path
            for entry in (*below.metadata_list, *itself.metadata_list)
            if not os.path.isdir(entry.path)
            and entry.path not in named
            and not entry.path.startswith(nested)
            and not entry.path.endswith("/")
        )

    def _parts(self, dry_run: bool) -> Found:
        current = manifests(self.compacted)
        compacted = self.compacted.rstrip("/")
        parts = [
            (f"{compacted}/{day_folder(day)}", part.model_dump_json())
            for day, manifest in current.items()
            for part in manifest.parts
        ]
        told = self._told("Parts", parts, EraseParts(self.home_id, dry_run))
        if not dry_run:
            for day, manifest in current.items():
                own = [one for one in told if one["folder"].endswith(f"/{day_folder(day)}")]
                self._replace(manifest, {one["old"]: one for one in own})
        # A part whose accounts alone named the home counts as one.
        return Found("compacted: parts", sum(max(one["rows"], 1) for one in told), len(parts))

    def _replace(self, manifest: Manifest, changed: dict[str, dict[str, object]]) -> None:
        """Commit a manifest with the new parts, then delete the old ones and what named them."""
        folder = f"{self.compacted.rstrip('/')}/{day_folder(manifest.day)}"
        if changed:
            removed = sum(int(str(one["rows"])) for one in changed.values())
            parts = [
                Part.model_validate_json(str(changed[part.name]["new"])) if part.name in changed else part
                for part in manifest.parts
            ]
            known = manifest.counts
            counts = known.model_copy(update={"kept": known.kept - removed, "erased": known.erased + removed})
            manifest = manifest.model_copy(
                update={
                    "number": manifest.number + 1,
                    "parts": sorted(parts, key=lambda p: p.name),
                    "counts": counts,
                }
            )
            commit(self.compacted, manifest)
        self._delete_unnamed(folder, manifest)

    def _delete_unnamed(self, folder: str, manifest: Manifest) -> None:
        """Also what an earlier run left when it was cut off between its commit and here."""
        (match,) = FileSystems.match([f"{folder}/*"])
        named = {name for part in manifest.parts for name in (part.name, part.index, part.accounts)}
        named.add(f"manifest-{manifest.number:05d}.json")
        doomed = [entry.path for entry in match.metadata_list if entry.path.rsplit("/", 1)[-1] not in named]
        if doomed:
            FileSystems.delete(doomed)

    def _tables(self, dry_run: bool) -> Iterator[Found]:
        project, _, dataset = self.warehouse.removeprefix("bigquery://").partition(".")
        client = bigquery_client(project)
        try:
            for table, count in count_rows(client, dataset, self.home_id).items():
                if count and not dry_run:
                    delete_rows(client, dataset, table, self.home_id)
                yield Found(f"{self.warehouse}.{table}", count, 1)
        finally:
            client.close()

    def _documents(self, dry_run: bool) -> Found:
        client = firestore_client(self.alarms.removeprefix("firestore://"))
        try:
            found, scanned, kept = find_documents(client, HomeSearch(self.home_id))
            if not dry_run:
                erase_documents(client, found)
            return Found(self.alarms, len(found), scanned, kept)
        finally:
            client.close()
