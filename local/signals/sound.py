"""Sounds of a home, synthesised: float32 mono at 16 kHz, peak about 1; `room` sets levels.

Every function takes a numpy Generator and draws a different example each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from schemas.features import SAMPLE_HZ

Audio = NDArray[np.float32]
Rng = np.random.Generator

T3_ON_S: Final = 0.5  # ISO 8201 / ANSI S3.41 temporal three: 3 × (0.5 on, 0.5 off), then 1.5 s off
T3_CYCLE_S: Final = 4.0
T4_ON_S: Final = 0.1  # NFPA 720 temporal four: 4 × (0.1 on, 0.1 off), then 5 s off
T4_CYCLE_S: Final = 5.8


def smoke_alarm_t3(rng: Rng, seconds: float, low_frequency: bool | None = None) -> Audio:
    """Temporal-three evacuation signal: 3.1 kHz piezo, or the 520 Hz square of a sleeping room."""
    t = _time(seconds)
    phase = t % T3_CYCLE_S
    gate = (phase < 3.0) & (phase % 1.0 < T3_ON_S)
    if low_frequency is None:
        low_frequency = rng.random() < 0.25
    tone = _square(t, 520.0 * rng.uniform(0.98, 1.02)) if low_frequency else _piezo(rng, t)
    return _peak_one(tone * _soften(gate))


def co_alarm_t4(rng: Rng, seconds: float) -> Audio:
    """Temporal-four carbon monoxide signal on a 3.1 kHz piezo."""
    t = _time(seconds)
    phase = t % T4_CYCLE_S
    gate = (phase < 0.8) & (phase % 0.2 < T4_ON_S)
    return _peak_one(_piezo(rng, t) * _soften(gate))


def siren(rng: Rng, seconds: float) -> Audio:
    """An emergency or burglar siren: wail, yelp, or two tones."""
    t = _time(seconds)
    low, high = rng.uniform(400, 800), rng.uniform(1000, 1800)
    style = rng.choice(["wail", "yelp", "hi_lo"])
    if style == "hi_lo":
        period = rng.uniform(0.6, 1.4)
        hertz = np.where((t / period) % 1 < 0.5, low, low * rng.uniform(1.2, 1.45))
    else:
        period = rng.uniform(2.5, 7.0) if style == "wail" else rng.uniform(0.2, 0.5)
        shape = signal.sawtooth(2 * np.pi * (t / period + rng.random()), width=rng.uniform(0.5, 0.9))
        hertz = low + (high - low) * (shape + 1) / 2
    angle = 2 * np.pi * np.cumsum(hertz) / SAMPLE_HZ
    harmonics = rng.uniform(0.05, 0.6, 4) * 0.8 ** np.arange(4)
    wave = np.sin(angle) + sum(a * np.sin((k + 2) * angle) for k, a in enumerate(harmonics))
    return _peak_one(wave)


def glass_break(rng: Rng) -> Audio:
    """A pane: dull impact, then a crack and a rain of ringing shards between 2 and 8 kHz (1–1.6 s)."""
    seconds = rng.uniform(1.0, 1.6)
    t = _time(seconds)
    wave = _thud(rng, t, 0.02, rng.uniform(80, 250), rng.uniform(0.03, 0.08)) * rng.uniform(0.2, 0.7)
    crack = rng.standard_normal(t.size) * np.exp(-np.maximum(t - 0.03, 0) / rng.uniform(0.02, 0.06))
    wave = wave + _band(crack * (t > 0.03), 1500, 7900) * rng.uniform(0.7, 1.3)
    for _ in range(rng.integers(40, 120)):
        start = 0.03 + rng.gamma(1.3, 0.18)
        if start < seconds - 0.01:
            _add_ring(wave, rng, start, rng.uniform(2000, 7800), rng.uniform(0.004, 0.04), start)
    return _peak_one(wave)


def _add_ring(wave: NDArray, rng: Rng, start: float, hertz: float, decay_s: float, age_s: float) -> None:
    first = int(start * SAMPLE_HZ)
    t = _time(min(6 * decay_s, (wave.size - first) / SAMPLE_HZ))
    loud = rng.lognormal(-1.2, 0.6) * np.exp(-age_s / 0.35)
    wave[first : first + t.size] += loud * np.exp(-t / decay_s) * np.sin(2 * np.pi * hertz * t)


def speech(rng: Rng, seconds: float) -> Audio:
    """Talking: glottal pulses through three formants, four syllables a second, with pauses and hiss."""
    t = _time(seconds)
    pitch = rng.uniform(85, 260)
    hertz = pitch * (1 + 0.15 * _slow(rng, t.size, 3.0))
    pulses = signal.sawtooth(2 * np.pi * np.cumsum(hertz) / SAMPLE_HZ)
    wave = np.zeros(t.size)
    step = int(SAMPLE_HZ * rng.uniform(0.18, 0.3))
    for first in range(0, t.size, step):
        part = slice(first, min(first + step, t.size))
        size = part.stop - part.start
        if rng.random() < 0.18:
            continue  # a pause
        envelope = np.sin(np.pi * np.arange(size) / size) ** 0.6 * rng.uniform(0.4, 1)
        if rng.random() < 0.2:
            wave[part] += 0.25 * envelope * _band(rng.standard_normal(size), 3000, 7500)
            continue
        formants = (rng.uniform(300, 850), rng.uniform(900, 2300), rng.uniform(2300, 3200))
        voiced = sum(_resonate(pulses[part], f, 90) * g for f, g in zip(formants, (1, 0.6, 0.3), strict=True))
        wave[part] += envelope * voiced
    return _peak_one(wave)


def dog_bark(rng: Rng, seconds: float = 2.0) -> Audio:
    """Barks of 0.1–0.25 s, one to four a second: a falling harmonic growl with noise."""
    wave = np.zeros(_time(seconds).size)
    pitch, length = rng.uniform(250, 900), rng.uniform(0.1, 0.25)
    start = rng.uniform(0, 0.2)
    while start < seconds - 0.05:
        first = int(start * SAMPLE_HZ)
        t = _time(min(length * rng.uniform(0.8, 1.2), seconds - start))
        sweep = pitch * (1 + 0.35 * np.sin(np.pi * np.minimum(t / length, 1)))
        voice = signal.sawtooth(2 * np.pi * np.cumsum(sweep) / SAMPLE_HZ)
        bark = voice + rng.uniform(0.3, 0.9) * rng.standard_normal(t.size)
        envelope = np.minimum(t / 0.015, 1) * np.exp(-t / (length * 0.5))
        shaped = _resonate(bark, rng.uniform(600, 1400), 500) + 0.4 * bark
        wave[first : first + t.size] += envelope * shaped
        start += length + rng.gamma(2.0, 0.12) + 0.05
    return _peak_one(wave)


def footsteps(rng: Rng, seconds: float) -> Audio:
    """Heel and sole, 1.6–2.2 a second."""
    t = _time(seconds)
    wave = np.zeros(t.size)
    pace, floor_hz = rng.uniform(1.6, 2.2), rng.uniform(60, 180)
    for start in np.arange(rng.uniform(0, 0.3), seconds - 0.05, 1 / pace):
        start += rng.normal(0, 0.02)
        wave += rng.uniform(0.6, 1) * _thud(rng, t, max(start, 0), floor_hz, 0.03)
        wave += 0.15 * _thud(rng, t, max(start, 0) + 0.09, 700, 0.015)
    return _peak_one(wave)


def knock(rng: Rng) -> Audio:
    """Two to five knuckles on wood."""
    count, pace = rng.integers(2, 6), rng.uniform(0.14, 0.32)
    t = _time(count * pace + 0.3)
    hertz = rng.uniform(150, 450)
    hits = (_thud(rng, t, 0.02 + k * pace + rng.normal(0, 0.01), hertz, 0.018) for k in range(count))
    return _peak_one(sum(hits, np.zeros(t.size)))


def door_slam(rng: Rng) -> Audio:
    """A leaf into its frame: one heavy thud, the latch, a rattle."""
    t = _time(1.0)
    wave = _thud(rng, t, 0.05, rng.uniform(50, 120), rng.uniform(0.05, 0.12))
    wave += 0.5 * _thud(rng, t, 0.05 + rng.uniform(0, 0.03), rng.uniform(900, 2200), 0.02)
    wave += 0.2 * _thud(rng, t, rng.uniform(0.12, 0.2), rng.uniform(300, 900), 0.03)
    return _peak_one(wave)


def fire_crackling(rng: Rng, seconds: float) -> Audio:
    """Burning: pops as a Poisson train of short broadband clicks over a low roar."""
    t = _time(seconds)
    wave = rng.uniform(0.02, 0.15) * _band(rng.standard_normal(t.size), 40, 500)
    for start in rng.uniform(0, seconds - 0.03, rng.poisson(rng.uniform(10, 45) * seconds)):
        first = int(start * SAMPLE_HZ)
        size = int(SAMPLE_HZ * rng.uniform(0.001, 0.012))
        click = rng.standard_normal(size) * np.exp(-4 * np.arange(size) / size)
        wave[first : first + size] += rng.lognormal(-1.5, 0.9) * click
    return _peak_one(_band(wave, 60, rng.uniform(4000, 7800)))


def vacuum(rng: Rng, seconds: float) -> Audio:
    """A universal motor's hum and a broad hiss of air."""
    t = _time(seconds)
    motor = rng.uniform(180, 420)
    hum = sum(np.sin(2 * np.pi * motor * k * t + rng.random() * 6) / k for k in range(1, 9))
    return _peak_one(0.3 * hum + _band(rng.standard_normal(t.size), 200, rng.uniform(3000, 7000)))


