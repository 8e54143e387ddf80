"""Load jobs: JSON lines in object storage → BigQuery, each object at most once, at no cost."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import os
import uuid
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from apache_beam.io.filesystems import FileSystems
from google.api_core.exceptions import Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from schemas.warehouse import Table
from transforms.write_objects import write_object

SCHEME: Final = "bigquery://"
# While a bundle waits the engine cannot checkpoint, and nothing is acknowledged: wait shortly.
CALL_TIMEOUT_S: Final = 10.0
JOB_TIMEOUT_S: Final = 20.0
MAX_TRIES: Final = 5
CALL_RETRY: Final = DEFAULT_RETRY.with_timeout(CALL_TIMEOUT_S)
_EPOCH: Final = dt.datetime.fromtimestamp(0, dt.UTC)


@functools.lru_cache(4_096)  # a batch's rows share two or three moments
def timestamp(us: int) -> str:
    """µs since 1970 UTC → what BigQuery reads as TIMESTAMP.

    >>> timestamp(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    return (_EPOCH + dt.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LoadTarget(NamedTuple):
    """Where load jobs go.

    Attributes:
        staging: gs:// folder of the objects that wait to be loaded.
        make_client: Called in the worker.
    """

    project: str
    dataset: str
    staging: str
    make_client: Callable[[str], bigquery.Client]


def bigquery_client(project: str) -> bigquery.Client:
    """The project's client; with BIGQUERY_EMULATOR_HOST (which the library honours) without credentials."""
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return bigquery.Client(project=project, credentials=AnonymousCredentials())
    return bigquery.Client(project=project)


class LoadRefused(Exception):
    """No further try of this load makes sense; a person has to look at the objects."""


def load(
    client: bigquery.Client, dataset: str, table: Table, names: list[str], *, replace: bool = False
) -> None:
    """Load objects into a table, which is made if it is missing; the same objects only once.

    A job's id is used up also when the job fails: each further call tries with the next number.

    Args:
        replace: Of what the table holds; a job of its own each time.

    Raises:
        LoadRefused: `MAX_TRIES` jobs failed.
        GoogleAPIError: This job failed, or the service did.
        OSError: No connection, or the job was not done in `JOB_TIMEOUT_S`; it may run on.
    """
    digest = hashlib.sha256("|".join(sorted(names)).encode()).hexdigest()[:32]
    prefix = f"hearthwatch-{table.name}-{uuid.uuid4().hex if replace else digest}"
    config = load_config(table, replace=replace)
    for number in range(MAX_TRIES):
        job = _start(client, f"{client.project}.{dataset}.{table.name}", names, config, f"{prefix}-{number}")
        if not job.error_result:
            job.result(retry=CALL_RETRY, timeout=JOB_TIMEOUT_S)
            return
    raise LoadRefused(f"{MAX_TRIES} load jobs of {names} failed, the last: {job.error_result}")


def _start(
    client: bigquery.Client, table: str, names: list[str], config: bigquery.LoadJobConfig, job_id: str
) -> Any:
    """The load job of this id, made if there is none."""
    try:
        return client.load_table_from_uri(
            names, table, job_id=job_id, job_config=config, retry=CALL_RETRY, timeout=CALL_TIMEOUT_S
        )
    except Conflict:
        return client.get_job(job_id, retry=CALL_RETRY, timeout=CALL_TIMEOUT_S)


def load_data(target: LoadTarget, table: Table, data: bytes, *, replace: bool = False) -> None:
    """JSON lines → one staged object → one load job; the same lines only once.

    Args:
        replace: The table as a whole, in place of what it held.

    Raises:
        GoogleAPIError, OSError: See `load`. Object and table stay as they were.
    """
    name = staged_name(target.staging, table.name, data)
    write_object(name, data)
    client = target.make_client(target.project)
    try:
        client.create_dataset(target.dataset, exists_ok=True, timeout=CALL_TIMEOUT_S)
        load(client, target.dataset, table, [name], replace=replace)
    finally:
        client.close()
    FileSystems.delete([name])


def merge_data(target: LoadTarget, table: Table, data: bytes) -> None:
    """JSON lines with one row a key → into the table, each key once.

    They are loaded into a table of their own, which one MERGE then takes over; doing it again changes
    nothing.

    Raises:
        GoogleAPIError, OSError: See `load`.
    """
    digest = hashlib.sha256(data).hexdigest()[:32]
    incoming = table._replace(name=f"{table.name}_incoming_{digest}")
    client = target.make_client(target.project)
    try:
        client.create_dataset(target.dataset, exists_ok=True, timeout=CALL_TIMEOUT_S)
        _ensure(client, target.dataset, table)
        name = staged_name(target.staging, incoming.name, data)
        write_object(name, data)
        load(client, target.dataset, incoming, [name], replace=True)
        client.query(merge_sql(target.dataset, table, incoming.name), timeout=CALL_TIMEOUT_S).result(
            timeout=JOB_TIMEOUT_S
        )
        client.delete_table(f"{client.project}.{target.dataset}.{incoming.name}", timeout=CALL_TIMEOUT_S)
    finally:
        client.close()
    FileSystems.delete([name])


def merge_sql(dataset: str, table: Table, incoming: str) -> str:
    """The statement that takes rows over by the table's key."""
    names = [field["name"] for field in table.fields]
    same = " AND ".join(f"T.{name} = S.{name}" for name in (*table.key, table.partition_field))
    values = ", ".join(f"{name} = S.{name}" for name in names)
    return (
        f"MERGE `{dataset}.{table.name}` AS T USING `{dataset}.{incoming}` AS S ON {same}\n"
        f"WHEN MATCHED THEN UPDATE SET {values}\n"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f'S.{n}' for n in names)})"
    )


