"""What training hands over: a net and what its card says; and words that every family's card shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import keras
from numpy.typing import NDArray

from schemas.models import Tier
from serving.cards import DataSource, Figure

SYNTHETIC: Final = "made here (local/signals)"
TEST_SEED: Final = 1_000_003  # synthetic tests draw from another stream than training
Use = Literal["trained", "tested"]


@dataclass
class Trained:
    """A trained net and what its card says."""

    title: str
    net: keras.Model
    probe: NDArray[Any]
    classes: tuple[str, ...]
    split: str
    data: list[DataSource]
    figures: list[Figure]
    intended_use: str
    limits: tuple[str, ...]
    tier: Tier = "small"
    version: str = "1"
    licence: str = "Hearthwatch; of the data: each source's"


def scaled(count: int, share: float) -> int:
    """A part of the usual number, at least five.

    >>> scaled(300, 0.5), scaled(300, 0.001)
    (150, 5)
    """
    return max(round(count * share), 5)


def synthetic_source(use: Use, examples: int) -> DataSource:
    """The simulator, for the card."""
    return DataSource(
        name="simulator", origin="synthetic", use=use, recordings=0, examples=examples, licence=SYNTHETIC
    )
