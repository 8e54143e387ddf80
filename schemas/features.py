"""Readings → what the models see: the one module that gateway, pipeline and training share.

Changing anything here changes what every model means: raise `FEATURE_VERSION` and retrain
(`make models`); `serving.cards` refuses weights of another version. numpy only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.readings import (
    ACCEL_HZ,
    ACCEL_SHAPE,
    AIR_CHANNELS,
    AIR_SHAPE,
    LOG_MEL_SHAPE,
    PIR_HZ,
    PIR_SHAPE,
    READING_KINDS,
    acceleration,
    air_samples,
    log_mel,
    pir_waveform,
)

FEATURE_VERSION: Final = 1
Family = Literal["sound", "motion", "air", "contact"]

SAMPLE_HZ: Final = 16_000
HOP: Final = 160  # 10 ms
WINDOW: Final = 400  # 25 ms, Hann
FFT: Final = 512
CLIP_SAMPLES: Final = LOG_MEL_SHAPE[0] * HOP  # 1.6 s
MEL_LOW_HZ: Final = 50.0
MEL_HIGH_HZ: Final = 7_800.0
MEL_FLOOR_DB: Final = -120.0  # uint8 0; 255 is 0 dB, the band of a full-scale sine
# A MEMS microphone of -26 dBFS at 94 dB SPL (typical data sheet): full scale is 120 dB SPL.
FULL_SCALE_DB_SPL: Final = 120.0


def log_mel_of(audio: NDArray[np.float32]) -> NDArray[np.uint8]:
    """float32[25600] audio at 16 kHz, full scale ±1 → uint8[160, 64] log-mel, one frame each 10 ms.

    64 triangular bands, equally spaced on the HTK mel scale 2595·log10(1 + f/700) from 50 to
    7,800 Hz; 25 ms Hann windows, zero padded at both ends so that frame i is centred on i + ½ hops.
    A band's power in dB, 0 dB = a sine of full scale; uint8 = 255·(dB + 120)/120, clipped.

    Raises:
        BadInput: Another shape, or a sample that is not finite.
    """
    if audio.shape != (CLIP_SAMPLES,):
        raise BadInput(f"audio has shape {audio.shape}, limit exactly ({CLIP_SAMPLES},)")
    if not np.isfinite(audio).all():
        raise BadInput(f"audio has {int((~np.isfinite(audio)).sum())} samples that are not finite, limit 0")
    padded = np.pad(audio.astype(np.float32, copy=False), (WINDOW - HOP) // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * _hann(), FFT, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) @ _mel_bands()
    decibels = 10.0 * np.log10(np.maximum(power, 10 ** (MEL_FLOOR_DB / 10)))
    return np.clip(np.rint((decibels - MEL_FLOOR_DB) * (255.0 / -MEL_FLOOR_DB)), 0, 255).astype(np.uint8)


@cache
def _hann() -> NDArray[np.float32]:
    """Hann window scaled so that a full-scale sine has power 1 at its bin."""
    window = np.hanning(WINDOW + 1)[:-1]
    return (window * 2.0 / window.sum()).astype(np.float32)


@cache
def _mel_bands() -> NDArray[np.float32]:
    """float32[257, 64]: weight of each FFT bin in each mel band, peak 1."""
    edges_mel = np.linspace(_mel(MEL_LOW_HZ), _mel(MEL_HIGH_HZ), LOG_MEL_SHAPE[1] + 2)
    edges_hz = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    # The lowest bands are narrower than a bin (31 Hz): evaluate triangles no narrower than one bin.
    bins = np.arange(FFT // 2 + 1)[:, None] * (SAMPLE_HZ / FFT)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    low = np.minimum(low, centre - SAMPLE_HZ / FFT)
    high = np.maximum(high, centre + SAMPLE_HZ / FFT)
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _mel(hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


# PIR: energy of the waveform by frequency. Draughts drift below 0.3 Hz, a walking person crosses
# zones at about 0.5-2 Hz, a pet (low, quick) at 2-5 Hz.
PIR_BANDS_HZ: Final = (0.03, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 8.0)
PIR_ACTIVE_COUNTS: Final = 60  # peak to peak within a second; noise stays below about 40
MOTION_FEATURES: Final = (
    "log_peak",
    "log_rms",
    "log_quiet_ptp",
    "active_fraction",
    "bursts",
    "log_diff",
    *(f"log_energy_{low:g}_{high:g}_hz" for low, high in itertools.pairwise(PIR_BANDS_HZ)),
    "log_centroid_hz",
)


def motion_features(pir: NDArray[np.int16]) -> NDArray[np.float32]:
    """int16[…, 4800] PIR waveforms in ADC counts → float32[…, len(MOTION_FEATURES)].

    Raises:
        BadInput: Another shape.
    """
    _check_shape("pir", pir, PIR_SHAPE)
    if pir.ndim == 1:
        return motion_features(pir[None])[0]
    wave = pir.astype(np.float32)
    wave -= wave.mean(axis=1, keepdims=True)
    seconds = wave.reshape(len(wave), -1, PIR_HZ)
    highest, lowest = _fold(np.maximum, seconds), _fold(np.minimum, seconds)
    swing = highest - lowest
    active = swing > PIR_ACTIVE_COUNTS
    spectrum = np.fft.rfft(wave, axis=1)[:, : _pir_edges()[-1]]
    power = (spectrum.real**2 + spectrum.imag**2) / PIR_SHAPE[0] ** 2
    energy = np.add.reduceat(power, _pir_edges()[:-1], axis=1)
    centroid = (energy * _pir_centres()).sum(axis=1) / (energy.sum(axis=1) + np.float32(1e-6))
    steps = wave[:, 1:] - wave[:, :-1]
    made = np.empty((len(wave), len(MOTION_FEATURES)), np.float32)
    made[:, 0] = np.log1p(np.maximum(highest.max(axis=1), -lowest.min(axis=1)))
    made[:, 1] = np.log1p(_rms(wave))
    made[:, 2] = np.log1p(np.partition(swing, 15, axis=1)[:, 15])
    made[:, 3] = active.mean(axis=1)
    made[:, 4] = _onsets(active) / 10.0
    made[:, 5] = np.log1p(np.abs(steps, out=steps).mean(axis=1))
    made[:, 6:-1] = np.log1p(energy)
    made[:, -1] = np.log1p(centroid)
    return made


@cache
def _pir_edges() -> NDArray[np.intp]:
    return np.rint(np.array(PIR_BANDS_HZ) * (PIR_SHAPE[0] / PIR_HZ)).astype(np.intp)


@cache
def _pir_centres() -> NDArray[np.float32]:
    bands = np.array(PIR_BANDS_HZ, np.float32)
    return np.sqrt(bands[:-1] * bands[1:])


# Unit of each air channel in its features: a step that matters in a home is of order one.
_AIR_UNIT: Final = np.array([500.0, 20.0, 100.0, 10.0, 20.0, 5.0], np.float32)
_AIR_ZERO: Final = np.array([420.0, 0.0, 100.0, 21.0, 45.0, 1013.0], np.float32)
AIR_FEATURES: Final = tuple(
    f"{channel.name}_{what}" for what in ("last", "change", "spread", "rise_10s") for channel in AIR_CHANNELS
)


def air_features(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[…, 60, 6] → float32[…, 24]: last value, change over the minute, spread, steepest 10 s.

    Each is divided by its channel's unit and squeezed by asinh, which is linear near zero and
    logarithmic for a fire's hundreds.

    Raises:
        BadInput: Another shape, or a value that is not finite.
    """
    _check_shape("air", samples, AIR_SHAPE)
    if samples.ndim == 2:
        return air_features(samples[None])[0]
    if not np.isfinite(samples).all():
        raise BadInput("air holds a value that is not finite, limit: finite numbers")
    scaled = (samples - _AIR_ZERO) / _AIR_UNIT
    tens = scaled.reshape(-1, 6, 10, 6).mean(axis=2)  # six means of 10 s
    steps = np.diff(tens, axis=1)
    rise = np.take_along_axis(steps, np.abs(steps).argmax(axis=1)[:, None], axis=1)[:, 0]
    spread = scaled.max(axis=1) - scaled.min(axis=1)
    last, change = scaled[:, -5:].mean(axis=1), tens[:, -1] - tens[:, 0]
    return np.arcsinh(np.concatenate([last, change, spread, rise], axis=1)).astype(np.float32)


