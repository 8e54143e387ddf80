"""Simulated rooms and recorded fires → rows of the training table, beside the fleet's.

The fleet's labels are few and speak of minutes; a model learns most from what knows what it holds. Each
room and each recorded test counts as one home, so that it is in one split as a whole. Recordings that
`families` tests on stay out: models are judged with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from local import recordings
from local.training import examples
from schemas.features import FEATURE_VERSION
from schemas.labels import CLASSES, CORPUS_DAY, WEIGHTS, TaughtBy
from schemas.readings import MINUTE_US
from schemas.warehouse import SCHEMA_VERSION
from transforms.training_rows import PAYLOAD, exact
from transforms.warehouse_loads import timestamp
from transforms.write_warehouse import Row

SIMULATED: Final = "simulated rooms"
NIST: Final = "NIST home smoke-alarm tests"
ROOMS: Final = 120
PLAYS: Final = 4  # of a recorded fire, each in another simulated room
SEED: Final = 20_260_901
_DAY_US: Final = int(CORPUS_DAY.timestamp() * 1e6)


def air_rows(folder: Path | None, rooms: int = ROOMS) -> Iterator[Row]:
    """Folder of recordings, None for simulation alone → rows of the air family."""
    for number in range(rooms):
        made = examples.air_examples(np.random.default_rng([SEED, number]), 1)
        yield from _rows(SIMULATED, f"room {number:04d}", "simulated", made)
    for number, curve in enumerate(c for c in recordings.fires(folder) if c.test in recordings.NIST_TRAINED):
        made = examples.recorded_fires(np.random.default_rng([SEED, rooms + number]), [curve], PLAYS)
        yield from _rows(NIST, curve.test, "NIST instruments", made, f"place {curve.room}")


def _rows(corpus: str, home: str, model: str, made: examples.Examples, place: str = "") -> Iterator[Row]:
    home_id = f"{corpus}, {home}"
    for number, (features, label) in enumerate(zip(made.inputs, made.labels, strict=True)):
        identity = f"{home_id}|{place}|{number}|{FEATURE_VERSION}"
        moment = timestamp(_DAY_US + number * MINUTE_US)
        yield {
            "home_id": home_id,
            "gateway_id": "",
            "publish_time": moment,
            "reading_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
            "sensor_id": "",
            "room": place or None,
            "family": "air",
            "minute_time": moment,
            "arming_mode": None,
            "form": PAYLOAD,
            "feature_version": FEATURE_VERSION,
            "features": [exact(value) for value in features],
            "quantities": [],
            "alarm_kind": None,
            "close_out": None,
            "alarm_id": None,
            "selection": "",
            "payload": None,
            "label": CLASSES["air"][label],
            "label_source": str(TaughtBy.CORPUS),
            "label_weight": WEIGHTS[TaughtBy.CORPUS],
            "label_time": moment,
            "corpus": corpus,
            "sensor_model": model,
            "schema_version": SCHEMA_VERSION,
        }
