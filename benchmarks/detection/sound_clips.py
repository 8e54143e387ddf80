"""Recordings and made-up clips as models see them, and what models say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from local.recordings import SoundRecording
from local.training import sounds
from schemas.models import Tier
from serving import cards
from serving.interpreter import LoadedModel, open_card

WINDOWS: Final = 3  # of each recording: its loudest places
ALARM_AT: Final = 0.5  # siren, smoke alarm and CO alarm together
BINS: Final = 10


class Clips(NamedTuple):
    """Windows, several of a recording.

    Attributes:
        inputs: uint8[n, 160, 64]. labels: int[n], places in `sounds.CLASSES`.
        group: int[n], which recording each is of. first: bool[n], its loudest window.
    """

    inputs: NDArray[np.uint8]
    labels: NDArray[np.intp]
    group: NDArray[np.intp]
    first: NDArray[np.bool_]


def clean(
    rng: np.random.Generator, recordings: Sequence[SoundRecording], windows: int = WINDOWS, processes: int = 1
) -> Clips:
    """The loudest windows of each recording, all at one level."""
    examples, group = sounds.real_examples(rng, recordings, windows, False, processes)
    first = np.arange(len(group)) % windows == 0
    return Clips(examples.inputs, examples.labels, group, first)


def shipped(tier: Tier) -> LoadedModel:
    """The package's newest sound model."""
    return open_card(cards.find("sound", tier=tier))


def sesa_half(recordings: Sequence[SoundRecording], odd: bool) -> list[SoundRecording]:
    """SESA's files of odd or even number: the odd ones were looked at while the synthesis was widened."""
    return [r for r in recordings if r.corpus == "sesa" and int(r.path.stem.rsplit("_", 1)[1]) % 2 == odd]


def calibration_error(said: NDArray[np.floating], labels: NDArray[np.intp]) -> float:
    """Expected calibration error of the most probable class, ten bins of equal width.

    >>> calibration_error(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    0.0
    """
    sure, right = said.max(axis=1), said.argmax(axis=1) == labels
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float((sure[places == b] - right[places == b]).sum())) for b in range(BINS) if (places == b).any()
    ]
    return sum(gaps) / len(labels)


def calibrated_reads(
    said: NDArray[np.floating], group: NDArray[np.intp], draws: int = 1_000
) -> dict[str, float]:
    """The calibration error that a model as sure as this one would read on so many clips, were it calibrated.

    Labels are drawn from what it said, all windows of a recording by one draw.

    Args:
        said: float[n, classes]. group: int[n], the recording of each window, from 0.

    Returns:
        Its mean, and low and high of 95 % of the draws.
    """
    rng = np.random.default_rng(0)
    steps = np.cumsum(said / said.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    read = []
    for _ in range(draws):
        drawn = rng.uniform(size=int(group.max()) + 1)[group]
        read.append(calibration_error(said, (drawn[:, None] > steps).sum(axis=1)))
    low, high = np.percentile(read, [2.5, 97.5])
    return {"mean": float(np.mean(read)), "low": float(low), "high": float(high)}


def best_temperature(said: NDArray[np.floating], labels: NDArray[np.intp]) -> dict[str, float]:
    """The temperature with the least calibration error on these very clips: what another could gain at most.

    A diagnosis, never a choice: it has seen the labels.
    """
    found = []
    for by in np.geomspace(0.3, 3.0, 91):
        cooled = np.maximum(said, 1e-9) ** (1 / by)
        found.append((calibration_error(cooled / cooled.sum(axis=1, keepdims=True), labels), float(by)))
    error, by = min(found)
    return {"temperature": by, "error": error}


def reliability(said: NDArray[np.floating], labels: NDArray[np.intp]) -> list[list[float]]:
    """[mean confidence, share right, n] of each bin that is not empty."""
    sure, right = said.max(axis=1), said.argmax(axis=1) == labels
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        [round(float(part[places == b].mean()), 4) for part in (sure, right)] + [int((places == b).sum())]
        for b in range(BINS)
        if (places == b).any()
    ]


def curve(scores: NDArray[np.floating], truth: NDArray[np.bool_], points: int = 60) -> dict[str, list[float]]:
    """Precision, recall and share of false alarms at up to `points` thresholds, from strict to lax."""
    order = np.argsort(-scores, kind="stable")
    hits, misses = np.cumsum(truth[order]), np.cumsum(~truth[order])
    ends = np.flatnonzero(np.diff(scores[order], append=-1.0))  # equal scores fall together
    chosen = ends[np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).astype(int))]
    found: dict[str, Any] = {
        "precision": hits[chosen] / (hits[chosen] + misses[chosen]),
        "recall": hits[chosen] / max(int(truth.sum()), 1),
        "false": misses[chosen] / max(int((~truth).sum()), 1),
    }
    return {name: [round(float(v), 4) for v in values] for name, values in found.items()}


def recall_at(scores: NDArray[np.floating], truth: NDArray[np.bool_], false_share: float) -> float:
    """The best recall at which at most that share of the others is taken for it.

    >>> recall_at(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]), 0.0)
    0.5
    """
    others = np.sort(scores[~truth])[::-1]
    allowed = int(false_share * len(others))
    limit = others[allowed] if allowed < len(others) else -1.0
    return float((scores[truth] > limit).mean())
