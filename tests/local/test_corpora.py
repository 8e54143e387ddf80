"""Simulated rooms as rows of the training table."""

from __future__ import annotations

import numpy as np

from local.training import corpora
from schemas.features import FEATURE_NAMES
from schemas.labels import CLASSES
from schemas.warehouse import TRAINING_READINGS
from tests.transforms.test_training_rows import accepted
from transforms.training_rows import Labels, training_row


def test_rows_of_a_corpus_look_like_the_fleets_and_are_the_same_each_time() -> None:
    rows = list(corpora.air_rows(None, rooms=2))
    assert rows == list(corpora.air_rows(None, rooms=2))
    fleet = training_row(accepted(5), Labels([]), 0.0)
    assert list(rows[0]) == list(fleet) == [field["name"] for field in TRAINING_READINGS.fields]
    assert len({row["reading_id"] for row in rows}) == len(rows)
    assert {row["home_id"] for row in rows} == {"simulated rooms, room 0000", "simulated rooms, room 0001"}
    assert {row["label"] for row in rows} <= set(CLASSES["air"])
    assert np.isfinite([row["features"] for row in rows]).all()
    assert {len(row["features"]) for row in rows} == {len(FEATURE_NAMES["air"])}
