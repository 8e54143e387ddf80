"""One home's rows in every table of the warehouse."""

from __future__ import annotations

from typing import Final

from google.cloud import bigquery

CALL_TIMEOUT_S: Final = 30.0
JOB_TIMEOUT_S: Final = 600.0


def count_rows(client: bigquery.Client, dataset: str, home_id: str) -> dict[str, int]:
    """Table → rows of the home. Every table that is there is asked, also one that we do not know.

    Raises:
        GoogleAPIError: A table has no column home_id, or the service failed.
    """
    names = [table.table_id for table in client.list_tables(dataset, timeout=CALL_TIMEOUT_S)]
    return {name: _count(client, dataset, name, home_id) for name in sorted(names)}


def _count(client: bigquery.Client, dataset: str, table: str, home_id: str) -> int:
    sql = f"SELECT COUNT(*) AS n FROM `{dataset}.{table}` WHERE home_id = @home"
    (row,) = _run(client, sql, home_id)
    return int(row["n"])


def delete_rows(client: bigquery.Client, dataset: str, table: str, home_id: str) -> None:
    """Delete a home's rows of a table.

    Raises:
        GoogleAPIError: Also where rows came in by streaming within the last minutes; ours do not.
    """
    _run(client, f"DELETE FROM `{dataset}.{table}` WHERE home_id = @home", home_id)


def _run(client: bigquery.Client, sql: str, home_id: str) -> list[bigquery.Row]:
    config = bigquery.QueryJobConfig(
        query_parameters=[bigquery.ScalarQueryParameter("home", "STRING", home_id)]
    )
    return list(client.query(sql, job_config=config, timeout=CALL_TIMEOUT_S).result(timeout=JOB_TIMEOUT_S))