_Flags = Sequence[bool] | NDArray[np.bool_]
_Counts = Sequence[int] | NDArray[np.int_]
CONTACT_IMPACT_MG: Final = 60.0  # step between two samples; sensor noise stays below about 20 mg
CONTACT_FEATURES: Final = (
    "log_peak_step_mg",
    "log_rms_step_mg",
    "impacts",
    "impact_seconds",
    "log_second_peak_mg",
    "longest_shake_s",
    "log_sway_mg",
    "log_tilt_mg",
    "open",
    "changes",
)


def contact_features(
    accel: NDArray[np.int16], is_open: bool | _Flags, changes: int | _Counts
) -> NDArray[np.float32]:
    """int16[…, 1500, 3] acceleration in mg, […] reed state, […] flips in the minute → float32[…, 10].

    Raises:
        BadInput: Another shape, or a negative count.
    """
    _check_shape("accel", accel, ACCEL_SHAPE)
    flips = np.atleast_1d(changes)
    if flips.min(initial=0) < 0:
        raise BadInput(f"changes is {flips.min()}, limit 0 or more")
    if accel.ndim == 2:
        return contact_features(accel[None], np.atleast_1d(is_open), flips)[0]
    wave = np.ascontiguousarray(np.moveaxis(accel, 2, 1)).astype(np.float32)  # [n, 3, 1500]
    # The first sample has none before it: its step is 0.
    jerk = np.zeros((len(wave), ACCEL_SHAPE[0]), np.float32)
    jerk[:, 1:] = _length(wave[..., 1:] - wave[..., :-1])
    fifths = _fold(np.maximum, jerk.reshape(len(wave), -1, ACCEL_HZ // 5))  # peaks of 0.2 s
    by_second = fifths.reshape(len(wave), -1, 5)
    shaken: NDArray[np.bool_] = np.any(by_second > CONTACT_IMPACT_MG, axis=2)
    peaks = np.partition(by_second.max(axis=2), -2, axis=1)
    halves = _fold(np.add, wave.reshape(len(wave), 3, 125, -1)) / np.float32(12)  # of 0.48 s
    made = np.empty((len(wave), len(CONTACT_FEATURES)), np.float32)
    made[:, 0] = np.log1p(peaks[:, -1])
    made[:, 1] = np.log1p(_rms(jerk))
    made[:, 2] = np.log1p(_onsets(fifths > CONTACT_IMPACT_MG))
    made[:, 3] = shaken.mean(axis=1) * 6.0
    made[:, 4] = np.log1p(peaks[:, -2])
    made[:, 5] = [_longest_run(shaken[row]) / 10.0 for row in range(len(wave))]
    made[:, 6] = np.log1p(_length(np.diff(halves, axis=2)).max(axis=1))
    made[:, 7] = np.log1p(_length(wave[..., -50:].mean(axis=2) - wave[..., :50].mean(axis=2)))
    made[:, 8] = is_open
    made[:, 9] = np.log1p(flips)
    return made


def _rms(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n, m] → float32[n]."""
    mean: NDArray[np.float32] = np.square(waves).mean(axis=1)
    return np.sqrt(mean)


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n, 3, m] → float32[n, m]."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    length: NDArray[np.float32] = np.sqrt(x * x + y * y + z * z)
    return length


def _fold(join: np.ufunc, groups: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[…, m] → float32[…], the last axis joined.

    By halves while it has halves, then one by one: numpy's own `reduce` over a short last axis takes
    three to ten times as long.
    """
    while groups.shape[-1] % 2 == 0:
        half = groups.shape[-1] // 2
        groups = join(groups[..., :half], groups[..., half:])
    joined: NDArray[np.float32] = groups[..., 0]
    for place in range(1, groups.shape[-1]):
        joined = join(joined, groups[..., place])
    return joined


def _onsets(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """bool[n, m] → how often each row turns true; true at its start counts."""
    turned: NDArray[np.intp] = (flags[:, 1:] & ~flags[:, :-1]).sum(axis=1)
    return turned + flags[:, 0]


def _longest_run(flags: NDArray[np.bool_]) -> int:
    if not flags.any():
        return 0
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return int((edges[1::2] - edges[::2]).max())


FEATURE_NAMES: Final = {"motion": MOTION_FEATURES, "air": AIR_FEATURES, "contact": CONTACT_FEATURES}


def input_shape(family: str) -> tuple[int, ...]:
    """Shape of one model input of a family.

    >>> input_shape("sound"), input_shape("air")
    ((160, 64), (24,))

    Raises:
        BadInput: No such family.
    """
    if family == "sound":
        return LOG_MEL_SHAPE
    if family not in FEATURE_NAMES:
        raise BadInput(f"family is {family!r}, known families {sorted(READING_KINDS.values())}")
    return (len(FEATURE_NAMES[family]),)


def model_input(family: str, reading: pb.Reading) -> NDArray | None:
    """A reading → the input of its family's model, None when the device sends no waveform.

    uint8[160, 64] for sound; float32 features for motion, air and contact.

    Raises:
        BadInput: The payload is of another kind, size or range, or there is no such family.
    """
    places, inputs = model_inputs(family, [reading])
    return inputs[0] if places else None


def model_inputs(family: str, readings: Sequence[pb.Reading]) -> tuple[list[int], NDArray]:
    """Readings of one family → places of those that have a waveform, and their inputs [n, *input_shape].

    Each row is what `model_input` makes of that reading alone, at a third of the cost.

    Raises:
        BadInput: As `model_input`, for any of the readings.
    """
    if family not in _WAVEFORMS:
        raise BadInput(f"family is {family!r}, known families {sorted(READING_KINDS.values())}")
    places, waves = [], []
    for place, reading in enumerate(readings):
        if reading.WhichOneof("payload") != family:
            raise BadInput(f"payload is {reading.WhichOneof('payload')}, model family is {family}")
        wave = _WAVEFORMS[family](getattr(reading, family))
        if wave is not None:
            places.append(place)
            waves.append(wave)
    parts = [
        _features(family, np.stack(waves[first : first + _AT_ONCE]), [readings[i] for i in part])
        for first, part in _parts(places)
    ]
    return places, np.concatenate(parts) if parts else np.zeros((0, *input_shape(family)), np.float32)


_AT_ONCE: Final = 16  # 16 waveforms of motion and what is made of them stay in a core's cache
_WAVEFORMS: Final[dict[str, Callable[[Any], NDArray | None]]] = {
    "sound": log_mel,
    "motion": pir_waveform,
    "air": air_samples,
    "contact": acceleration,
}


def _parts(places: list[int]) -> Iterator[tuple[int, list[int]]]:
    for first in range(0, len(places), _AT_ONCE):
        yield first, places[first : first + _AT_ONCE]


def _features(family: str, waves: NDArray, readings: list[pb.Reading]) -> NDArray:
    if family == "sound":
        return waves
    if family == "motion":
        return motion_features(waves)
    if family == "air":
        return air_features(waves)
    contacts = [reading.contact for reading in readings]
    return contact_features(waves, [c.open for c in contacts], [len(c.changes_ms) for c in contacts])


def _check_shape(name: str, array: NDArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape and array.shape[1:] != shape:
        raise BadInput(f"{name} has shape {array.shape}, limit exactly {shape}, or one more axis before")
