"""Train one family of models on the warehouse: examples, checks, training, evaluation, registry.

Run as `python -m pipelines.train --help` where TFX is (extra `train`); `make train` brings TFX along. Exit
code: 0 published, or compiled; 2 bad options; 3 the data was refused; 4 the model was.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from pipelines.batch_options import BatchConfig, Hour, parse
from pipelines.options import BadOptions
from pipelines.training.query import FAMILIES, training_sql
from schemas.labels import CLASSES

SCHEME: Final = "bigquery://"
PUBLISHED, BAD_OPTIONS, DATA_REFUSED, MODEL_REFUSED = 0, 2, 3, 4
_HOUR: Final = "%Y-%m-%dT%H"
NAME: Final = "hearthwatch-train-{family}"


class TrainConfig(BatchConfig):
    """What is trained on which minutes, and where it goes."""

    family: str = Field(default="air", description=f"one of {', '.join(FAMILIES)}")
    warehouse: str = Field(
        min_length=1, description="bigquery://PROJECT.DATASET, where the training table is"
    )
    first: Hour = Field(
        default="", alias="from", description="first hour of the fleet's minutes; none: a day ago"
    )
    to: Hour = Field(default="", description="hour after the last; none: the next")
    work: str = Field(min_length=1, description="folder of artifacts and of what was trained before")
    registry: str = Field(min_length=1, description="folder of the registry, gs:// or local")
    registry_key: str = Field(min_length=1, description="PEM file of the key that signs")
    temp: str = Field(default="", description="gs:// folder for Beam; none: Beam's own option decides")
    train_steps: int = Field(default=2_000, ge=1, description="batches of 64 examples")
    seed: int = Field(default=20_260_901, ge=0, description="of weights and order")
    accept_drift: str = Field(default="", description="features whose drift a person has looked at, by comma")
    fleet: Literal["real", "synthetic"] = Field(
        default="real", description="whether its homes are real, for the card"
    )
    code: str = Field(default="", description="commit of this code, for the card")
    vertex_image: str = Field(
        default="", description="compile for Vertex AI Pipelines with this image, run nothing"
    )
    vertex_output: str = Field(default=".", description="folder for what was compiled")
    schemas: str = Field(default="", description="folder of the curated schemas; none: this package's")

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        if self.family not in CLASSES:
            raise ValueError(f"family is {self.family!r}, known: {', '.join(FAMILIES)}")
        project, _, dataset = self.warehouse.removeprefix(SCHEME).partition(".")
        if not self.warehouse.startswith(SCHEME) or not project or not dataset:
            raise ValueError(f"warehouse is {self.warehouse!r}, wanted {SCHEME}PROJECT.DATASET")
        if self.first and self.to and self.first >= self.to:
            raise ValueError(f"from is {self.first}, limit: before to, {self.to}")
        return self

    @property
    def project(self) -> str:
        """Of the warehouse."""
        return self.warehouse.removeprefix(SCHEME).partition(".")[0]

    @property
    def dataset(self) -> str:
        """Of the warehouse."""
        return self.warehouse.partition(".")[2]

    def span(self, now: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """The minutes of the fleet, [first, end)."""
        end = _hour(self.to) if self.to else _next_hour(now)
        return (_hour(self.first) if self.first else end - dt.timedelta(days=1)), end


def _hour(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, _HOUR).replace(tzinfo=dt.UTC)


def _next_hour(now: dt.datetime) -> dt.datetime:
    return now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)


def main(arguments: list[str] | None = None) -> int:
    """Run or compile the pipeline → exit code."""
    began = time.time()
    try:
        config, rest = parse(
            TrainConfig,
            sys.argv[1:] if arguments is None else arguments,
            "train",
            "Train, check and publish a model of one family.",
        )
    except BadOptions as error:
        print(f"train: {error}", file=sys.stderr)
        return BAD_OPTIONS
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if config.vertex_image:
        os.environ["TFX_KFP"] = "1"
    _say(began, "TFX is loading")
    from pipelines.training import runs  # seconds: TensorFlow and TFX

    first, end = config.span(dt.datetime.now(dt.UTC))
    query = training_sql(config.dataset, config.family, first, end)
    beam_args = [f"--project={config.project}", *rest]
    if config.temp:
        beam_args.append(f"--temp_location={config.temp}")
    facts: dict[str, Any] = {
        "seed": config.seed,
        "fleet": config.fleet,
        "from_us": int(first.timestamp() * 1e6),
        "to_us": int(end.timestamp() * 1e6),
    }
    run = runs.Run(
        name=NAME.format(family=config.family),
        work=config.work.rstrip("/"),
        beam_args=beam_args,
        say=lambda line: _say(began, line),
        make_plan=lambda has_baseline, run_id, compared_with: runs.Plan(
            family=config.family,
            query=query,
            schema=config.schemas or str(runs.SCHEMAS),
            has_baseline=has_baseline,
            accept_drift=tuple(name for name in config.accept_drift.split(",") if name),
            train_steps=config.train_steps,
            facts=facts | {"lineage": {"code": config.code, "run": run_id, "compared_with": compared_with}},
            registry=config.registry,
            key=config.registry_key,
            run=run_id,
        ),
    )
    if config.vertex_image:
        print(run.compile_for_vertex(config.vertex_image, config.vertex_output))
        return PUBLISHED
    Path(config.work).mkdir(parents=True, exist_ok=True)
    result = run.here()
    print(result.text, flush=True)
    if result.version:
        return PUBLISHED
    return DATA_REFUSED if result.data_refused else MODEL_REFUSED


def _say(began: float, line: str) -> None:
    print(f"{time.time() - began:6.1f} s  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
