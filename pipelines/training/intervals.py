"""Counted proportions with their interval, as model cards hold them."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving.cards import Figure

Origin = Literal["real", "synthetic"]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion; right also near 0 and 1.

    >>> [round(bound, 3) for bound in wilson(0, 30)]
    [0.0, 0.114]
    """
    z2 = 1.96**2
    centre = (hits + z2 / 2) / (n + z2)
    half = 1.96 / (n + z2) * math.sqrt(hits * (n - hits) / n + z2 / 4)
    return max(centre - half, 0.0), min(centre + half, 1.0)


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
