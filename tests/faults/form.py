"""Short form or long, by environment: how long outages last, how often what is killed, which seeds."""

from __future__ import annotations

import os
from typing import Final

LONG: Final = os.environ.get("HEARTHWATCH_FAULTS") == "long"
_SEED: Final = 20_261_125


def seeds() -> list[int]:
    """Seeds of this run: HEARTHWATCH_FAULTS_SEEDS, comma-separated, or one of ours."""
    return [int(seed) for seed in os.environ.get("HEARTHWATCH_FAULTS_SEEDS", str(_SEED)).split(",")]


def seconds(short: float, long: float) -> float:
    """How long something lasts in this form."""
    return long if LONG else short


def times(short: int, long: int) -> int:
    """How often something happens in this form."""
    return long if LONG else short
