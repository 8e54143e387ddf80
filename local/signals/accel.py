"""The accelerometer in a door or window contact: a minute at 25 Hz, in mg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.readings import ACCEL_HZ, ACCEL_SHAPE, SECONDS

NOISE_MG: Final = 4.0
FULL_MG: Final = 16_000


@dataclass(frozen=True)
class Incident:
    """Something done to the leaf.

    Attributes:
        at_s: When, in [0, 60).
        what: `open` and `close` swing it and end at a stop; `knock` is a few taps; `forced` is
            levering: hard blows, scraping and a wrench; `wind` rattles it.
    """

    at_s: float
    what: Literal["open", "close", "knock", "forced", "wind"]


def accel_minute(rng: np.random.Generator, incidents: Sequence[Incident]) -> NDArray[np.int16]:
    """A minute of acceleration → int16[1500, 3] mg; gravity lies on the z axis, 1,000 mg."""
    wave = rng.normal(0, NOISE_MG, ACCEL_SHAPE)
    wave += np.array([rng.normal(0, 30), rng.normal(0, 30), 1000.0])  # not mounted quite upright
    act = {"open": _swing, "close": _swing, "knock": _knock, "forced": _forced, "wind": _wind}
    for incident in incidents:
        act[incident.what](rng, wave, incident)
    return np.clip(np.rint(wave), -FULL_MG, FULL_MG).astype(np.int16)


def _swing(rng: np.random.Generator, wave: NDArray, incident: Incident) -> None:
    """Speeds up, slows down (raised cosine of 0.8–2 s, 40–150 mg), with a bump of handle or stop."""
    seconds, push = rng.uniform(0.8, 2.0), rng.uniform(40, 150)
    t = _after(incident.at_s, seconds)
    first = int(incident.at_s * ACCEL_HZ)
    wave[first : first + t.size, 0] += push * np.sin(2 * np.pi * t / seconds)
    wave[first : first + t.size, 1] += push * 0.4 * np.sin(np.pi * t / seconds) ** 2  # centripetal
    bump_s = incident.at_s if incident.what == "open" else incident.at_s + seconds
    _hit(
        rng, wave, bump_s, rng.uniform(60, 300) * (1.0 if incident.what == "open" else rng.uniform(1, 5)), 0.1
    )


def _knock(rng: np.random.Generator, wave: NDArray, incident: Incident) -> None:
    at_s = incident.at_s
    mg = rng.uniform(90, 400)
    for _ in range(rng.integers(2, 6)):
        _hit(rng, wave, at_s, mg * rng.uniform(0.7, 1.2), 0.05)
        at_s += rng.uniform(0.16, 0.35)


def _forced(rng: np.random.Generator, wave: NDArray, incident: Incident) -> None:
    """A crowbar or a shoulder: 3–20 s of blows up to several g, grinding between, the leaf left bent."""
    seconds = rng.uniform(3, 20)
    t = _after(incident.at_s, seconds)
    first = int(incident.at_s * ACCEL_HZ)
    grind = rng.normal(0, rng.uniform(12, 90), (t.size, 3)) * (rng.random((t.size, 1)) < 0.6)
    wave[first : first + t.size] += grind
    for at_s in incident.at_s + np.sort(rng.uniform(0, seconds, rng.integers(3, 12))):
        _hit(rng, wave, at_s, rng.uniform(200, 4000), 0.12)
    wave[first + t.size :] += rng.normal(0, 25, 3)


def _wind(rng: np.random.Generator, wave: NDArray, incident: Incident) -> None:
    """Gusts of 4–25 s: the leaf rattles in its frame by a few tens of mg."""
    t = _after(incident.at_s, rng.uniform(4, 25))
    first = int(incident.at_s * ACCEL_HZ)
    gust = np.sin(np.pi * np.arange(t.size) / max(t.size, 1))[:, None]
    wave[first : first + t.size] += gust * rng.normal(0, rng.uniform(8, 45), (t.size, 3))


def _hit(rng: np.random.Generator, wave: NDArray, at_s: float, mg: float, decay_s: float) -> None:
    """A blow rings out, mostly across the leaf."""
    t = _after(at_s, 5 * decay_s)
    first = int(at_s * ACCEL_HZ)
    ring = mg * np.exp(-t / decay_s) * np.cos(2 * np.pi * rng.uniform(6, 12) * t)
    wave[first : first + t.size] += ring[:, None] * np.array([1.0, 0.3, 0.4]) * rng.uniform(0.8, 1.2, 3)


def _after(at_s: float, seconds: float) -> NDArray[np.float64]:
    """Sample times of an action, cut at the end of the minute."""
    samples = min(int(seconds * ACCEL_HZ) + 1, ACCEL_SHAPE[0] - int(at_s * ACCEL_HZ))
    return np.arange(max(samples, 0)) / ACCEL_HZ if at_s < SECONDS else np.zeros(0)
