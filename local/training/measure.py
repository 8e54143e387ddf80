"""What a model says of examples → figures for its card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from local.training.examples import Examples
from pipelines.training.intervals import Origin, figure
from serving.cards import Figure

__all__ = ["by_class", "figure", "said"]


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