def _ensure(client: bigquery.Client, dataset: str, table: Table) -> None:
    """Make the table if it is missing, as `load_config` would."""
    made = bigquery.Table(
        f"{client.project}.{dataset}.{table.name}",
        [bigquery.SchemaField.from_api_repr(field) for field in table.fields],
    )
    made.time_partitioning = bigquery.TimePartitioning(field=table.partition_field)
    made.clustering_fields = list(table.cluster_fields)
    made.description = table.description
    client.create_table(made, exists_ok=True, timeout=CALL_TIMEOUT_S)


def load_target(
    destination: str, staging: str, make_client: Callable[[str], bigquery.Client] = bigquery_client
) -> LoadTarget:
    """bigquery://PROJECT.DATASET and a gs:// folder → where load jobs go.

    Raises:
        ValueError: It names no dataset, or the folder is not in object storage.
    """
    project, _, dataset = destination.rstrip("/").removeprefix(SCHEME).partition(".")
    if not destination.startswith(SCHEME) or not project or not dataset:
        raise ValueError(f"warehouse is {destination!r}, wanted {SCHEME}PROJECT.DATASET")
    if not staging.startswith("gs://"):
        raise ValueError(f"staging is {staging!r}, load jobs want a gs:// folder")
    return LoadTarget(project, dataset, staging.rstrip("/"), make_client)


def load_config(table: Table, *, replace: bool = False) -> bigquery.LoadJobConfig:
    """How a table is loaded, and made: partitioned by day, clustered by home."""
    disposition = bigquery.WriteDisposition
    return bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField.from_api_repr(field) for field in table.fields],
        source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        create_disposition=bigquery.CreateDisposition.CREATE_IF_NEEDED,
        write_disposition=disposition.WRITE_TRUNCATE if replace else disposition.WRITE_APPEND,
        time_partitioning=bigquery.TimePartitioning(field=table.partition_field),
        clustering_fields=list(table.cluster_fields),
        destination_table_description=table.description,
    )


def staged_name(folder: str, table: str, data: bytes) -> str:
    """The name of rows that wait to be loaded: by content."""
    return f"{folder}/{table}/{hashlib.sha256(data).hexdigest()[:32]}.jsonl"
