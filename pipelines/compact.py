"""Compact the archive: each message once, in large files by day, home and time; and the exact ledger.

Run as `python -m pipelines.compact --help`. Running it twice changes nothing.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import defaultdict
from typing import Final

import apache_beam as beam
from pydantic import Field, model_validator

from pipelines.batch_options import BatchConfig, Hour, batch_pipeline, check_ca, parse
from pipelines.compaction import Compaction, NotVerified
from pipelines.options import BadOptions
from schemas.compacted import day_folder, tombstone
from schemas.errors import BadInput
from schemas.warehouse import LABELS
from transforms.bulk_objects import BulkFolder
from transforms.compacted import (
    Found,
    delete_inputs,
    in_hours,
    list_landing,
    manifests,
    not_yet_read,
    read_tombstones,
    visible,
)
from transforms.read_labels import read_labels, spans_of
from transforms.training_rows import SAMPLE, label_row
from transforms.warehouse_loads import LoadTarget, load_data, load_target
from transforms.write_ledger import WriteLedger
from transforms.write_training import WriteTraining
from transforms.write_warehouse import json_line

MIB: Final = 1 << 20


class CompactConfig(BatchConfig):
    """What is compacted, and where to."""

    archive: str = Field(min_length=1, description="folder of the landing archive, gs:// or local")
    output: str = Field(min_length=1, description="folder of the compacted archive and of the ledger")
    first: Hour = Field(default="", alias="from", description="first hour of arrival, like 2026-03-01T12")
    to: Hour = Field(default="", description="hour of arrival after the last; none: all there is")
    fleet_ca: str = Field(min_length=1, description="PEM file of the fleet's certificate authority")
    revoked: str = Field(default="", description="file of revoked certificate serials")
    warehouse: str = Field(default="", description="bigquery://PROJECT.DATASET, where the ledger is loaded")
    bulk: str = Field(
        default="", description="folder of the bulk bucket: announced objects are checked there"
    )
    training: bool = Field(default=False, description="write the training table of these hours as well")
    labels: str = Field(
        default="", description="firestore://PROJECT or a file of labels, for the training table"
    )
    sample: float = Field(
        default=SAMPLE, ge=0, le=1, description="of readings whose payload is kept unlabelled"
    )
    part_mb: int = Field(default=256, ge=1, le=2048, description="MiB of one compacted file, about")
    round_mb: int = Field(
        default=1024, ge=0, description="MiB that are merged and committed at a time; 0: a day at once"
    )
    delete_inputs_after_days: float = Field(
        default=0, ge=0, description="delete landing objects compacted so many days ago; 0: never"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> CompactConfig:
        if self.first and self.to and self.first >= self.to:
            raise ValueError(f"from is {self.first}, limit: before to, {self.to}")
        if self.warehouse:
            load_target(self.warehouse, self.output)
        return self


def main(arguments: list[str] | None = None) -> int:
    """Run the job → exit code: 0 done, 1 something could not be read or verified, 2 bad options."""
    logging.basicConfig(level=logging.WARNING)
    try:
        config, rest = parse(
            CompactConfig,
            sys.argv[1:] if arguments is None else arguments,
            "compact",
            "Compact the archive and write the exact ledger.",
        )
        check_ca(config.fleet_ca)
        landing = in_hours(list_landing(config.archive), config.first, config.to)
        if not landing and not manifests(config.output):
            raise BadOptions(
                f"--archive: no day=…/hour=…/*.avro in the hours asked for (given: {config.archive})"
            )
    except BadOptions as error:
        print(f"compact: {error}", file=sys.stderr)
        return 2
    try:
        return _run(config, landing, rest)
    except (NotVerified, FileExistsError, FileNotFoundError, BadInput) as error:
        print(f"compact: {error}", file=sys.stderr)
        return 1


def _run(config: CompactConfig, landing: list[Found], rest: list[str]) -> int:
    output = config.output.rstrip("/")
    compaction = _compaction(config, rest)
    for day, found in _by_day(landing).items():
        rounds = compaction.compact_day(day, found)
        counts = manifests(output)[day].counts if rounds else "nothing new"
        print(f"{day}: {rounds} rounds: {counts}")
    write_ledger(config, rest)
    if config.training:
        write_training(config, rest)
    if config.delete_inputs_after_days:
        before_s = time.time() - config.delete_inputs_after_days * 86_400
        print(f"{delete_inputs(config.archive, output, before_s)} landing objects deleted")
    for name, fault in sorted(compaction.unreadable.items()):
        print(f"compact: {name} cannot be read and stays as it is: {fault}", file=sys.stderr)
    return 1 if compaction.unreadable else 0


def _compaction(config: CompactConfig, rest: list[str]) -> Compaction:
    output = config.output.rstrip("/")
    return Compaction(
        archive=config.archive,
        compacted=output,
        ca=config.fleet_ca,
        revoked=config.revoked,
        part_bytes=config.part_mb * MIB,
        round_bytes=config.round_mb * MIB,
        tombstones=read_tombstones(output),
        bulk_fault=BulkFolder(config.bulk) if config.bulk else None,
        make_pipeline=lambda: batch_pipeline(rest),
    )


def _by_day(found: list[Found]) -> dict[str, list[Found]]:
    days: dict[str, list[Found]] = defaultdict(list)
    for one in found:
        days[one.day].append(one)
    return dict(sorted(days.items()))


def write_ledger(config: CompactConfig, rest: list[str]) -> None:
    """The ledger of everything that was ever compacted."""
    output = config.output.rstrip("/")
    current = manifests(output)
    accounts = [
        f"{output}/{day_folder(day)}/{part.accounts}"
        for day, manifest in current.items()
        for part in manifest.parts
    ]
    earlier = in_hours(list_landing(config.archive), "", config.first) if config.first else []
    unread = [one for one in earlier if not_yet_read([one], current.get(one.day), config.archive)]
    with batch_pipeline(rest) as pipeline:
        _ = (
            pipeline
            | "AccountFiles" >> beam.Create(accounts).with_output_types(str)
            | "WriteLedger" >> WriteLedger(f"{output}/ledger", from_start=not unread, target=_target(config))
        )


def write_training(config: CompactConfig, rest: list[str]) -> None:
    """The labels as they stand, and the training table of the hours asked for, also of what is not compacted.

    Raises:
        BadInput: The file of labels holds something else.
    """
    output = config.output.rstrip("/")
    tombstones = read_tombstones(output)
    said = read_labels(config.labels) if config.labels else []
    labels = [label for label in said if tombstone(label.home_id) not in tombstones]
    target = _target(config)
    if labels and target is not None:
        load_data(target, LABELS, b"".join(json_line(label_row(label)) for label in labels), replace=True)
    paths = visible(config.archive, output, config.first, config.to)
    with batch_pipeline(rest) as pipeline:
        _ = (
            pipeline
            | "ArchiveFiles" >> beam.Create(paths).with_output_types(str)
            | "WriteTraining"
            >> WriteTraining(
                f"{output}/training",
                config.fleet_ca,
                config.revoked,
                config.first,
                config.to,
                spans_of(labels),
                config.sample,
                bulk=config.bulk,
                target=target,
                tombstones=tombstones,
            )
        )


def _target(config: CompactConfig) -> LoadTarget | None:
    output = config.output.rstrip("/")
    return load_target(config.warehouse, f"{output}/staging") if config.warehouse else None


if __name__ == "__main__":
    sys.exit(main())
