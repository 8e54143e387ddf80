"""What a microphone in a room makes of sounds: reverberation, level, background, a minute's reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from local.signals.sound import Audio, Rng, pink
from schemas.features import CLIP_SAMPLES, FULL_SCALE_DB_SPL, SAMPLE_HZ, log_mel_of
from schemas.readings import LEVEL_STEP_DBA, SECONDS

SELF_NOISE_DBA: Final = 29.0  # of a MEMS microphone with 65 dB(A) signal to noise
QUIET_ROOM_DBA: Final = (30.0, 42.0)  # bedroom at night … living room by day
_SILENT: Final = 1e-12


@dataclass(frozen=True)
class Clip:
    """A sound in a minute.

    Attributes:
        start_s: When it starts, in [0, 60).
        audio: float32 at 16 kHz, of any level.
        level_dba: dB(A) at the microphone of its loudest second.
        lasts_s: It repeats until then (an alarm, a vacuum cleaner); None: it sounds once.
    """

    start_s: float
    audio: Audio
    level_dba: float
    lasts_s: float | None = None

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return self.audio.size / SAMPLE_HZ if self.lasts_s is None else self.lasts_s


def level_dba(audio: Audio) -> float:
    """A-weighted level of a whole clip in dB(A); full scale is 120 dB SPL (schemas.features)."""
    spectrum = np.abs(np.fft.rfft(audio)) ** 2 * _a_weight(audio.size)
    power = 2.0 * spectrum.sum() / audio.size**2
    return float(10 * np.log10(max(power, _SILENT * _SILENT)) + FULL_SCALE_DB_SPL + 3.01)


def set_level(audio: Audio, dba: float) -> Audio:
    """Scale so that the loudest second reads `dba`."""
    loudest = max(level_dba(part) for part in _seconds(audio))
    return (audio * np.float32(10 ** ((dba - loudest) / 20))).astype(np.float32)


def ambient(rng: Rng, seconds: float, dba: float) -> Audio:
    """A room's background: pink noise with a little mains hum, at `dba`."""
    samples = int(seconds * SAMPLE_HZ)
    hum = np.sin(2 * np.pi * 100 * np.arange(samples) / SAMPLE_HZ + rng.random() * 6)
    wave = pink(rng, samples) + np.float32(rng.uniform(0, 0.5)) * hum
    return _scaled(wave.astype(np.float32), dba)


def room_response(rng: Rng) -> Audio:
    """An impulse response: direct sound, then decaying noise with RT60 0.2–0.8 s (furnished rooms)."""
    rt60 = rng.uniform(0.2, 0.8)
    t = np.arange(int(min(rt60, 0.5) * SAMPLE_HZ)) / SAMPLE_HZ
    tail = rng.standard_normal(t.size) * 10 ** (-3 * t / rt60)
    tail *= 10 ** (-rng.uniform(-3, 12) / 20) / np.sqrt((tail**2).sum())  # direct to reverberant, dB
    tail[0] = 1.0
    return tail.astype(np.float32)


def in_room(rng: Rng, audio: Audio) -> Audio:
    """A sound as it reaches a microphone: reverberant, and dull where a wall or a bag is between."""
    wet = signal.fftconvolve(audio, room_response(rng))[: audio.size]
    if rng.random() < 0.3:
        wet = signal.lfilter(*signal.butter(1, rng.uniform(2500, 7000), fs=SAMPLE_HZ), wet)
    return wet.astype(np.float32)


def microphone(audio: Audio) -> Audio:
    """Clip at full scale and quantise to 16 bits."""
    return (np.rint(np.clip(audio, -1, 1) * 32767) / 32767).astype(np.float32)


