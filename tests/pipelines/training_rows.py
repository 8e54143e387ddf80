"""Rows of the training table that cost nothing to make: each class a cloud of points in the features."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from schemas.features import FEATURE_NAMES, FEATURE_VERSION
from schemas.labels import CLASSES
from schemas.warehouse import SCHEMA_VERSION
from transforms.training_rows import exact

DAY_A = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY_B = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
DRIFTED = "co2_ppm_last"
HOMES, MINUTES = 40, 30


def rows(day: dt.datetime, *, drift: float = 0.0, seed: int = 0) -> list[dict[str, Any]]:
    """A day of the fleet, `HOMES` × `MINUTES` labelled readings of air; `drift` moves one feature."""
    rng = np.random.default_rng(seed)
    names, classes = FEATURE_NAMES["air"], CLASSES["air"]
    centres = np.random.default_rng(7).normal(0, 1.0, (len(classes), len(names)))
    made = []
    for home in range(HOMES):
        for minute in range(MINUTES):
            label = int(rng.integers(len(classes)))
            values = (centres[label] + rng.normal(0, 1.0, len(names))).astype(np.float32)
            values = np.clip(values, -4.9, 4.9)  # drifted, still within the schema
            values[names.index(DRIFTED)] += np.float32(drift)
            moment = (day + dt.timedelta(hours=minute % 24, minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
            made.append(
                {
                    "home_id": f"home-{home:04d}",
                    "gateway_id": f"gw-{home:04d}",
                    "publish_time": moment,
                    "reading_id": f"{day:%Y%m%d}{home:04d}{minute:04d}",
                    "sensor_id": "air-kitchen",
                    "room": ("kitchen", "bedroom")[minute % 2],
                    "family": "air",
                    "minute_time": moment,
                    "form": "payload",
                    "feature_version": FEATURE_VERSION,
                    "features": [exact(value) for value in values],
                    "quantities": [],
                    "selection": "",
                    "label": classes[label],
                    "label_source": "dispatcher",
                    "label_weight": 1.0,
                    "label_time": moment,
                    "corpus": "fleet",
                    "schema_version": SCHEMA_VERSION,
                }
            )
    return made
