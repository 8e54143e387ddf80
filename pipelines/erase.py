"""Remove one home's data everywhere, and prove it: everything is scanned again afterwards.

Run as `python -m pipelines.erase --help`. A run that was cut off is begun again and finishes the rest;
a home that is gone already stays gone, because a tombstone keeps compaction from taking it up again.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import Final

from google.api_core.exceptions import NotFound
from pydantic import Field, model_validator

from pipelines.batch_options import BatchConfig, parse
from pipelines.erasure import Erasure, Found
from pipelines.options import BadOptions
from schemas.compacted import tombstone
from transforms.compacted import TOMBSTONES, read_tombstones, sha256
from transforms.write_objects import write_object

REPORT_VERSION: Final = 1


class EraseConfig(BatchConfig):
    """Whose data goes, and where it may be."""

    home: str = Field(min_length=1, max_length=64, description="home to erase")
    folders: tuple[str, ...] = Field(
        default=(),
        description="folders or files: landing archive, dead letters, bulk objects, replays, staging, roster",
    )
    compacted: str = Field(min_length=1, description="folder of the compacted archive; keeps the tombstone")
    alarms: str = Field(default="", description="firestore://PROJECT")
    warehouse: str = Field(default="", description="bigquery://PROJECT.DATASET")
    report: str = Field(default="", description="where the report is written, JSON; wanted unless --dry-run")
    signed_off_by: str = Field(default="", description="who answers for it; wanted unless --dry-run")
    dry_run: bool = Field(default=False, description="only count")

    @model_validator(mode="after")
    def _fits_together(self) -> EraseConfig:
        if not self.dry_run and not (self.report and self.signed_off_by):
            raise ValueError("report and signed-off-by are wanted unless dry-run")
        if self.alarms and not self.alarms.startswith("firestore://"):
            raise ValueError(f"alarms is {self.alarms!r}, wanted firestore://PROJECT")
        if self.warehouse and not self.warehouse.startswith("bigquery://"):
            raise ValueError(f"warehouse is {self.warehouse!r}, wanted bigquery://PROJECT.DATASET")
        return self


def main(arguments: list[str] | None = None) -> int:
    """Run the job → exit code: 0 erased and proven, or counted; 1 something is left; 2 bad options."""
    logging.basicConfig(level=logging.WARNING)
    try:
        config, rest = parse(
            EraseConfig,
            sys.argv[1:] if arguments is None else arguments,
            "erase",
            "Remove one home's data everywhere and prove it.",
        )
        erasure = Erasure(
            config.home, config.folders, config.compacted, config.alarms, config.warehouse, rest
        )
        before = erasure.find()
        gone_before = tombstone(config.home) in read_tombstones(config.compacted)
        if not any(found.rows for found in before) and not gone_before:
            raise BadOptions(f"--home: nothing is known of it anywhere (given: {config.home})")
    except (BadOptions, NotFound) as error:  # not found: no such dataset
        print(f"erase: {error}", file=sys.stderr)
        return 2
    if config.dry_run:
        _print(before, None)
        return 0
    # First the tombstone: what comes while we erase, or later, is not taken up by compaction.
    name = f"{config.compacted.rstrip('/')}/{TOMBSTONES}/{tombstone(config.home)}"
    write_object(name, b"")
    erasure.erase()
    after = erasure.find()
    _print(before, after)
    report = report_of(config, before, after, dt.datetime.now(dt.UTC))
    write_object(config.report, report)
    if any(found.rows for found in after):
        print("erase: not all of it is gone; run it again", file=sys.stderr)
        return 1
    return 0


def report_of(config: EraseConfig, before: list[Found], after: list[Found], at: dt.datetime) -> bytes:
    """What was found, what is left, and who answers for it; of the home only a digest."""
    left = {found.place: found for found in after}
    content = {
        "schema_version": REPORT_VERSION,
        "home_sha256": tombstone(config.home),
        "at": at.isoformat(timespec="seconds"),
        "signed_off_by": config.signed_off_by,
        "proven": not any(found.rows for found in after),
        "places": [
            {
                "place": found.place,
                "scanned": left[found.place].scanned,
                "before": found.rows,
                "after": left[found.place].rows,
            }
            for found in before
        ],
        "kept": {found.place: found.kept for found in after if found.kept},
        "faults": [fault for found in after for fault in found.faults],
    }
    lines = json.dumps(content, indent=1, sort_keys=True)
    return (
        json.dumps({**content, "sha256": sha256(lines.encode())}, indent=1, sort_keys=True).encode() + b"\n"
    )


def _print(before: list[Found], after: list[Found] | None) -> None:
    left = {found.place: found.rows for found in after or ()}
    for found in before:
        now = f" → {left[found.place]}" if after is not None else ""
        kept = f" ({found.kept} kept)" if found.kept else ""
        print(f"{found.place}: {found.rows}{now}{kept} of {found.scanned} looked at")
        for fault in found.faults:
            print(f"  {fault}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
