"""Which rows of the training table a run learns from, and how a row becomes features with names."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from schemas.features import FEATURE_NAMES, FEATURE_VERSION
from schemas.labels import CLASSES, CORPUS_ENDS
from schemas.warehouse import TRAINING_READINGS, current_sql

FLEET: Final = "fleet"
UNKNOWN: Final = "unknown"
NO_HOUR: Final = -1  # a recording of a corpus has none that means anything
FAMILIES: Final = tuple(CLASSES)  # sound has no class that a close-out code could teach


def training_sql(dataset: str, family: str, first: dt.datetime, end: dt.datetime) -> str:
    """The query of a run: the fleet's labelled minutes in [first, end), and every corpus, each reading once.

    Only the partitions of those days are read.

    >>> "label IS NOT NULL" in training_sql("d", "air", dt.datetime(2026, 3, 1), dt.datetime(2026, 3, 2))
    True
    """
    among = (
        f"(minute_time >= TIMESTAMP '{_moment(first)}' AND minute_time < TIMESTAMP '{_moment(end)}')"
        f" OR minute_time < TIMESTAMP '{_moment(CORPUS_ENDS)}'"
    )
    return (
        "SELECT home_id, reading_id, family, corpus, room, sensor_model,\n"
        "  label, label_source, label_weight, features,\n"
        f"  IF(corpus = '{FLEET}', EXTRACT(HOUR FROM minute_time), {NO_HOUR}) AS hour\n"
        f"FROM ({current_sql(dataset, TRAINING_READINGS, among)})\n"
        f"WHERE family = '{family}' AND label IS NOT NULL AND feature_version = {FEATURE_VERSION}\n"
        "  AND ARRAY_LENGTH(features) > 0"
    )


def _moment(time: dt.datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00")


def example_values(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `training_sql` → the values of one example, by feature name.

    The numbers are those that schemas.features made when the row was written: nothing is computed anew.

    Raises:
        ValueError: The row has another number of features than the family, or an unknown class.
    """
    family = row["family"]
    names = FEATURE_NAMES[family]
    values = row["features"]
    if len(values) != len(names):
        raise ValueError(
            f"reading {row['reading_id']} has {len(values)} features, limit exactly {len(names)}"
        )
    return {
        **dict(zip(names, map(float, values), strict=True)),
        "home_id": row["home_id"],
        "reading_id": row["reading_id"],
        "corpus": row["corpus"],
        "room": row["room"] or UNKNOWN,
        "sensor_model": row["sensor_model"] or UNKNOWN,
        "hour": int(row["hour"]),
        "label": row["label"],
        "label_id": CLASSES[family].index(row["label"]),
        "label_source": row["label_source"],
        "weight": float(row["label_weight"]),
    }
