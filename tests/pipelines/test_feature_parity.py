"""Features once: the gateway, the pipeline, the training table and the trainer's examples hold one number.

What TFX itself does with it is in test_train_system; the notebooks compare it in a cell of their own.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipelines.training.query import example_values
from schemas import hearthwatch_v1_pb2 as pb
from schemas.features import FEATURE_NAMES, model_input
from schemas.live_features import VALUE_STEP, features_of
from tests.transforms.test_training_rows import accepted
from transforms.score_readings import prepare
from transforms.training_rows import Labels, training_row


@pytest.mark.parametrize(
    ("sensor", "family"), [(0, "motion"), (5, "air"), (7, "contact")], ids=["motion", "air", "contact"]
)
def test_one_reading_gives_the_same_bits_wherever_it_is_looked_at(sensor: int, family: str) -> None:
    one = accepted(sensor)
    reading = pb.Reading.FromString(one.reading)
    shared = model_input(family, reading)

    scored = prepare([one]).inputs[0]
    row = json.loads(json.dumps(training_row(one, Labels([]), 0.0)))
    taught = (
        example_values({**row, "hour": 12, "label": "fire", "label_weight": 1.0, "family": "air"})
        if (family == "air")
        else dict(zip(FEATURE_NAMES[family], row["features"], strict=True))
    )
    learnt = np.array([taught[name] for name in FEATURE_NAMES[family]], np.float32)

    assert scored.tobytes() == shared.tobytes()
    assert learnt.tobytes() == shared.tobytes()
    # A gateway that sends features live rounds the same numbers to the steps of the wire, no others.
    steps = features_of(reading, one.gateway_id, with_log_mel=False).steps
    assert list(steps) == np.rint(shared / VALUE_STEP).astype(int).tolist()
