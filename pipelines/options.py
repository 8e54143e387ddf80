"""Options of the monitor job: command line → a frozen, validated configuration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from transforms.decode_batches import CLOCK_TOLERANCE_S

LANES: Final = ("urgent", "minutes", "bulk")


def feeds(url: str, lane: str) -> bool:
    """Does this subscription carry this lane? It is named after it.

    >>> feeds("pubsub://project/bulk-monitor", "bulk"), feeds("gs://bucket/archive", "bulk")
    (True, False)
    """
    return url.startswith("pubsub://") and url.rsplit("/", 1)[-1].startswith(lane)


class MonitorConfig(BaseModel):
    """What a monitor job reads, and where its effects go.

    Attributes:
        input: Pub/Sub subscriptions of the lanes (pubsub://PROJECT/SUBSCRIPTION, named after their
            lane), or one archive folder (gs://… or a local path).
        lanes: Lanes that this job handles; by default those that it has an input for, of files all.
        output: Folder of archive/ and dead_letters/; with files, of everything that the replay writes.
            "" for a live job of the urgent lane that keeps nothing: object storage then cannot hold an
            alarm. Another job keeps the lane from a subscription of its own.
        alarms: firestore://PROJECT; not with files, which page nobody.
        warehouse: bigquery://PROJECT.DATASET or a folder, "" for none; not with files.
        fleet_ca: PEM file of the fleet CA.
        revoked: File of revoked certificates, "" for none.
        roster: The homes that must be heard (schemas.roster), "" supervises none; for a live job of the
            minutes lane.
        proves: Lanes whose path this job proves; empty: all of its lanes. A second job of a lane leaves
            that to the first, whose death it must not hide.
        bulk: Folder to which gateways upload hourly objects; "" takes the output's bucket, of a local
            output the folder itself, and of files the folder that the archive lies in.
        models: Folder of model cards and weights, "" for those of the package.
        registry: Registry of models (gs://… or a local path), followed while the job runs; until it says
            which version serves, and where it cannot be read, `models` serves. "" for none.
        registry_keys: PEM file of the public keys whose signatures count in the registry.
        accelerator: Dataflow's resource hint for the large model's stage, "" for CPUs.
        archive_hold_s: How long a small bundle's messages may wait in the runner's state for others, to
            become one object; 0: each bundle writes. Only where that state outlives every failure.
        clock_tolerance_s: How far a gateway's clock may be from arrival.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: tuple[str, ...] = Field(min_length=1)
    lanes: tuple[str, ...] = ()
    output: str = ""
    alarms: str = ""
    warehouse: str = ""
    fleet_ca: str = Field(min_length=1)
    revoked: str = ""
    roster: str = ""
    proves: tuple[str, ...] = ()
    bulk: str = ""
    models: str = ""
    registry: str = ""
    registry_keys: str = ""
    accelerator: str = ""
    archive_hold_s: float = Field(default=0.0, ge=0, le=600)
    clock_tolerance_s: float = Field(default=CLOCK_TOLERANCE_S, gt=0, le=31 * 86_400)

    @property
    def live(self) -> bool:
        """Whether this job reads Pub/Sub, and may therefore act."""
        return self.input[0].startswith("pubsub://")

    @property
    def bulk_folder(self) -> str:
        """`bulk` with its default filled in."""
        near = self.output if self.live else self.input[0].rstrip("/").rpartition("/")[0]
        return self.bulk or ("/".join(near.split("/")[:3]) if near.startswith("gs://") else near)

    @model_validator(mode="before")
    @classmethod
    def _default_lanes(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.get("lanes") and given.get("input"):
            fed = tuple(lane for lane in LANES if any(feeds(url, lane) for url in given["input"]))
            return {**given, "lanes": fed or LANES}
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> MonitorConfig:
        unknown = sorted(set(self.lanes) - set(LANES))
        if unknown or not self.lanes:
            raise ValueError(f"lanes are {list(self.lanes)}, known lanes: {list(LANES)}")
        streams = [url.startswith("pubsub://") for url in self.input]
        if any(streams) != all(streams):
            raise ValueError(f"input is {list(self.input)}: subscriptions and files do not mix")
        if self.live and not self.alarms.startswith("firestore://"):
            raise ValueError(f"alarms is {self.alarms!r}, a live job wants firestore://PROJECT")
        if not self.output and not (self.live and self.lanes == ("urgent",) and not self.warehouse):
            raise ValueError("output is empty: only a live job of the urgent lane alone may keep nothing")
        if not self.live and (self.alarms or self.warehouse):
            raise ValueError("files go to a replay folder: alarms and warehouse are for live jobs")
        if self.roster and not (self.live and "minutes" in self.lanes):
            raise ValueError("roster is for a live job of the minutes lane: files page nobody")
        if set(self.proves) - set(self.lanes):
            raise ValueError(f"proves is {list(self.proves)}, lanes of this job: {list(self.lanes)}")
        if bool(self.registry) != bool(self.registry_keys):
            raise ValueError(
                f"registry is {self.registry!r}, registry-keys is {self.registry_keys!r}: both or neither"
            )
        if not self.live and len(self.input) != 1:
            raise ValueError(f"input is {list(self.input)}, one archive folder is read at a time")
        return self


class BadOptions(Exception):
    """The command line is at fault; the message names option, value and bound."""


def parse_options(arguments: Sequence[str]) -> tuple[MonitorConfig, list[str]]:
    """Command line → our configuration and what is left for Beam's own options.

    Raises:
        BadOptions: A value is missing or out of range.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.monitor",
        description="Archive, verify, score and evaluate the readings of all homes; raise alarms.",
        epilog="Other options go to Beam: --runner, --project, --region, --streaming, …",
    )
    for name, field in MonitorConfig.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        if field.annotation == tuple[str, ...]:
            parser.add_argument(flag, nargs="+", help=_HELP[name])
        else:
            parser.add_argument(flag, help=_HELP[name])
    known, rest = parser.parse_known_args(arguments)
    given = {name: value for name, value in vars(known).items() if value is not None}
    try:
        return MonitorConfig(**given), rest
    except ValidationError as error:
        raise BadOptions("\n".join(complaint(problem) for problem in error.errors())) from error


def complaint(problem: object) -> str:
    """One of pydantic's findings → a line that names option, bound and value."""
    details = dict(problem)  # type: ignore[call-overload]
    field = "--" + str(details["loc"][0]).replace("_", "-") if details["loc"] else "options"
    given = "" if details["type"] == "missing" or not details["loc"] else f" (given: {details['input']})"
    return f"{field}: {details['msg']}{given}"


_HELP: Final = {
    "input": "pubsub://PROJECT/SUBSCRIPTION, one a lane; or a folder of archived batches",
    "lanes": f"lanes to handle, of {' '.join(LANES)} (default: those of the inputs; of files all)",
    "output": "folder for archive and dead letters; with files, for everything that a replay writes; none "
    "for an urgent job that only raises alarms",
    "alarms": "firestore://PROJECT, where alarms go",
    "warehouse": "bigquery://PROJECT.DATASET or a folder, where scores and receipts go",
    "fleet_ca": "PEM file of the fleet's certificate authority",
    "revoked": "file of revoked certificate serials",
    "roster": "file of the homes that must be heard",
    "proves": "lanes whose path this job proves (default: all of its lanes)",
    "bulk": "folder to which gateways upload hourly objects (default: the output's bucket or folder)",
    "models": "folder of model cards and weights (default: the package's)",
    "registry": "registry of models, followed while the job runs (gs://… or a folder)",
    "registry_keys": "PEM file of the public keys whose signatures count in the registry",
    "accelerator": "Dataflow's hint for the large model's workers, like "
    "type:nvidia-l4;count:1;install-nvidia-driver (default: none, CPUs)",
    "archive_hold_s": "seconds that small bundles may wait in the runner's state to share an archive object "
    "(default: 0, each bundle writes; needs a state that outlives every failure)",
    "clock_tolerance_s": f"seconds a gateway's clock may be off (default: {CLOCK_TOLERANCE_S:g})",
}
