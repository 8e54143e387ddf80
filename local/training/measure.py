"""Figures with their intervals, for the model cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from local.training.examples import Examples
from serving.cards import Figure

Origin = Literal["real", "synthetic"]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion; right also near 0 and 1.

    >>> [round(bound, 3) for bound in wilson(0, 30)]
    [0.0, 0.114]
    """
    z2 = 1.96**2
    centre = (hits + z2 / 2) / (n + z2)
    half = 1.96 / (n + z2) * np.sqrt(hits * (n - hits) / n + z2 / 4)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def figure(name: str, origin: Origin, data: str, hits: NDArray[np.bool_]) -> Figure:
    """Trials, true where it happened → a proportion with its interval."""
    count = int(hits.sum())
    low, high = wilson(count, hits.size)
    return Figure(
        name=name,
        origin=origin,
        data=data,
        value=round(count / hits.size, 4),
        low=round(low, 4),
        high=round(high, 4),
        n=int(hits.size),
    )


def by_class(
    predicted: NDArray[np.intp], examples: Examples, classes: Sequence[str], origin: Origin, data: str
) -> list[Figure]:
    """Accuracy, then recall of each class that occurs."""
    right = predicted == examples.labels
    figures = [figure("accuracy", origin, data, right)]
    for index, label in enumerate(classes):
        chosen = examples.labels == index
        if chosen.any():
            figures.append(figure(f"recall of {label}", origin, data, right[chosen]))
    return figures


def said(predicted: NDArray[np.intp], classes: Sequence[str], wanted: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each prediction is one of `wanted`."""
    return np.isin(predicted, [classes.index(label) for label in wanted])