def cooking(rng: Rng, seconds: float) -> Audio:
    """Sizzling, and now and then a pan or a plate."""
    t = _time(seconds)
    wave = _band(rng.standard_normal(t.size) * (1 + 0.4 * _slow(rng, t.size, 8)), 1500, 7500) * 0.3
    for start in rng.uniform(0, max(seconds - 0.3, 0.1), rng.poisson(0.7 * seconds)):
        for hertz in rng.uniform(700, 5000, 4):
            _add_ring(wave, rng, start, hertz, rng.uniform(0.03, 0.15), 0.0)
    return _peak_one(wave)


def music(rng: Rng, seconds: float) -> Audio:
    """Chords with a beat, as a radio in the room plays them."""
    t = _time(seconds)
    wave, beat = np.zeros(t.size), rng.uniform(0.3, 0.7)
    for start in np.arange(0, seconds, beat):
        age = np.maximum(t - start, 0)
        envelope = (t >= start) * np.exp(-age / beat)
        for note in rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 16, 19], 3, replace=False):
            hertz = 220 * 2 ** (note / 12) * rng.choice([0.5, 1, 2])
            wave += envelope * sum(np.sin(2 * np.pi * hertz * k * age) / k**1.5 for k in (1, 2, 3))
        wave += 0.5 * _thud(rng, t, start, 60, 0.06)
    return _peak_one(wave)


