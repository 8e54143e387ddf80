"""Send dead letters back after a fix, or replay one home and hour through other models and see what differs.

Run as `python -m pipelines.replay dead-letters --help` or `python -m pipelines.replay home --help`. Both
page nobody: a replay writes to its own folder, and what is resent goes the way of every message.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
from collections import Counter
from typing import Final, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from pydantic import Field, model_validator

from pipelines.batch_options import BatchConfig, Hour, batch_pipeline, check_ca, parse
from pipelines.io import choose_io
from pipelines.models import model_handlers, model_source
from pipelines.monitor import build
from pipelines.options import BadOptions, MonitorConfig
from schemas.readings import HOUR_US, MINUTE_US
from serving import cards
from transforms.compacted import hour_of, visible
from transforms.compare_replays import Replayed, compare, summary, table
from transforms.elements import Score, WindowScore
from transforms.gather import GatherLines, gathered
from transforms.publish_letters import open_publisher
from transforms.raise_alarms import EpisodeChange
from transforms.read_home import CopyHome, CopyLetters, hour_us
from transforms.resend_dead_letters import ResendDeadLetters, Wanted, list_letters, resent_before
from transforms.write_objects import write_object

_SHOWN: Final = 20
LEAD_IN_US: Final = 10 * MINUTE_US  # what a window of the hour's first minute still looks at


class DeadLettersConfig(BatchConfig):
    """Which dead letters, and where they go."""

    source: str = Field(min_length=1, alias="from", description="folder of dead letters, gs:// or local")
    to: str = Field(
        default="", description="pubsub://PROJECT (to the topic of its lane) or pubsub://PROJECT/TOPIC"
    )
    through_build: str = Field(
        default="",
        description="folder: try them on this code there instead of sending them; needs --fleet-ca",
    )
    fleet_ca: str = Field(default="", description="PEM file of the fleet's certificate authority")
    revoked: str = Field(default="", description="file of revoked certificate serials")
    stage: str = Field(default="", description="only of this stage: envelope, signature, reading, …")
    reason: str = Field(default="", description="only with this text in their error")
    home: str = Field(default="", description="only those that claim this home")
    since: Hour = Field(default="", description="first hour of arrival, like 2026-03-01T12")
    until: Hour = Field(default="", description="hour of arrival after the last")
    dry_run: bool = Field(default=False, description="only say what would be sent")

    @model_validator(mode="after")
    def _one_way(self) -> DeadLettersConfig:
        if bool(self.to) == bool(self.through_build):
            raise ValueError("one of to and through-build is wanted")
        if self.to and not self.to.startswith("pubsub://"):
            raise ValueError(f"to is {self.to!r}, wanted pubsub://PROJECT or pubsub://PROJECT/TOPIC")
        if self.through_build and not self.fleet_ca:
            raise ValueError("through-build wants fleet-ca, to verify what it tries")
        return self

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.stage, self.reason, self.home, self.since, self.until)


class HomeConfig(BatchConfig):
    """Which home and hour, through which models."""

    home: str = Field(min_length=1, description="home to replay")
    hour: Hour = Field(min_length=1, description="hour of arrival, like 2026-03-01T12 (UTC)")
    archive: str = Field(min_length=1, description="folder of the landing archive")
    compacted: str = Field(default="", description="folder of the compacted archive")
    models: str = Field(default="", description="folder of the models to try; none: the package's")
    baseline: str = Field(default="", description="folder of the models to compare with; none: the package's")
    bulk: str = Field(default="", description="folder of the hourly objects (default: beside the archive)")
    output: str = Field(min_length=1, description="folder of the replay")
    fleet_ca: str = Field(min_length=1, description="PEM file of the fleet's certificate authority")
    revoked: str = Field(default="", description="file of revoked certificate serials")


def resend(config: DeadLettersConfig, rest: list[str]) -> int:
    """Send, try or list dead letters → exit code."""
    paths = list_letters(config.source)
    if not paths:
        raise BadOptions(f"--from: no dead letters (given: {config.source})")
    done = resent_before(config.source)
    if config.through_build:
        return _try(config, paths, done, rest)
    said = f"{config.source.rstrip('/')}/resent/last-run.txt"
    with batch_pipeline(rest) as pipeline:
        lines = (
            pipeline
            | "DeadLetterObjects" >> beam.Create(paths)
            | "ResendDeadLetters"
            >> ResendDeadLetters(
                config.source,
                config.wanted,
                done,
                None if config.dry_run else functools.partial(open_publisher, config.to),
                _now_us,
            )
        )
        _ = lines | "GatherResent" >> GatherLines(said)
    letters = [json.loads(line) for line in gathered(said)]
    _print_letters(letters, "would be sent" if config.dry_run else "sent", len(done))
    return 0


def _try(config: DeadLettersConfig, paths: list[str], done: frozenset[str], rest: list[str]) -> int:
    check_ca(config.fleet_ca)
    folder = config.through_build.rstrip("/")
    with batch_pipeline(rest) as pipeline:
        objects = pipeline | "DeadLetterObjects" >> beam.Create(paths)
        counted = objects | "CopyLetters" >> CopyLetters(f"{folder}/messages", config.wanted, done)
        _ = counted | "GatherCopied" >> GatherLines(f"{folder}/copied.txt")
    letters = [json.loads(line) for line in gathered(f"{folder}/copied.txt")]
    rejected = []
    if letters:
        _replay(_monitor(config, f"{folder}/messages", folder), folder, rest)
        rejected = [json.loads(line) for line in gathered(f"{folder}/rejected.txt")]
    _print_letters(letters, "tried", len(done))
    again = Counter(f"{one['stage']}: {one['message']}" for one in rejected)
    print(f"{len(rejected)} dead letters again")
    for reason, count in again.most_common(_SHOWN):
        print(f"  {count} × {reason}")
    return 1 if rejected else 0


def _print_letters(letters: list[dict[str, str]], verb: str, skipped: int) -> None:
    print(f"{len(letters)} messages {verb}, {skipped} were sent before")
    for (stage, reason), count in Counter((x["stage"], x["reason"]) for x in letters).most_common(_SHOWN):
        print(f"  {count} × {stage}: {reason}")


class Twice(NamedTuple):
    """One home and hour, through two sets of models.

    Attributes:
        first_us, end_us: The hour; a lead-in before it was replayed as well.
        messages: Of the home that arrived then.
    """

    baseline: Replayed
    candidate: Replayed
    first_us: int
    end_us: int
    messages: int


def replay_home(config: HomeConfig, rest: list[str]) -> int:
    """Replay one home and hour twice → 0; prints what differs and writes it as JSON."""
    said = replay_twice(config, rest)
    hour = said.first_us, said.end_us
    differences = compare(said.baseline, said.candidate, *hour)
    numbers = summary(said.baseline, said.candidate, differences, *hour)
    report = {"home_id": config.home, "hour": config.hour, "messages": said.messages, **numbers}
    rows = [difference._asdict() for difference in differences]
    written = json.dumps({**report, "differences": rows}, indent=1).encode()
    write_object(f"{config.output.rstrip('/')}/differences.json", written)
    print(json.dumps(report, indent=1))
    print(table(differences))
    return 0


def replay_twice(config: HomeConfig, rest: list[str]) -> Twice:
    """Through the baseline and through the candidate.

    Raises:
        BadOptions: There is no CA, or nothing of this home in this hour.
    """
    check_ca(config.fleet_ca)
    first_us = hour_us(config.hour)
    end_us = first_us + HOUR_US
    output = config.output.rstrip("/")
    paths = visible(config.archive, config.compacted, hour_of(first_us - LEAD_IN_US), hour_of(end_us))
    with batch_pipeline(rest) as pipeline:
        copied = (
            pipeline
            | "ArchiveFiles" >> beam.Create(paths).with_output_types(str)
            | "CopyHome" >> CopyHome(config.home, first_us - LEAD_IN_US, end_us, f"{output}/messages")
        )
        _ = copied | "GatherCopied" >> GatherLines(f"{output}/copied.txt")
    count = len(gathered(f"{output}/copied.txt"))
    if not count:
        raise BadOptions(f"--home: no message of it arrived in hour {config.hour} (given: {config.home})")
    said = {}
    for name, models in (("baseline", config.baseline), ("candidate", config.models)):
        folder = f"{output}/{name}"
        replayed = _monitor(config, f"{output}/messages", folder, models)
        # Unless it is named, the bucket of hourly objects is the one beside the real archive.
        bulk = config.bulk or replayed.model_copy(update={"input": (config.archive,)}).bulk_folder
        said[name] = _replay(replayed.model_copy(update={"bulk": bulk}), folder, rest)
    return Twice(said["baseline"], said["candidate"], first_us, end_us, count)


def _monitor(
    config: DeadLettersConfig | HomeConfig, messages: str, output: str, models: str = ""
) -> MonitorConfig:
    return MonitorConfig(
        input=(messages,), output=output, fleet_ca=config.fleet_ca, revoked=config.revoked, models=models
    )


def _replay(config: MonitorConfig, folder: str, rest: list[str]) -> Replayed:
    """The pipeline's own `build()` on files → what it said."""
    with batch_pipeline(rest) as pipeline:
        built = build(
            pipeline, config, choose_io(config, PipelineOptions(rest)), model_handlers(model_source(config))
        )
        outputs = {
            "scores": built.scores,
            "windows": built.windows,
            "episodes": built.episodes,
            "rejected": built.rejected,
        }
        for name, elements in outputs.items():
            lines = elements | f"{name.capitalize()}Lines" >> beam.Map(_line, name)
            _ = lines | f"Gather{name.capitalize()}" >> GatherLines(f"{folder}/{name}.txt")
    read = {name: [json.loads(line) for line in gathered(f"{folder}/{name}.txt")] for name in outputs}
    return Replayed(
        [Score(**one) for one in read["scores"]],
        [WindowScore(**one) for one in read["windows"]],
        [EpisodeChange(**one) for one in read["episodes"]],
    )


def _line(element: object, name: str) -> str:
    fields = element._asdict()  # type: ignore[attr-defined]
    if name == "rejected":  # its payload stays in the folder of dead letters
        fields = {key: fields[key] for key in ("stage", "message", "scope", "home_id", "message_id")}
    return json.dumps(fields)


def _now_us() -> int:
    return time.time_ns() // 1_000


def main(arguments: list[str] | None = None) -> int:
    """Run a command → exit code: 0 done, 1 rejected again, 2 bad options."""
    logging.basicConfig(level=logging.WARNING)
    given = sys.argv[1:] if arguments is None else arguments
    command = given[0] if given else ""
    try:
        if command == "dead-letters":
            return resend(
                *parse(DeadLettersConfig, given[1:], "replay dead-letters", "Send dead letters back.")
            )
        if command == "home":
            return replay_home(*parse(HomeConfig, given[1:], "replay home", "Show what would differ."))
        raise BadOptions(f"command is {command!r}, known commands: dead-letters, home")
    except (BadOptions, cards.ModelRefused) as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
