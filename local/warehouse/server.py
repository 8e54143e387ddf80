"""The BigQuery stand-in: bqemulator 1.4.0, and what Beam's ReadFromBigQuery needs of it beyond that.

Run it as `bqemulator` is run: `python server.py start …`, by the Python of its own environment.

1. A query job with a destination table makes that table (Beam reads every query by way of one).
2. JSON loads decode base64 into BYTES columns.
3. `datasets.list` honours `filter=labels.…`: Beam's clean-up deletes every dataset that the call returns.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from bqemulator.api.routes import datasets, jobs
from bqemulator.cli import main
from bqemulator.jobs import executor
from fastapi import Query

_SELECT = re.compile(r"\s*(--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|\()", re.IGNORECASE | re.DOTALL)

_query_job = jobs._handle_query_job
_load_json = executor._load_json


async def query_job(
    project_id: str, job_id: str, config: dict[str, Any], *, dry_run: bool, ctx: Any, caller: Any, now: Any
) -> Any:
    """A query, whose destination table is made afterwards."""
    query = config["query"]
    destination = dict(query.get("destinationTable") or {})
    done = await _query_job(project_id, job_id, config, dry_run=dry_run, ctx=ctx, caller=caller, now=now)
    if dry_run or isinstance(done, dict) or done.error_result or not destination.get("tableId"):
        return done
    sql = jobs._apply_default_dataset(
        query["query"].strip().rstrip(";"), query, request_project_id=project_id
    )
    if not _SELECT.match(sql):
        return done
    place = (destination.get("projectId") or project_id, destination["datasetId"], destination["tableId"])
    name = "`" + "`.`".join(place) + "`"
    append = query.get("writeDisposition") == "WRITE_APPEND" and ctx.catalog.get_table(*place) is not None
    made = await executor.execute_query_job(
        project_id,
        f"_destination_{job_id}",
        f"INSERT INTO {name} {sql}" if append else f"CREATE OR REPLACE TABLE {name} AS {sql}",
        query.get("queryParameters"),
        ctx,
        caller=caller,
    )
    if made.error_result:
        return done.model_copy(update={"error_result": made.error_result})
    config["query"]["destinationTable"] = destination
    return done


def load_json(path: str, target_ref: str, ctx: Any) -> None:
    """JSON lines into a table; BYTES columns come in base64."""
    columns = [row[:2] for row in ctx.engine.execute(f"DESCRIBE {target_ref}").fetchall()]
    blobs = [name for name, kind in columns if kind == "BLOB"]
    if not blobs:
        _load_json(path, target_ref, ctx)
        return
    kinds = ", ".join(f"'{name}': '{'VARCHAR' if kind == 'BLOB' else kind}'" for name, kind in columns)
    decoded = ", ".join(f'from_base64("{name}") AS "{name}"' for name in blobs)
    ctx.engine.execute(
        f"INSERT INTO {target_ref} BY NAME SELECT * REPLACE ({decoded}) "
        f"FROM read_json(?, format='newline_delimited', columns={{{kinds}}})",
        [path],
    )


def list_datasets(
    project_id: str,
    ctx: datasets._Ctx,
    maxResults: int = Query(default=1000),
    filter: str = Query(default=""),
) -> dict[str, Any]:
    """datasets.list with a filter by labels."""
    wanted = [
        word.removeprefix("labels.").partition(":") for word in filter.split() if word.startswith("labels.")
    ]
    found = [
        one
        for one in ctx.catalog.list_datasets(project_id)
        if all(
            key in (one.labels or {}) and (not colon or one.labels[key] == value)
            for key, colon, value in wanted
        )
    ]
    shown = [datasets._dataset_to_rest(one) for one in found[:maxResults]]
    return {"kind": "bigquery#datasetList", "datasets": shown, "totalItems": len(found)}


datasets.router.add_api_route("/projects/{project_id}/datasets", list_datasets, methods=["GET"])
datasets.router.routes.insert(0, datasets.router.routes.pop())  # before bqemulator's own
jobs._handle_query_job = query_job
for format_name in ("NEWLINE_DELIMITED_JSON", "JSON"):
    executor._LOAD_FORMAT_HANDLERS[format_name] = load_json

if __name__ == "__main__":
    sys.exit(main())