def minute_sound(
    rng: Rng, clips: Sequence[Clip], quiet_dba: float | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """A minute at a microphone → (log_mel uint8[160, 64], levels uint8[60], loudest_ms).

    Only the loudest 1.6 s is rendered; the levels of the other seconds follow from the background's
    statistics and each clip's own level by the second.

    Args:
        quiet_dba: Level of the background; None draws one from `QUIET_ROOM_DBA`.
    """
    background = rng.uniform(*QUIET_ROOM_DBA) if quiet_dba is None else quiet_dba
    power = 10 ** (np.maximum(background, SELF_NOISE_DBA) / 10) * rng.lognormal(0, 0.2, SECONDS)
    placed = [(clip, set_level(in_room(rng, clip.audio), clip.level_dba)) for clip in clips]
    for clip, audio in placed:
        _add_levels(power, clip, audio)
    levels = np.clip(np.rint(10 * np.log10(power) / LEVEL_STEP_DBA), 0, 255).astype(np.uint8)
    start = _loudest_start(rng, placed, background)
    heard = ambient(rng, CLIP_SAMPLES / SAMPLE_HZ, max(background, SELF_NOISE_DBA))
    for clip, audio in placed:
        heard += _overlap(clip, audio, start)
    return log_mel_of(microphone(heard)), levels, start * 1000 // SAMPLE_HZ


def _add_levels(power: NDArray, clip: Clip, audio: Audio) -> None:
    parts = [10 ** (level_dba(part) / 10) for part in _seconds(audio)]
    first = int(clip.start_s)
    last = min(int(np.ceil(clip.start_s + clip.seconds)), SECONDS)
    for second in range(first, last):
        covered = min(second + 1, clip.start_s + clip.seconds) - max(second, clip.start_s)
        power[second] += covered * parts[(second - first) % len(parts)]


def _loudest_start(rng: Rng, placed: list[tuple[Clip, Audio]], background: float) -> int:
    """Sample at which the loudest 1.6 s of the minute start."""
    latest = SECONDS * SAMPLE_HZ - CLIP_SAMPLES
    if not placed or max(clip.level_dba for clip, _ in placed) < background - 5:
        return int(rng.integers(0, latest))
    clip, audio = max(placed, key=lambda pair: pair[0].level_dba)
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    offsets = np.arange(0, max(audio.size - CLIP_SAMPLES, 0) + 1, SAMPLE_HZ // 20)
    sums = energy[np.minimum(offsets + CLIP_SAMPLES, audio.size)] - energy[offsets]
    lead = 0 if audio.size >= CLIP_SAMPLES else int(rng.uniform(0, 1) * (CLIP_SAMPLES - audio.size))
    start = int(clip.start_s * SAMPLE_HZ) + int(offsets[sums.argmax()]) - lead
    return int(np.clip(start, 0, latest))


def _overlap(clip: Clip, audio: Audio, start: int) -> Audio:
    """What of a clip sounds within the 1.6 s from sample `start` of the minute."""
    since = np.arange(start, start + CLIP_SAMPLES) - int(clip.start_s * SAMPLE_HZ)
    sounding = (since >= 0) & (since < int(clip.seconds * SAMPLE_HZ))
    return np.where(sounding, audio[since % audio.size], np.float32(0)).astype(np.float32)


def _seconds(audio: Audio) -> list[Audio]:
    whole = max(audio.size // SAMPLE_HZ, 1)
    return [part for part in np.array_split(audio, whole) if part.size]


def _scaled(audio: Audio, dba: float) -> Audio:
    return (audio * np.float32(10 ** ((dba - level_dba(audio)) / 20))).astype(np.float32)


@cache
def _a_weight(samples: int) -> NDArray[np.float64]:
    """IEC 61672-1 A-weighting, as a power gain for each rfft bin."""
    squared = np.fft.rfftfreq(samples, 1 / SAMPLE_HZ) ** 2
    gain = (12194.0**2 * squared**2) / (
        (squared + 20.6**2) * np.sqrt((squared + 107.7**2) * (squared + 737.9**2)) * (squared + 12194.0**2)
    )
    return (gain * 10 ** (2.0 / 20)) ** 2
