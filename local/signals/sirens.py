"""Sirens and burglar alarms of many makes, drawn at random: what a model must know by more than one voice.

`sound.siren` is the one that the simulated homes have. Here a drive (wail, yelp, two tones, pulses,
a buzzer) meets a voice (sine, square, saw, a motor's rotor, a horn, a bell), because real recordings
differ in both; all float32 mono at 16 kHz, peak 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from local.signals.sound import Audio, Rng
from schemas.features import SAMPLE_HZ

_NYQUIST_HZ: Final = SAMPLE_HZ / 2 - 200


def any_siren(rng: Rng, seconds: float) -> Audio:
    """One siren or alarm; in one draw of seven two of them sound at once."""
    wave = _one(rng, seconds)
    if rng.random() < 0.15:
        wave = wave + rng.uniform(0.2, 0.9) * _one(rng, seconds)
    if rng.random() < 0.25:  # an overdriven horn or recorder
        wave = np.tanh(rng.uniform(1.5, 6.0) * wave / (np.abs(wave).max() + 1e-9))
    if rng.random() < 0.35:  # an echo from a house across the street
        late = int(rng.uniform(0.03, 0.35) * SAMPLE_HZ)
        wave[late:] += rng.uniform(0.15, 0.6) * wave[:-late].copy()
    return (wave / (np.abs(wave).max() + 1e-12)).astype(np.float32)


def _one(rng: Rng, seconds: float) -> NDArray[np.float64]:
    t = np.arange(int(seconds * SAMPLE_HZ)) / SAMPLE_HZ
    if rng.random() < 0.15:
        return _bell(rng, t)
    hertz, gate = _drive(rng, t)
    drift = 1 + rng.uniform(-0.03, 0.03) * t / seconds  # passing by
    return _voice(rng, hertz * drift) * gate * _swell(rng, t)


def _drive(rng: Rng, t: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hertz and loudness over time."""
    low = rng.uniform(300, 1200)
    high = min(low * rng.uniform(1.25, 3.2), 3200.0)
    phase = rng.random()
    kind = rng.choice(
        ["wail", "yelp", "hi_lo", "rotor", "sweep", "pulses", "buzzer", "chirps"],
        p=[0.2, 0.16, 0.15, 0.1, 0.1, 0.13, 0.08, 0.08],
    )
    always = np.ones(t.size)
    if kind in ("wail", "yelp", "sweep"):
        period = {"wail": rng.uniform(1.5, 9), "yelp": rng.uniform(0.12, 0.7), "sweep": rng.uniform(0.3, 2)}[
            kind
        ]
        width = {
            "wail": rng.uniform(0.2, 0.9),
            "yelp": rng.uniform(0.3, 0.8),
            "sweep": rng.choice([0.0, 1.0]),
        }[kind]
        shape = (signal.sawtooth(2 * np.pi * (t / period + phase), width) + 1) / 2
        if rng.random() < 0.5:
            shape = (1 - np.cos(np.pi * shape)) / 2  # round turns
        return low * (high / low) ** shape, always
    if kind == "hi_lo":
        period, ratio = rng.uniform(0.35, 2.0), rng.uniform(1.12, 1.6)
        step = ((t / period + phase) % 1 < rng.uniform(0.35, 0.65)).astype(float)
        return low * ratio ** _smooth(step, 0.01), always
    if kind == "rotor":  # spins up, holds, runs down
        span = rng.uniform(2, 8)
        curve = 1 - np.exp(-((t + rng.uniform(0, 3)) / span) * 3)
        curve = curve[::-1] if rng.random() < 0.4 else curve
        return rng.uniform(250, 900) * (0.35 + 0.65 * curve), always
    if kind in ("pulses", "buzzer"):  # a car or a burglar alarm: the same without end
        period, duty = rng.uniform(0.08, 0.9), rng.uniform(0.35, 0.7)
        gate = ((t / period + phase) % 1 < duty).astype(float)
        note = rng.uniform(500, 3300) if kind == "pulses" else rng.uniform(120, 500)
        return np.full(t.size, note), _smooth(gate, 0.004)
    period = rng.uniform(0.05, 0.25)
    shape = (t / period + phase) % 1
    return low * (high / low) ** shape, _smooth((shape < rng.uniform(0.6, 1.01)).astype(float), 0.002)


def _voice(rng: Rng, hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonics of a moving note, none above Nyquist."""
    angle = 2 * np.pi * np.cumsum(hertz) / SAMPLE_HZ
    kind = rng.choice(["sine", "square", "saw", "rich"])
    wave = np.zeros(hertz.size)
    count = {"sine": 1, "square": 9, "saw": 12, "rich": 8}[str(kind)]
    fall = rng.uniform(0.5, 1.4)
    for order in range(1, count + 1):
        loud = order**-fall
        if kind == "square":
            loud = loud if order % 2 else loud * rng.uniform(0, 0.15)
        if kind == "rich":
            loud *= rng.uniform(0.1, 1.5)
        wave += loud * np.sin(order * angle + rng.random() * 6) * (order * hertz < _NYQUIST_HZ)
    if rng.random() < 0.3:  # a horn's throat
        centre = rng.uniform(600, 2500)
        b, a = signal.iirpeak(centre, centre / rng.uniform(300, 1500), fs=SAMPLE_HZ)
        wave = wave + rng.uniform(0.5, 3) * signal.lfilter(b, a, wave)
    return wave + rng.uniform(0, 0.04) * rng.standard_normal(hertz.size)


def _bell(rng: Rng, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """A hammer on a gong, 8 to 28 strokes a second: the oldest burglar alarm."""
    rate, base = rng.uniform(8, 28), rng.uniform(700, 2200)
    partials = base * np.array([1, 1.5, 2.0, 2.7, 3.4, 4.2]) * rng.uniform(0.95, 1.05, 6)
    since = ((t * rate + rng.random()) % 1) / rate
    stroke = 0.35 + 0.65 * np.exp(-since / rng.uniform(0.01, 0.08))
    loud = rng.uniform(0.2, 1, 6) * 0.8 ** np.arange(6) * (partials < _NYQUIST_HZ)
    ring = (loud[:, None] * np.sin(2 * np.pi * partials[:, None] * t + rng.random((6, 1)) * 6)).sum(axis=0)
    click = rng.standard_normal(t.size) * np.exp(-since / 0.003) * rng.uniform(0, 0.5)
    wave: NDArray[np.float64] = stroke * ring + click
    return wave


def _swell(rng: Rng, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Louder and softer as wind and traffic have it."""
    knots = rng.uniform(0.45, 1.0, max(int(t[-1] * 2), 1) + 2)
    swell: NDArray[np.float64] = np.interp(t, np.linspace(0, t[-1], knots.size), knots)
    return swell


def _smooth(gate: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    ramp = np.hanning(max(int(seconds * SAMPLE_HZ), 3))
    smooth: NDArray[np.float64] = signal.fftconvolve(gate, ramp / ramp.sum(), mode="same")
    return smooth
