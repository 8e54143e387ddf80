"""How sure a counted proportion is."""

from __future__ import annotations

import math


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion; right also near 0 and 1.

    >>> [round(bound, 3) for bound in wilson(0, 30)]
    [0.0, 0.114]
    """
    z2 = 1.96**2
    centre = (hits + z2 / 2) / (n + z2)
    half = 1.96 / (n + z2) * math.sqrt(hits * (n - hits) / n + z2 / 4)
    return max(centre - half, 0.0), min(centre + half, 1.0)
