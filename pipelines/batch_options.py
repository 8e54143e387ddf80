"""Command lines of the batch jobs: a frozen pydantic configuration each, its fields are the flags.

A field's description is its help; a field of type bool is a switch.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from pipelines.options import BadOptions, complaint
from transforms.trust import load_ca


class BatchConfig(BaseModel):
    """What all batch jobs have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_hour(value: str) -> str:
    if value:
        try:
            dt.datetime.strptime(value, "%Y-%m-%dT%H")
        except ValueError as error:
            raise ValueError("not an hour of arrival like 2026-03-01T12 (UTC)") from error
    return value


Hour = Annotated[str, AfterValidator(_check_hour)]
C = TypeVar("C", bound=BatchConfig)


def add_flags(parser: argparse.ArgumentParser, config: type[BatchConfig]) -> None:
    """A flag for each field of a configuration."""
    for name, field in config.model_fields.items():
        flag = f"--{(field.alias or name).replace('_', '-')}"
        shown = f" (default: {field.default})" if field.default not in ("", None, False) else ""
        text = (field.description or "") + ("" if field.is_required() else shown)
        if field.annotation == tuple[str, ...]:
            parser.add_argument(flag, dest=name, nargs="+", help=text)
        elif field.annotation is bool:
            parser.add_argument(flag, dest=name, action="store_const", const=True, help=text)
        else:
            parser.add_argument(flag, dest=name, help=text)


def read(config: type[C], known: argparse.Namespace) -> C:
    """Parsed flags → a validated configuration.

    Raises:
        BadOptions: A value is missing or out of range; the message names option, value and bound.
    """
    given: dict[str, Any] = {
        name: value
        for name, value in vars(known).items()
        if value is not None and name in config.model_fields
    }
    named = {config.model_fields[name].alias or name: value for name, value in given.items()}
    try:
        return config(**named)
    except ValidationError as error:
        raise BadOptions("\n".join(complaint(problem) for problem in error.errors())) from error


def parse(config: type[C], arguments: Sequence[str], prog: str, description: str) -> tuple[C, list[str]]:
    """Command line → configuration and what is left for Beam's own options.

    Raises:
        BadOptions: A value is missing or out of range.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m pipelines.{prog}",
        description=description,
        epilog="Other options go to Beam: --runner, --project, --region, --temp_location, …",
    )
    add_flags(parser, config)
    known, rest = parser.parse_known_args(arguments)
    return read(config, known), rest


def check_ca(path: str) -> None:
    """
    Raises:
        BadOptions: There is no certificate in PEM.
    """
    try:
        load_ca(path)
    except (OSError, BeamIOError, ValueError) as error:
        raise BadOptions(f"--fleet-ca: {error} (given: {path})") from error


def batch_pipeline(rest: list[str]) -> beam.Pipeline:
    """Beam's options → a new pipeline; in process unless they name a runner.

    FnApiRunner and not DirectRunner, which looks for a faster runner first and costs a third more here.
    """
    options = PipelineOptions(rest)
    if options.view_as(StandardOptions).runner is None:
        options.view_as(StandardOptions).runner = "FnApiRunner"
    options.view_as(SetupOptions).save_main_session = False
    return beam.Pipeline(options=options)
