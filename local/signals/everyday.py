"""Sounds of a home and its street that are easily taken for alarms: tones, rings, whistles, motors, bangs.

As `sound`: float32 mono at 16 kHz, peak 1, another example at each draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from local.signals import sound
from local.signals.sound import Audio, Rng
from schemas.features import SAMPLE_HZ


def kettle_whistle(rng: Rng, seconds: float) -> Audio:
    """A whistle that rises and wavers in steam."""
    t = _time(seconds)
    hertz = rng.uniform(1200, 3000) * (1 + rng.uniform(0, 0.25) * t / seconds + 0.01 * _wander(rng, t, 12))
    steam = signal.lfilter([1, -0.9], [1], rng.standard_normal(t.size))
    return _peak_one(np.sin(_angle(hertz)) * (1 + 0.3 * _wander(rng, t, 9)) + rng.uniform(0.1, 0.6) * steam)


def doorbell(rng: Rng, seconds: float) -> Audio:
    """Two to four struck bars, each ringing off."""
    t = _time(seconds)
    wave = np.zeros(t.size)
    start, note = rng.uniform(0, 0.3), rng.uniform(450, 1000)
    for _ in range(rng.integers(2, 5)):
        age = np.maximum(t - start, 0)
        for order, loud in ((1, 1.0), (2.76, 0.4), (5.4, 0.15)):
            wave += (
                (t >= start)
                * loud
                * np.exp(-age * rng.uniform(2, 5))
                * np.sin(2 * np.pi * note * order * age)
            )
        start, note = start + rng.uniform(0.25, 0.7), note * rng.choice([0.63, 0.75, 0.8, 1.25, 1.33])
    return _peak_one(wave)


def telephone(rng: Rng, seconds: float) -> Audio:
    """A melody or trill of short notes with pauses."""
    t = _time(seconds)
    step, base = rng.uniform(0.07, 0.2), rng.uniform(500, 1400)
    notes = base * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 12], int(seconds / step) + 1) / 12)
    which = (t / step).astype(int)
    gate = (t % step < step * rng.uniform(0.6, 1)) * ((t + rng.random()) % 2.4 < rng.uniform(0.8, 1.6))
    wave = np.sin(_angle(notes[which])) + rng.uniform(0, 0.5) * np.sin(2 * _angle(notes[which]))
    return _peak_one(wave * _smooth(gate.astype(float)))


def bird(rng: Rng, seconds: float) -> Audio:
    """Chirps of 2 to 6 kHz, each with its own slide."""
    t = _time(seconds)
    wave = np.zeros(t.size)
    for _ in range(rng.integers(3, 14)):
        start, length = rng.uniform(0, seconds - 0.1), rng.uniform(0.03, 0.3)
        part = (t >= start) & (t < start + length)
        age = t[part] - start
        first, last = rng.uniform(1800, 6000, 2)
        hertz = first + (last - first) * age / length + 200 * np.sin(2 * np.pi * rng.uniform(5, 40) * age)
        wave[part] += rng.uniform(0.3, 1) * np.sin(_angle(hertz)) * np.sin(np.pi * age / length)
    return _peak_one(wave)


def singing(rng: Rng, seconds: float) -> Audio:
    """Long notes with vibrato: a voice, a violin, a flute on the radio."""
    t = _time(seconds)
    length = rng.uniform(0.3, 1.2)
    notes = rng.uniform(200, 800) * 2 ** (rng.choice([0, 2, 3, 5, 7, 10], int(seconds / length) + 1) / 12)
    hertz = notes[(t / length).astype(int)] * (
        1 + rng.uniform(0, 0.02) * np.sin(2 * np.pi * rng.uniform(4, 7) * t)
    )
    loud = np.abs(np.sin(np.pi * t / length)) ** rng.uniform(0.2, 1)
    wave = sum(
        rng.uniform(0.1, 1) * k ** -rng.uniform(0.7, 1.5) * np.sin(k * _angle(hertz)) for k in range(1, 8)
    )
    return _peak_one(loud * wave)


def wind_instrument(rng: Rng, seconds: float) -> Audio:
    """A flute, a trumpet, an organ: held notes that step, with breath."""
    t = _time(seconds)
    starts = np.cumsum(rng.uniform(0.15, 0.9, 16))
    which = np.searchsorted(starts, t)
    notes = rng.uniform(220, 1100) * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 12], 17) / 12)
    age = t - np.concatenate([[0.0], starts])[which]
    brass = rng.uniform(0.6, 2.5)
    wave = sum(k**-brass * np.sin(k * _angle(notes[which]) + rng.random() * 6) for k in range(1, 9))
    return _peak_one(
        np.minimum(age / rng.uniform(0.01, 0.08), 1) * wave + rng.uniform(0, 0.1) * _rough(rng, t.size)
    )


def car_horn(rng: Rng, seconds: float) -> Audio:
    """One to three blows of two rough notes a third apart."""
    t = _time(seconds)
    note = rng.uniform(280, 520)
    gate = np.zeros(t.size)
    start = rng.uniform(0, 0.4)
    for _ in range(rng.integers(1, 4)):
        length = rng.uniform(0.1, 1.6)
        gate[(t >= start) & (t < start + length)] = 1.0
        start += length + rng.uniform(0.1, 0.6)
    fall = rng.uniform(0.2, 0.9)
    notes = (note, note * rng.uniform(1.15, 1.3))
    wave = sum(
        k**-fall * np.sin(2 * np.pi * k * n * t + rng.random() * 6) for n in notes for k in range(1, 12)
    )
    return _peak_one(wave * _smooth(gate))


def test_tone(rng: Rng, seconds: float) -> Audio:
    """One pure note, held or cut once: a bleep over a word, a hum, a feedback."""
    t = _time(seconds)
    first, last = np.sort(rng.uniform(-0.5, seconds + 0.5, 2))
    gate = ((t >= first) & (t < max(last, first + 0.2))).astype(float)
    note = float(np.exp(rng.uniform(np.log(100), np.log(4000))))
    return _peak_one(np.sin(2 * np.pi * note * t) * _smooth(gate) + 1e-3 * rng.standard_normal(t.size))


def engine(rng: Rng, seconds: float) -> Audio:
    """A motor under changing load: saw, mixer, motorcycle, aircraft."""
    t = _time(seconds)
    revs = rng.uniform(25, 160) * (1 + rng.uniform(0, 0.5) * _wander(rng, t, rng.uniform(0.3, 2)))
    wave = sum(
        k ** -rng.uniform(0.5, 1.2) * np.sin(k * _angle(revs) + rng.random() * 6) for k in range(1, 24)
    )
    return _peak_one(wave + rng.uniform(0.3, 2) * _rough(rng, t.size))


def rain(rng: Rng, seconds: float) -> Audio:
    """Broad hiss with drops."""
    t = _time(seconds)
    drops = rng.standard_normal(t.size) * (rng.random(t.size) < rng.uniform(0.001, 0.02)) * rng.uniform(2, 10)
    return _peak_one(_rough(rng, t.size) + signal.lfilter([1], [1, -0.8], drops))


def bang(rng: Rng, seconds: float) -> Audio:
    """Fireworks, a shot, a slammed lid: a crack and its rumble."""
    t = _time(seconds)
    age = np.maximum(t - rng.uniform(0.05, 0.6), 0)
    crack = rng.standard_normal(t.size) * (age > 0) * np.exp(-age / rng.uniform(0.005, 0.05))
    low = signal.lfilter(*signal.butter(2, rng.uniform(80, 400), fs=SAMPLE_HZ), rng.standard_normal(t.size))
    return _peak_one(crack + rng.uniform(1, 15) * low * (age > 0) * np.exp(-age / rng.uniform(0.1, 0.7)))


def television(rng: Rng, seconds: float) -> Audio:
    """Speech over music, as a set in the room plays it."""
    talk, tune = sound.speech(rng, seconds), sound.music(rng, seconds)
    return _peak_one(talk + np.float32(rng.uniform(0.1, 0.8)) * tune)


NOT_ALARMS: Final[tuple[Callable[[Rng, float], Audio], ...]] = (
    kettle_whistle,
    doorbell,
    telephone,
    bird,
    singing,
    wind_instrument,
    car_horn,
    test_tone,
    engine,
    rain,
    television,
)


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * SAMPLE_HZ)) / SAMPLE_HZ


def _angle(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    angle: NDArray[np.float64] = 2 * np.pi * np.cumsum(hertz) / SAMPLE_HZ
    return angle


def _wander(rng: Rng, t: NDArray[np.float64], hertz: float) -> NDArray[np.float64]:
    knots = rng.uniform(-1, 1, max(int(t[-1] * hertz), 1) + 2)
    curve: NDArray[np.float64] = np.interp(t, np.linspace(0, t[-1], knots.size), knots)
    return curve


def _rough(rng: Rng, samples: int) -> NDArray[np.float64]:
    """Noise of a random colour."""
    low = rng.uniform(60, 800)
    sos = signal.butter(1, [low, rng.uniform(2 * low, 7900)], "bandpass", fs=SAMPLE_HZ, output="sos")
    noise: NDArray[np.float64] = signal.sosfilt(sos, rng.standard_normal(samples))
    return noise


def _smooth(gate: NDArray[np.float64]) -> NDArray[np.float64]:
    ramp = np.hanning(120)
    smooth: NDArray[np.float64] = signal.fftconvolve(gate, ramp / ramp.sum(), mode="same")
    return smooth


def _peak_one(wave: NDArray[np.floating]) -> Audio:
    return (wave / (np.abs(wave).max() + 1e-12)).astype(np.float32)