def beeps(rng: Rng, seconds: float) -> Audio:
    """A microwave or a timer: short beeps, not a temporal-three pattern; a hard negative."""
    t = _time(seconds)
    period = rng.uniform(0.25, 2.0)
    length = min(rng.uniform(0.05, 0.3), 0.45 * period)
    last = rng.integers(1, 6) * period
    gate = (t % period < length) & (t < last)
    return _peak_one(np.sin(2 * np.pi * rng.uniform(900, 2700) * t) * _soften(gate))


HOUSEHOLD: Final[tuple[Callable[[Rng, float], Audio], ...]] = (vacuum, cooking, music, beeps, footsteps)


def pink(rng: Rng, samples: int) -> Audio:
    """Noise of equal power per octave, RMS 1."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 1))
    wave = np.fft.irfft(spectrum, samples)
    return (wave / (wave.std() + 1e-12)).astype(np.float32)


def _time(seconds: float) -> NDArray[np.float64]:
    return np.arange(max(int(seconds * SAMPLE_HZ), 1)) / SAMPLE_HZ


def _soften(gate: NDArray) -> NDArray:
    """On/off with 5 ms ramps: a piezo does not click."""
    ramp = np.hanning(160)
    return signal.fftconvolve(gate.astype(float), ramp / ramp.sum(), mode="same")


def _piezo(rng: Rng, t: NDArray) -> NDArray:
    hertz = rng.uniform(2900, 3400)
    return np.sin(2 * np.pi * hertz * t) + rng.uniform(0.02, 0.25) * np.sin(4 * np.pi * hertz * t + 1)


def _square(t: NDArray, hertz: float) -> NDArray:
    """Band-limited: odd harmonics below Nyquist only."""
    orders = np.arange(1, int(SAMPLE_HZ / 2 / hertz), 2)
    return (np.sin(2 * np.pi * hertz * np.outer(orders, t)) / orders[:, None]).sum(axis=0)


def _thud(rng: Rng, t: NDArray, at_s: float, hertz: float, decay_s: float) -> NDArray:
    age = t - at_s
    struck = (age >= 0) * np.exp(-np.maximum(age, 0) / decay_s)
    return struck * (np.sin(2 * np.pi * hertz * age) + 0.4 * rng.standard_normal(t.size) * (age < 0.01))


def _band(wave: NDArray, low: float, high: float) -> NDArray:
    sos = signal.butter(2, [low, min(high, 7950)], "bandpass", fs=SAMPLE_HZ, output="sos")
    return signal.sosfilt(sos, wave)


def _resonate(wave: NDArray, hertz: float, width_hz: float) -> NDArray:
    b, a = signal.iirpeak(hertz, hertz / width_hz, fs=SAMPLE_HZ)
    return signal.lfilter(b, a, wave)


def _slow(rng: Rng, samples: int, hertz: float) -> NDArray:
    """A random curve between about -1 and 1 that wanders at `hertz`."""
    knots = max(int(samples / SAMPLE_HZ * hertz), 1) + 2
    return np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), rng.uniform(-1, 1, knots))


def _peak_one(wave: NDArray) -> Audio:
    return (wave / (np.abs(wave).max() + 1e-12)).astype(np.float32)
