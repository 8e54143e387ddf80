"""BigQuery: the tables of the warehouse, their keys, and how to read them without copies.

Rows are appended at least once: a table may hold the same row twice, and `window_scores` holds each
sending of a window. Who reads asks `current_sql`, which keeps the standing row of each key; compaction
later makes that permanent. Field names are an interface: add, never rename or retype.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

SCHEMA_VERSION: Final = 1


class Table(NamedTuple):
    """One table.

    Attributes:
        fields: As the BigQuery API takes them.
        key: What identifies a row; every key starts with the home.
        latest: Of the rows of a key the greatest by these columns stands.
        partition_field: TIMESTAMP, by day of arrival. cluster_fields: sort order within a day.
    """

    name: str
    description: str
    fields: tuple[dict[str, Any], ...]
    key: tuple[str, ...]
    latest: tuple[str, ...]
    partition_field: str = "publish_time"
    cluster_fields: tuple[str, ...] = ("home_id",)


def _field(name: str, kind: str, description: str, mode: str = "REQUIRED", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "mode": mode, "description": description, **more}


def _record(name: str, description: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return _field(name, "RECORD", description, "REPEATED", fields=list(fields))


_HOME = _field("home_id", "STRING", "Tenant key.")
_GATEWAY = _field("gateway_id", "STRING", "As bound by the gateway's certificate.")
_PUBLISHED = _field("publish_time", "TIMESTAMP", "Arrival at Pub/Sub; the partition.")
_VERSION = _field("schema_version", "INTEGER", "Of this row's layout (schemas.warehouse).")

READINGS_SCORES: Final = Table(
    "readings_scores",
    "What one model said of one reading.",
    (
        _HOME,
        _GATEWAY,
        _PUBLISHED,
        _field("batch_id", "STRING", "gateway.epoch.seq of the batch; empty if unknown.", "NULLABLE"),
        _field("reading_id", "STRING", "Hex; the same wherever this reading is seen again."),
        _field("sensor_id", "STRING", "Within the home."),
        _field("room", "STRING", "As the gateway names it.", "NULLABLE"),
        _field("family", "STRING", "sound, motion, air or contact."),
        _field("minute_time", "TIMESTAMP", "Start of the minute, gateway clock."),
        _field("arming_mode", "STRING", "disarmed, stay, away; empty: unknown.", "NULLABLE"),
        _field("label", "STRING", "Most probable class; empty: none was said.", "NULLABLE"),
        _field("score", "FLOAT", "Its probability, 0 to 1."),
        _record(
            "probabilities",
            "Every class, in the model's order.",
            _field("label", "STRING", "Class."),
            _field("probability", "FLOAT", "0 to 1."),
        ),
        _record(
            "quantities",
            "Small summaries of the minute (schemas.live_features.SUMMARY_NAMES).",
            _field("name", "STRING", "With its unit."),
            _field("value", "FLOAT", "NULL: no data.", "NULLABLE"),
        ),
        _field("model_version", "STRING", "Of the weights; device: the sensor's own verdict."),
        _VERSION,
    ),
    key=("home_id", "reading_id", "model_version"),
    latest=("publish_time",),
)

SHADOW_SCORES: Final = READINGS_SCORES._replace(
    name="shadow_scores",
    description="What a version in the shadow said of a reading that the fleet's scored; it never alarms.",
)

WINDOW_SCORES: Final = Table(
    "window_scores",
    "A home's five minutes before window_end, fused; each sending of a window is a row.",
    (
        _HOME,
        _GATEWAY,
        _PUBLISHED,
        _field("window_end", "TIMESTAMP", "Exclusive, gateway clock."),
        _field("arming_mode", "STRING", "Of the window's newest minute.", "NULLABLE"),
        _field("kind", "STRING", "What it argues for; empty: nothing.", "NULLABLE"),
        _field("score", "FLOAT", "Fused, 0 to 1."),
        _field(
            "heard",
            "INTEGER",
            "Scores that speak, and 3 for each of a large model; it only grows.",
        ),
        _field("reasons", "STRING", "Readable, strongest first.", "REPEATED"),
        _field("evidence", "STRING", "JSON of schemas.alarms.ScoreDoc.", "REPEATED"),
        _field("rule_version", "STRING", "Of the fusion rule."),
        _VERSION,
    ),
    key=("home_id", "window_end"),
    latest=("publish_time", "heard"),
)

BATCHES: Final = Table(
    "batches",
    "Receipts: each archived message, from its unverified header.",
    (
        _field("home_id", "STRING", "As claimed; empty if the message has no readable header.", "NULLABLE"),
        _field("gateway_id", "STRING", "As claimed.", "NULLABLE"),
        _PUBLISHED,
        _field("epoch", "STRING", "Hex.", "NULLABLE"),
        _field("seq", "INTEGER", "0: none.", "NULLABLE"),
        _field("lane", "STRING", "urgent, minutes or bulk."),
        _field("message_id", "STRING", "Of Pub/Sub."),
        _field("size_bytes", "INTEGER", "Of the envelope."),
        _field("object_name", "STRING", "Archive object that holds it."),
        _VERSION,
    ),
    key=("home_id", "gateway_id", "epoch", "seq", "message_id"),
    latest=("publish_time", "object_name"),
)

LEDGER: Final = Table(
    "ledger",
    "What a gateway numbered on a day and what became of it: expected = received + declared + unexplained.",
    (
        _HOME,
        _GATEWAY,
        _field("day_time", "TIMESTAMP", "Start of the day (UTC) on which the gateway wrote; the partition."),
        _field("expected", "INTEGER", "Numbers of which the gateway holds nothing any more."),
        _field("received", "INTEGER", "Of them in the archive, from verified messages."),
        _field("duplicate", "INTEGER", "Messages that were there already."),
        _field("declared", "INTEGER", "Numbers that the gateway says will never come."),
        _field("unexplained", "INTEGER", "Numbers that are missing: `holes`."),
        _field("pending", "INTEGER", "Numbers that the gateway still holds."),
        _field("conflicts", "INTEGER", "Numbers with several validly signed contents; all are kept."),
        _field("concurrent_epochs", "INTEGER", "Epochs written at once: two gateways share an identity."),
        _record(
            "holes",
            "The unexplained.",
            _field("epoch", "STRING", "Hex."),
            _field("first_seq", "INTEGER", "First missing."),
            _field("last_seq", "INTEGER", "Last missing."),
            _field("after_time", "TIMESTAMP", "When the number before was written.", "NULLABLE"),
            _field("before_time", "TIMESTAMP", "When the number after was written.", "NULLABLE"),
        ),
        _record(
            "gaps",
            "The declared.",
            _field("epoch", "STRING", "Hex."),
            _field("first_seq", "INTEGER", "First lost."),
            _field("last_seq", "INTEGER", "Last lost."),
            _field("reason", "STRING", "outbox_full, corrupt_row, disk_error, power_loss; empty: not said."),
            _field("first_time", "TIMESTAMP", "Oldest lost minute, gateway clock.", "NULLABLE"),
            _field("last_time", "TIMESTAMP", "Newest lost minute.", "NULLABLE"),
        ),
        _field("bulk_missing", "STRING", "Announced objects that are not there, and why.", "REPEATED"),
        _field("messages", "INTEGER", "Of this gateway, accounted for when the row was made."),
        _VERSION,
    ),
    key=("home_id", "gateway_id", "day_time"),
    latest=("messages",),
    partition_field="day_time",
)

TRAINING_READINGS: Final = Table(
    "training_readings",
    "A reading for training: features of every minute; its payload where it is labelled, or by chance.",
    (
        _HOME,
        _GATEWAY,
        _PUBLISHED,
        _field("reading_id", "STRING", "Hex; a row each."),
        _field("sensor_id", "STRING", "Within the home."),
        _field("room", "STRING", "As the gateway names it.", "NULLABLE"),
        _field("family", "STRING", "sound, motion, air or contact."),
        _field("minute_time", "TIMESTAMP", "Start of the minute, gateway clock; the partition."),
        _field("arming_mode", "STRING", "disarmed, stay, away; empty: unknown.", "NULLABLE"),
        _field("form", "STRING", "Made of the payload, or live: features in the steps of the wire."),
        _field("feature_version", "INTEGER", "Of `features` (schemas.features.FEATURE_VERSION)."),
        _field("features", "FLOAT", "Input of the family's model; empty: no waveform, or sound.", "REPEATED"),
        _record(
            "quantities",
            "Small summaries of the minute (transforms.score_readings.SUMMARY_NAMES).",
            _field("name", "STRING", "With its unit."),
            _field("value", "FLOAT", "NULL: no data.", "NULLABLE"),
        ),
        _field("alarm_kind", "STRING", "Of the alarm that labels this minute.", "NULLABLE"),
        _field("close_out", "STRING", "The dispatcher's code (schemas.alarms.CloseOutCode).", "NULLABLE"),
        _field("alarm_id", "STRING", "That alarm.", "NULLABLE"),
        _field("selection", "STRING", "Why the payload is here: labelled, sample; empty: it is not."),
        _field("payload", "BYTES", "The reading as it was signed (hearthwatch.v1.Reading).", "NULLABLE"),
        _field("label", "STRING", "Class that it teaches (schemas.labels); NULL: none.", "NULLABLE"),
        _field("label_source", "STRING", "dispatcher, owner, test_mode, sample, corpus.", "NULLABLE"),
        _field("label_weight", "FLOAT", "In training.", "NULLABLE"),
        _field("label_time", "TIMESTAMP", "When it was said.", "NULLABLE"),
        _field("corpus", "STRING", "fleet, or the recordings or simulation that it is from.", "NULLABLE"),
        _field("sensor_model", "STRING", "Maker and model; NULL: not known.", "NULLABLE"),
        _VERSION,
    ),
    key=("home_id", "reading_id"),
    latest=("publish_time",),
    partition_field="minute_time",
)

LABELS: Final = Table(
    "labels",
    "What somebody said an alarm or a time was; one alarm may have several, which may disagree.",
    (
        _HOME,
        _field("label_id", "STRING", "Of its Firestore document."),
        _field("alarm_id", "STRING", "NULL: a test.", "NULLABLE"),
        _field("source", "STRING", "dispatcher, owner or test_mode."),
        _field("weight", "FLOAT", "In training (schemas.labels.WEIGHTS)."),
        _field("kind", "STRING", "Of the alarm; NULL: a test.", "NULLABLE"),
        _field("close_out", "STRING", "schemas.alarms.CloseOutCode."),
        _field("room", "STRING", "Of the alarm.", "NULLABLE"),
        _field("from_time", "TIMESTAMP", "First evidence; the partition."),
        _field("to_time", "TIMESTAMP", "Last evidence, or the test's end."),
        _field("said_time", "TIMESTAMP", "When it was said."),
        _VERSION,
    ),
    key=("home_id", "label_id"),
    latest=("said_time",),
    partition_field="from_time",
)

LOSSES: Final = Table(
    "losses",
    "Batches that a gateway numbered and that did not come; a row when told and one when they came.",
    (
        _HOME,
        _GATEWAY,
        _PUBLISHED,
        _field("epoch", "STRING", "Hex."),
        _field("first_seq", "INTEGER", "Inclusive."),
        _field("last_seq", "INTEGER", "Inclusive."),
        _field("from_time", "TIMESTAMP", "Gateway clock; NULL: unknown.", "NULLABLE"),
        _field("to_time", "TIMESTAMP", "Gateway clock; NULL: unknown.", "NULLABLE"),
        _field("reason", "STRING", "As the gateway declared; unexplained: it did not."),
        _field("state", "STRING", "open or filled."),
        _VERSION,
    ),
    key=("home_id", "gateway_id", "epoch", "first_seq", "last_seq"),
    latest=("publish_time", "state"),
)

TABLES: Final = {
    table.name: table
    for table in (
        READINGS_SCORES,
        SHADOW_SCORES,
        WINDOW_SCORES,
        BATCHES,
        LEDGER,
        TRAINING_READINGS,
        LABELS,
        LOSSES,
    )
}


def current_sql(dataset: str, table: Table, where: str = "TRUE") -> str:
    """The query that yields the standing row of each key.

    Args:
        where: Which rows are ranked at all. BigQuery passes over partitions only by a condition in here,
            on the table's `partition_field`: none moves inwards past the ranking.

    >>> print(current_sql("home", BATCHES).splitlines()[0])
    SELECT * EXCEPT (place) FROM (
    """
    order = ", ".join(f"{column} DESC" for column in table.latest)
    return (
        "SELECT * EXCEPT (place) FROM (\n"
        f"  SELECT *, ROW_NUMBER() OVER (PARTITION BY {', '.join(table.key)} ORDER BY {order}) AS place\n"
        f"  FROM `{dataset}.{table.name}` WHERE {where}\n"
        ") WHERE place = 1"
    )


def disagreements_sql(dataset: str) -> str:
    """The query that lists alarms of which two sources say different things, the newest first.

    A test speaks of every alarm whose evidence began in it; a dispatcher who then says "test" agrees.
    """
    said = current_sql(dataset, LABELS)
    return (
        f"WITH said AS ({said})\n"
        "SELECT a.home_id, a.alarm_id, a.kind, a.from_time, a.source, a.close_out,\n"
        "  b.source AS other_source, b.close_out AS other_close_out,\n"
        "  a.said_time, b.said_time AS other_said_time\n"
        "FROM said AS a JOIN said AS b ON a.home_id = b.home_id AND a.close_out != b.close_out\n"
        "  AND ((a.alarm_id = b.alarm_id AND a.source < b.source)\n"
        "    OR (a.alarm_id IS NOT NULL AND b.source = 'test_mode'\n"
        "      AND a.from_time >= b.from_time AND a.from_time < b.to_time))\n"
        "ORDER BY a.from_time DESC, a.alarm_id"
    )
