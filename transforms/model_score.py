"""What a model says of a reading → its Score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from transforms.elements import Score


class Verdict(Protocol):
    """What a model handler yields for each reading; no probabilities: it has nothing to say."""

    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def probabilities(self) -> Sequence[float]: ...
    @property
    def model_version(self) -> str: ...


class CloseVerdict(Protocol):
    """What the large models say of a reading: the fleet's, and the one in the shadow."""

    @property
    def fleet(self) -> Verdict: ...
    @property
    def shadow(self) -> Verdict: ...


def model_score(blank: Score, verdict: Verdict) -> Score | None:
    """The score that a model's verdict makes; None if it is no probability for each label."""
    probabilities = [float(p) for p in verdict.probabilities]
    if not probabilities or len(probabilities) != len(verdict.labels):
        return None
    if not all(0.0 <= p <= 1.0 for p in probabilities):  # also false for NaN
        return None
    best = max(probabilities)
    return blank._replace(
        label=verdict.labels[probabilities.index(best)],
        score=best,
        labels=list(verdict.labels),
        probabilities=probabilities,
        model_version=verdict.model_version,
    )
