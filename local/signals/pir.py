"""A pyroelectric sensor behind a Fresnel lens: what a minute of movement looks like at 80 Hz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.readings import PIR_HZ, PIR_SHAPE, SECONDS

NOISE_COUNTS: Final = 6.0  # white, of a 12-bit converter behind the usual 60 dB band-pass
DRIFT_COUNTS: Final = 8.0
FULL_COUNTS: Final = 2047


@dataclass(frozen=True)
class Movement:
    """Something warm (or a draught) in view.

    Attributes:
        start_s: When it starts in the minute. duration_s: how long; cut at the minute's end.
        who: A person, a pet, or moving air (radiator, sun on a curtain).
    """

    start_s: float
    duration_s: float
    who: Literal["person", "pet", "draught"] = "person"


def pir_minute(rng: np.random.Generator, movements: Sequence[Movement]) -> NDArray[np.int16]:
    """A minute of the element's voltage → int16[4800] ADC counts about the rest level.

    Each crossing of a lens zone heats first one, then the other half of the differential element:
    one damped oscillation. A person at 1 m/s crosses a zone of about half a metre each step; a pet
    is lower, smaller and quicker; a large dog and a creeping person overlap. Moving air is slow and
    single-sided.
    """
    wave = rng.normal(0, NOISE_COUNTS, PIR_SHAPE[0]) + _drift(rng, DRIFT_COUNTS, 0.02)
    for movement in movements:
        if movement.who == "draught":
            _add_draught(rng, wave, movement)
        else:
            _add_walk(rng, wave, movement)
    return np.clip(np.rint(wave), -FULL_COUNTS, FULL_COUNTS).astype(np.int16)


def _add_walk(rng: np.random.Generator, wave: NDArray, movement: Movement) -> None:
    if movement.who == "person":
        pace_hz, counts, width_s = rng.uniform(0.6, 2.1), rng.uniform(220, 1500), rng.uniform(0.4, 1.0)
    else:
        pace_hz, counts, width_s = rng.uniform(1.5, 4.0), rng.uniform(70, 600), rng.uniform(0.18, 0.5)
    at_s = movement.start_s
    end_s = min(movement.start_s + movement.duration_s, SECONDS)
    while at_s < end_s:
        if rng.random() < 0.85:  # now and then a step stays within a zone
            swing = counts * rng.lognormal(0, 0.35) * rng.choice([-1, 1])
            _add_crossing(wave, at_s, swing, width_s * rng.uniform(0.8, 1.25))
        at_s += rng.normal(1, 0.12) / pace_hz


def _add_crossing(wave: NDArray, at_s: float, counts: float, width_s: float) -> None:
    first = int(at_s * PIR_HZ)
    t = np.arange(min(int(3 * width_s * PIR_HZ), wave.size - first)) / PIR_HZ
    wave[first : first + t.size] += counts * np.exp(-1.6 * t / width_s) * np.sin(2 * np.pi * t / width_s)


def _add_draught(rng: np.random.Generator, wave: NDArray, movement: Movement) -> None:
    t = np.arange(wave.size) / PIR_HZ
    inside = (t >= movement.start_s) & (t < movement.start_s + movement.duration_s)
    middle = movement.start_s + movement.duration_s / 2
    hump = np.exp(-(((t - middle) / max(movement.duration_s / 3, 2)) ** 2))
    wander = _drift(rng, 1.0, rng.uniform(0.04, 0.15))
    wave += rng.uniform(60, 280) * hump * (0.5 + wander) * np.where(inside, 1.0, hump)


def _drift(rng: np.random.Generator, counts: float, hertz: float) -> NDArray[np.float64]:
    """A smooth random curve that wanders at about `hertz`."""
    knots = max(int(SECONDS * hertz), 1) + 3
    at = np.linspace(0, knots - 1, PIR_SHAPE[0])
    low = np.minimum(at.astype(int), knots - 2)
    smooth = (1 - np.cos(np.pi * (at - low))) / 2
    values = rng.normal(0, counts, knots)
    return values[low] * (1 - smooth) + values[low + 1] * smooth
