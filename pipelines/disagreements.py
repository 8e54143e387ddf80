"""List alarms of which two sources say different things: what a person should look at before training.

Run as `python -m pipelines.disagreements --warehouse bigquery://PROJECT.DATASET`.
"""

from __future__ import annotations

import sys
from typing import Any

from google.api_core.exceptions import NotFound
from pydantic import Field, field_validator

from pipelines.batch_options import BatchConfig, parse
from pipelines.options import BadOptions
from schemas.warehouse import disagreements_sql
from transforms.warehouse_loads import CALL_TIMEOUT_S, JOB_TIMEOUT_S, SCHEME, bigquery_client


class DisagreementsConfig(BatchConfig):
    """Which warehouse."""

    warehouse: str = Field(description="bigquery://PROJECT.DATASET")

    @field_validator("warehouse")
    @classmethod
    def _names_a_dataset(cls, value: str) -> str:
        project, _, dataset = value.removeprefix(SCHEME).partition(".")
        if not value.startswith(SCHEME) or not project or not dataset:
            raise ValueError(f"wanted {SCHEME}PROJECT.DATASET")
        return value


def disagreements(warehouse: str) -> list[dict[str, Any]]:
    """bigquery://PROJECT.DATASET → a row each, the newest alarm first.

    Raises:
        GoogleAPIError: The warehouse did not answer, or holds no labels yet.
    """
    project, _, dataset = warehouse.removeprefix(SCHEME).partition(".")
    client = bigquery_client(project)
    try:
        job = client.query(disagreements_sql(dataset), timeout=CALL_TIMEOUT_S)
        return [dict(row) for row in job.result(timeout=JOB_TIMEOUT_S)]
    finally:
        client.close()


def main(arguments: list[str] | None = None) -> int:
    """Print a line each → exit code: 0 also where there are none, 1 no labels yet, 2 bad options."""
    try:
        config, _ = parse(
            DisagreementsConfig,
            sys.argv[1:] if arguments is None else arguments,
            "disagreements",
            "List alarms of which two sources say different things.",
        )
        found = disagreements(config.warehouse)
    except BadOptions as error:
        print(f"disagreements: {error}", file=sys.stderr)
        return 2
    except NotFound:
        print(
            "disagreements: no labels yet; `python -m pipelines.compact --training` writes them",
            file=sys.stderr,
        )
        return 1
    for row in found:
        print(
            f"{row['from_time']:%Y-%m-%d %H:%M} {row['home_id']} {row['alarm_id']}: "
            f"{row['source']} says {row['close_out']}, {row['other_source']} says {row['other_close_out']}"
        )
    print(f"{len(found)} disagreements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
