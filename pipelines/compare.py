"""Compare two versions of a model: agreement, alarms gained and missed, latency.

Run as `python -m pipelines.compare --help`, or as `hearthwatch models compare` beside a system that is up.
From what the fleet's and the shadow's version said of the same readings (warehouse), or by replaying a home
and hour of the archive through both.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import Field, model_validator

from pipelines.batch_options import BatchConfig, Hour, parse
from pipelines.options import BadOptions
from pipelines.replay import LEAD_IN_US, HomeConfig, replay_twice
from schemas.readings import HOUR_US
from schemas.warehouse import READINGS_SCORES, SHADOW_SCORES
from serving import cards
from serving.cards import ModelRefused
from serving.interpreter import MAX_BATCH, LoadedModel, open_model
from serving.live import kept_weights
from serving.objects import StoreFailed, open_store
from serving.registry import Model, Registry
from serving.signing import BadKey, TrustedKeys
from transforms.compare_versions import compare_versions
from transforms.elements import Score
from transforms.read_home import hour_us
from transforms.read_scores import read_scores

_RUNS: Final = 30


class CompareConfig(BatchConfig):
    """Which versions, and by which readings."""

    baseline: str = Field(min_length=1, description="version that serves, like sound-1")
    candidate: str = Field(min_length=1, description="version to judge by it, like sound-2")
    registry: str = Field(min_length=1, description="registry of models, gs://… or a folder")
    registry_keys: str = Field(min_length=1, description="PEM file of the registry's public keys")
    since: Hour = Field(min_length=1, description="first hour, like 2026-03-01T12 (UTC)")
    until: Hour = Field(default="", description="hour after the last; none: one hour")
    warehouse: str = Field(default="", description="bigquery://PROJECT.DATASET or a folder with both tables")
    archive: str = Field(default="", description="folder of the landing archive: replay one home and hour")
    compacted: str = Field(default="", description="folder of the compacted archive")
    home: str = Field(default="", description="home to replay")
    fleet_ca: str = Field(default="", description="PEM file of the fleet's certificate authority")

    @model_validator(mode="after")
    def _one_source(self) -> CompareConfig:
        if bool(self.warehouse) == bool(self.archive):
            raise ValueError("one of warehouse and archive is wanted")
        if self.archive and not (self.home and self.fleet_ca):
            raise ValueError("a replay of the archive wants home and fleet-ca")
        if self.archive and self.until:
            raise ValueError(f"until is {self.until}: a replay takes one hour")
        if self.baseline.rpartition("-")[0] != self.candidate.rpartition("-")[0]:
            raise ValueError(f"{self.candidate} is no version of what {self.baseline} is a version of")
        return self


def run(config: CompareConfig, rest: list[str]) -> dict[str, Any]:
    """Both versions in numbers.

    Raises:
        BadOptions: No key, or nothing to compare by.
        ModelRefused: A version cannot be proven.
    """
    try:
        registry = Registry(open_store(config.registry), TrustedKeys.read(Path(config.registry_keys)))
    except BadKey as error:
        raise BadOptions(f"--registry-keys: {error}") from error
    models = {version: registry.load(version) for version in (config.baseline, config.candidate)}
    first_us = hour_us(config.since)
    end_us = hour_us(config.until) if config.until else first_us + HOUR_US
    if config.warehouse:
        said = _from_warehouse(config, first_us - LEAD_IN_US, end_us)
    else:
        said = _from_archive(config, models, rest)
    compared = compare_versions(*said, config.baseline, config.candidate, first_us, end_us)
    with tempfile.TemporaryDirectory() as folder:
        latency = {version: _latency(_opened(model, folder)) for version, model in models.items()}
        return compared | {"latency_msec": latency}


def _from_warehouse(config: CompareConfig, first_us: int, end_us: int) -> tuple[list[Score], list[Score]]:
    fleet, shadow = (
        list(read_scores(config.warehouse, table, first_us, end_us))
        for table in (READINGS_SCORES, SHADOW_SCORES)
    )
    # A version that was promoted meanwhile has its later scores among the fleet's, and the other way round.
    everything = [*fleet, *shadow]
    others = [score for score in fleet if score.model_version not in (config.baseline, config.candidate)]
    return (
        [*others, *(score for score in everything if score.model_version == config.baseline)],
        [score for score in everything if score.model_version == config.candidate],
    )


def _from_archive(
    config: CompareConfig, models: Mapping[str, Model], rest: list[str]
) -> tuple[list[Score], list[Score]]:
    with tempfile.TemporaryDirectory() as folder:
        folders = {version: _export(model, Path(folder) / version) for version, model in models.items()}
        said = replay_twice(
            HomeConfig(
                home=config.home,
                hour=config.since,
                archive=config.archive,
                compacted=config.compacted,
                models=str(folders[config.candidate]),
                baseline=str(folders[config.baseline]),
                output=str(Path(folder) / "replay"),
                fleet_ca=config.fleet_ca,
            ),
            rest,
        )
        return said.baseline.scores, said.candidate.scores


def _export(model: Model, folder: Path) -> Path:
    """A folder in which this version stands beside the package's models of the other lines."""
    card, weights = model
    folder.mkdir(parents=True)
    for path in cards.cards():
        other = cards.read_card(path)
        if other.line != card.line:
            shutil.copy(path, folder)
            shutil.copy(path.with_name(other.weights), folder)
    (folder / f"{card.model_version}.json").write_text(card.model_dump_json())
    (folder / card.weights).write_bytes(weights)
    return folder


def _opened(model: Model, folder: str) -> LoadedModel:
    return open_model(model.card, kept_weights(folder, model.card, lambda: model.weights))


def _latency(model: LoadedModel) -> dict[str, float]:
    """Milliseconds of CPU for one reading alone and for one of a full block, on this machine; medians."""
    found = {}
    for name, size in (("one", 1), (f"one_of_{MAX_BATCH}", MAX_BATCH)):
        block = np.zeros((size, *model.card.input_shape), model.card.input_dtype)
        model.probabilities(block)
        took = []
        for _ in range(_RUNS):
            began = time.thread_time()
            model.probabilities(block)
            took.append((time.thread_time() - began) * 1e3 / size)
        found[name] = round(float(np.median(took)), 4)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Compare and print → exit code: 0 done, 1 nothing to compare by, 2 bad options."""
    logging.basicConfig(level=logging.WARNING)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        report = run(*parse(CompareConfig, given, "compare", "Compare two versions of a model."))
    except (BadOptions, ModelRefused, StoreFailed) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0 if report["readings"] else 1


if __name__ == "__main__":
    sys.exit(main())
