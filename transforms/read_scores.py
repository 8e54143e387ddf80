"""Rows of readings_scores and shadow_scores, from BigQuery or a folder of JSON lines → Scores."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from apache_beam.io.filesystems import FileSystems

from schemas.live_features import SUMMARY_NAMES
from schemas.warehouse import Table, current_sql
from transforms.compacted import read_object
from transforms.elements import Score
from transforms.hear_scores import EARLY_US
from transforms.warehouse_loads import CALL_RETRY, SCHEME, bigquery_client, timestamp

# Rows are kept by day of arrival: without this bound each question would be billed for the whole table.
# What a gateway kept back for longer is none of the minutes that a comparison is about.
WITHIN_US: Final = 86_400_000_000
_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


def read_scores(warehouse: str, table: Table, first_us: int, end_us: int) -> Iterator[Score]:
    """The standing rows of minutes in [first_us, end_us) of a table that arrived within `WITHIN_US`.

    Args:
        warehouse: bigquery://PROJECT.DATASET, or the folder that a replay or test wrote.

    Raises:
        GoogleAPIError: BigQuery did not answer.
    """
    rows = _query if warehouse.startswith(SCHEME) else _lines
    for row in rows(warehouse, table, first_us, end_us):
        yield score_of_row(row)


def score_of_row(row: Mapping[str, Any]) -> Score:
    """The inverse of transforms.write_warehouse.score_row."""
    values = {one["name"]: one["value"] for one in row["quantities"]}
    names = SUMMARY_NAMES.get(row["family"], ())[: len(values)]
    return Score(
        home_id=row["home_id"],
        gateway_id=row["gateway_id"],
        batch_id=row["batch_id"] or "",
        reading_id=row["reading_id"],
        sensor_id=row["sensor_id"],
        room=row["room"] or "",
        family=row["family"],
        minute_us=_us(row["minute_time"]),
        publish_us=_us(row["publish_time"]),
        arming_mode=row["arming_mode"] or "",
        label=row["label"] or "",
        score=row["score"],
        labels=[one["label"] for one in row["probabilities"]],
        probabilities=[one["probability"] for one in row["probabilities"]],
        quantities=[float("nan") if values[name] is None else values[name] for name in names],
        model_version=row["model_version"],
    )


def _query(warehouse: str, table: Table, first_us: int, end_us: int) -> Iterator[Mapping[str, Any]]:
    project, _, dataset = warehouse.removeprefix(SCHEME).partition(".")
    asked = " AND ".join(
        f"{column} >= TIMESTAMP '{timestamp(from_us)}' AND {column} < TIMESTAMP '{timestamp(to_us)}'"
        for column, from_us, to_us in (
            (table.partition_field, first_us - EARLY_US, end_us + WITHIN_US),
            ("minute_time", first_us, end_us),
        )
    )
    sql = current_sql(dataset, table, asked)
    with closing(bigquery_client(project)) as client:
        yield from client.query_and_wait(sql, retry=CALL_RETRY)


def _lines(warehouse: str, table: Table, first_us: int, end_us: int) -> Iterator[Mapping[str, Any]]:
    standing: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    (match,) = FileSystems.match([f"{warehouse.rstrip('/')}/{table.name}/*.jsonl"])
    for found in match.metadata_list:
        for line in read_object(found.path).splitlines():
            row = json.loads(line)
            arrived_us = _us(row[table.partition_field])
            if (
                first_us <= _us(row["minute_time"]) < end_us
                and first_us - EARLY_US <= arrived_us < end_us + WITHIN_US
            ):
                standing[tuple(row[column] for column in table.key)] = row
    yield from standing.values()


def _us(time: str | dt.datetime) -> int:
    moment = dt.datetime.fromisoformat(time) if isinstance(time, str) else time
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
