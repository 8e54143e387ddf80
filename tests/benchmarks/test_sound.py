"""What the sound part computes from scores, and that its committed result holds what the page needs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection import sound_clips as sc
from local.recordings import SoundRecording


def test_a_model_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    labels = np.array([0] * 8 + [1] * 2, np.intp)
    said = np.tile([0.8, 0.2], (10, 1))
    assert sc.calibration_error(said, labels) == pytest.approx(0.0, abs=1e-9)


def test_a_model_that_is_always_sure_and_half_wrong_is_off_by_half() -> None:
    said = np.tile([1.0, 0.0], (10, 1))
    labels = np.array([0, 1] * 5, np.intp)
    assert sc.calibration_error(said, labels) == pytest.approx(0.5)
    assert sc.reliability(said, labels) == [[1.0, 0.5, 10]]


def test_of_few_clips_even_a_calibrated_model_reads_an_error_and_of_many_none() -> None:
    said, alone = np.tile([0.8, 0.2], (4_000, 1)), np.arange(4_000)
    many = sc.calibrated_reads(said, alone, draws=50)
    few = sc.calibrated_reads(said, alone // 400, draws=50)  # ten recordings of 400 windows each
    assert many["high"] < 0.02
    assert few["low"] <= 0.1 < few["high"]
    assert few["mean"] > 4 * many["mean"]


def test_the_best_temperature_undoes_one_that_made_the_model_too_sure() -> None:
    labels = np.array([0] * 8 + [1] * 2, np.intp)
    hot = np.tile([0.8, 0.2], (10, 1)) ** 2
    found = sc.best_temperature(hot / hot.sum(axis=1, keepdims=True), labels)
    assert found["temperature"] == pytest.approx(2.0, rel=0.03)
    assert found["error"] < 0.01


def test_a_curve_counts_equal_scores_together() -> None:
    curve = sc.curve(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    assert curve["recall"] == [0.5, 1.0, 1.0]
    assert curve["false"] == [0.0, 0.5, 1.0]
    assert curve["precision"] == [1.0, 0.6667, 0.5]


@pytest.mark.parametrize(("share", "recall"), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.0)])
def test_the_best_recall_at_a_share_of_false_alarms(share: float, recall: float) -> None:
    scores, truth = np.array([0.9, 0.6, 0.7, 0.1]), np.array([True, True, False, False])
    assert sc.recall_at(scores, truth, share) == recall


def test_the_halves_of_sesa_share_no_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    recordings = [
        SoundRecording("sesa", "siren", 0, tmp_path / f"siren_{n:03d}.flac", "", False) for n in range(6)
    ]
    odd, even = (sc.sesa_half(recordings, which) for which in (True, False))
    assert {r.path.stem[-1] for r in odd} == {"1", "3", "5"}
    assert {r.path.stem[-1] for r in even} == {"0", "2", "4"}
