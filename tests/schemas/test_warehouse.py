"""The warehouse's tables: keys, partitions, and the query that reads past copies."""

from __future__ import annotations

import pytest

from schemas.warehouse import BATCHES, TABLES, WINDOW_SCORES, current_sql

KINDS = {"STRING", "INTEGER", "FLOAT", "TIMESTAMP", "RECORD", "BYTES"}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_every_column_is_described_and_named_once(table):
    names = [field["name"] for field in table.fields]

    assert len(names) == len(set(names))
    assert all(field["description"] and field["type"] in KINDS for field in table.fields)
    assert all(field["mode"] in {"REQUIRED", "NULLABLE", "REPEATED"} for field in table.fields)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_tables_are_cut_by_day_of_arrival_and_sorted_by_home(table):
    kinds = {field["name"]: field["type"] for field in table.fields}

    assert kinds[table.partition_field] == "TIMESTAMP"
    assert table.cluster_fields == ("home_id",)
    assert table.key[0] == "home_id"  # tenants are walls
    assert set(table.key) | set(table.latest) <= set(kinds)


def test_columns_are_pinned():
    """Others' queries name them: a column may be added, never renamed, moved in type or dropped."""
    pinned = {name: [f"{f['name']}:{f['type']}" for f in table.fields] for name, table in TABLES.items()}

    assert pinned["window_scores"] == [
        "home_id:STRING",
        "gateway_id:STRING",
        "publish_time:TIMESTAMP",
        "window_end:TIMESTAMP",
        "arming_mode:STRING",
        "kind:STRING",
        "score:FLOAT",
        "heard:INTEGER",
        "reasons:STRING",
        "evidence:STRING",
        "rule_version:STRING",
        "schema_version:INTEGER",
    ]
    assert pinned["batches"] == [
        "home_id:STRING",
        "gateway_id:STRING",
        "publish_time:TIMESTAMP",
        "epoch:STRING",
        "seq:INTEGER",
        "lane:STRING",
        "message_id:STRING",
        "size_bytes:INTEGER",
        "object_name:STRING",
        "schema_version:INTEGER",
    ]
    assert pinned["ledger"] == [
        "home_id:STRING",
        "gateway_id:STRING",
        "day_time:TIMESTAMP",
        "expected:INTEGER",
        "received:INTEGER",
        "duplicate:INTEGER",
        "declared:INTEGER",
        "unexplained:INTEGER",
        "pending:INTEGER",
        "conflicts:INTEGER",
        "concurrent_epochs:INTEGER",
        "holes:RECORD",
        "gaps:RECORD",
        "bulk_missing:STRING",
        "messages:INTEGER",
        "schema_version:INTEGER",
    ]
    assert pinned["training_readings"] == [
        "home_id:STRING",
        "gateway_id:STRING",
        "publish_time:TIMESTAMP",
        "reading_id:STRING",
        "sensor_id:STRING",
        "room:STRING",
        "family:STRING",
        "minute_time:TIMESTAMP",
        "arming_mode:STRING",
        "form:STRING",
        "feature_version:INTEGER",
        "features:FLOAT",
        "quantities:RECORD",
        "alarm_kind:STRING",
        "close_out:STRING",
        "alarm_id:STRING",
        "selection:STRING",
        "payload:BYTES",
        "label:STRING",
        "label_source:STRING",
        "label_weight:FLOAT",
        "label_time:TIMESTAMP",
        "corpus:STRING",
        "sensor_model:STRING",
        "schema_version:INTEGER",
    ]
    assert pinned["readings_scores"] == [
        "home_id:STRING",
        "gateway_id:STRING",
        "publish_time:TIMESTAMP",
        "batch_id:STRING",
        "reading_id:STRING",
        "sensor_id:STRING",
        "room:STRING",
        "family:STRING",
        "minute_time:TIMESTAMP",
        "arming_mode:STRING",
        "label:STRING",
        "score:FLOAT",
        "probabilities:RECORD",
        "quantities:RECORD",
        "model_version:STRING",
        "schema_version:INTEGER",
    ]


def test_the_current_query_ranks_within_the_key():
    assert "PARTITION BY home_id, window_end ORDER BY publish_time DESC, heard DESC" in current_sql(
        "home", WINDOW_SCORES
    )
    assert "FROM `home.batches` WHERE TRUE\n" in current_sql("home", BATCHES)


def test_a_condition_bounds_what_is_ranked_and_so_the_partitions_that_are_read():
    sql = current_sql("home", BATCHES, "publish_time >= TIMESTAMP '2026-03-01'")
    inner = sql[sql.index("FROM (") : sql.index(") WHERE place = 1")]
    assert "FROM `home.batches` WHERE publish_time >= TIMESTAMP '2026-03-01'" in inner
