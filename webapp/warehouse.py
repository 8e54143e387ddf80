"""What the console asks the warehouse: small queries by home, which its clustering makes cheap."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from schemas.warehouse import BATCHES, READINGS_SCORES
from webapp.errors import Unreachable
from webapp.reaching import reaching

TIMEOUT_S: Final = 8.0
# Each question holds a thread of the server while BigQuery thinks, or is silent. More at once are refused.
QUESTIONS: Final = 8
MAX_OBJECTS: Final = 400
MAX_MINUTES: Final = 3 * 24 * 60  # a day, and what was scored more than once
# A query that would read more than this by mistake is refused by BigQuery.
MAX_BYTES_BILLED: Final = 10 << 30


class ModelSeen(NamedTuple):
    """A model version whose scores arrived. `newest_us`: publish time of the newest reading."""

    family: str
    version: str
    readings: int
    newest_us: int


class Minute(NamedTuple):
    """One minute of a sensor. `quantities`: by schemas.live_features.SUMMARY_NAMES."""

    minute_us: int
    label: str
    quantities: dict[str, float]


class Warehouse(Protocol):
    """Every method raises `Unreachable` if it does not answer."""

    def models(self, home_ids: Sequence[str], since_us: int) -> list[ModelSeen]: ...

    def objects(self, home_id: str, since_us: int) -> list[str]: ...

    def history(self, home_id: str, sensor_id: str, since_us: int) -> list[Minute]: ...


class BigQueryWarehouse:
    """`Warehouse` in BigQuery. `name`: `project.dataset`."""

    def __init__(self, name: str) -> None:
        project, _, dataset = name.partition(".")
        emulated = bool(os.environ.get("BIGQUERY_EMULATOR_HOST"))
        self._client = bigquery.Client(project, credentials=AnonymousCredentials() if emulated else None)
        self._dataset = dataset
        self._places = threading.BoundedSemaphore(QUESTIONS)

    def models(self, home_ids: Sequence[str], since_us: int) -> list[ModelSeen]:
        """Which versions scored these homes' readings that arrived since then."""
        rows = self._ask(
            f"SELECT family, model_version, COUNT(*) AS readings, MAX(publish_time) AS newest "
            f"FROM `{self._dataset}.{READINGS_SCORES.name}` "
            "WHERE home_id IN UNNEST(@homes) AND publish_time >= @since "
            "GROUP BY family, model_version ORDER BY family, model_version",
            bigquery.ArrayQueryParameter("homes", "STRING", list(home_ids)),
            _since(since_us),
        )
        return [ModelSeen(r["family"], r["model_version"], r["readings"], _us(r["newest"])) for r in rows]

    def objects(self, home_id: str, since_us: int) -> list[str]:
        """Archive objects that hold a message of this home which arrived since then, newest first."""
        rows = self._ask(
            f"SELECT object_name, MAX(publish_time) AS newest "
            f"FROM `{self._dataset}.{BATCHES.name}` "
            "WHERE home_id = @home AND publish_time >= @since "
            f"GROUP BY object_name ORDER BY newest DESC LIMIT {MAX_OBJECTS}",
            bigquery.ScalarQueryParameter("home", "STRING", home_id),
            _since(since_us),
        )
        return [row["object_name"] for row in rows]

    def history(self, home_id: str, sensor_id: str, since_us: int) -> list[Minute]:
        """A sensor's minutes that arrived since then, oldest first, each once."""
        rows = self._ask(
            f"SELECT minute_time, label, quantities FROM `{self._dataset}.{READINGS_SCORES.name}` "
            "WHERE home_id = @home AND sensor_id = @sensor AND publish_time >= @since "
            f"ORDER BY minute_time, publish_time LIMIT {MAX_MINUTES}",
            bigquery.ScalarQueryParameter("home", "STRING", home_id),
            bigquery.ScalarQueryParameter("sensor", "STRING", sensor_id),
            _since(since_us),
        )
        minutes = {}
        for row in rows:
            measured = {q["name"]: q["value"] for q in row["quantities"] or [] if q["value"] is not None}
            at_us = _us(row["minute_time"])
            minutes[at_us] = Minute(at_us, row["label"] or "", measured)
        return list(minutes.values())

    def _ask(self, sql: str, *parameters: Any) -> list[Any]:
        config = bigquery.QueryJobConfig(
            query_parameters=list(parameters), maximum_bytes_billed=MAX_BYTES_BILLED
        )
        if not self._places.acquire(blocking=False):
            raise Unreachable(f"BigQuery: {QUESTIONS} questions are waiting already")
        try:
            with reaching("BigQuery"):
                # Without `retry=None` the client asks again for ten minutes.
                never: Any = None
                job = self._client.query(
                    sql, job_config=config, timeout=TIMEOUT_S, retry=never, job_retry=never
                )
                return list(job.result(timeout=TIMEOUT_S, retry=never, job_retry=never))
        finally:
            self._places.release()


def _since(since_us: int) -> bigquery.ScalarQueryParameter:
    moment = dt.datetime.fromtimestamp(since_us / 1e6, dt.UTC)
    return bigquery.ScalarQueryParameter("since", "TIMESTAMP", moment)


def _us(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
