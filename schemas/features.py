"""Readings → what the models see: the one module that gateway, pipeline and training share.

Changing anything here changes what every model means: raise `FEATURE_VERSION` and retrain
(`make models`); `serving.registry` refuses weights of another version. numpy only.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Final, Literal

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
    """int16[4800] PIR waveform in ADC counts → float32[len(MOTION_FEATURES)].

    Raises:
        BadInput: Another shape.
    """
    _check_shape("pir", pir, PIR_SHAPE)
    wave = pir.astype(np.float32)
    wave -= wave.mean()
    seconds = wave.reshape(-1, PIR_HZ)
    swing = seconds.max(axis=1) - seconds.min(axis=1)
    active = swing > PIR_ACTIVE_COUNTS
    bursts = int(active[0]) + int((active[1:] & ~active[:-1]).sum())
    spectrum = np.fft.rfft(wave)
    power = (spectrum.real**2 + spectrum.imag**2) / wave.size**2
    edges = _pir_edges()
    energy = np.add.reduceat(power[: edges[-1]], edges[:-1])
    total = energy.sum() + 1e-6
    centroid = float((energy * _pir_centres()).sum() / total)
    values = [
        np.log1p(np.abs(wave).max()),
        np.log1p(wave.std()),
        np.log1p(np.partition(swing, 15)[15]),
        active.mean(),
        bursts / 10.0,
        np.log1p(np.abs(np.diff(wave)).mean()),
        *np.log1p(energy),
        np.log1p(centroid),
    ]
    return np.array(values, np.float32)


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
    """float32[60, 6] → float32[24]: last value, change over the minute, spread, steepest 10 s.

    Each is divided by its channel's unit and squeezed by asinh, which is linear near zero and
    logarithmic for a fire's hundreds.

    Raises:
        BadInput: Another shape, or a value that is not finite.
    """
    _check_shape("air", samples, AIR_SHAPE)
    if not np.isfinite(samples).all():
        raise BadInput("air holds a value that is not finite, limit: finite numbers")
    scaled = (samples - _AIR_ZERO) / _AIR_UNIT
    tens = scaled.reshape(6, 10, 6).mean(axis=1)  # six means of 10 s
    steps = np.diff(tens, axis=0)
    rise = np.take_along_axis(steps, np.abs(steps).argmax(axis=0)[None], axis=0)[0]
    spread = scaled.max(axis=0) - scaled.min(axis=0)
    stacked = np.concatenate([scaled[-5:].mean(axis=0), tens[-1] - tens[0], spread, rise])
    return np.arcsinh(stacked).astype(np.float32)


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


def contact_features(accel: NDArray[np.int16], is_open: bool, changes: int) -> NDArray[np.float32]:
    """int16[1500, 3] acceleration in mg, reed state, flips in the minute → float32[10].

    Raises:
        BadInput: Another shape, or a negative count.
    """
    _check_shape("accel", accel, ACCEL_SHAPE)
    if changes < 0:
        raise BadInput(f"changes is {changes}, limit 0 or more")
    wave = accel.astype(np.float32)
    jerk = np.sqrt((np.diff(wave, axis=0, prepend=wave[:1]) ** 2).sum(axis=1))
    fifths = jerk.reshape(-1, ACCEL_HZ // 5).max(axis=1)  # peaks of 0.2 s
    hit = fifths > CONTACT_IMPACT_MG
    onsets = int(hit[0]) + int((hit[1:] & ~hit[:-1]).sum())
    by_second = fifths.reshape(-1, 5)
    shaken = (by_second > CONTACT_IMPACT_MG).any(axis=1)
    peaks = np.partition(by_second.max(axis=1), -2)
    halves = wave.reshape(125, -1, 3).mean(axis=1)  # of 0.48 s
    sway = np.sqrt((np.diff(halves, axis=0) ** 2).sum(axis=1)).max()
    tilt = np.sqrt(((wave[-50:].mean(axis=0) - wave[:50].mean(axis=0)) ** 2).sum())
    values = [
        np.log1p(peaks[-1]),
        np.log1p(np.sqrt((jerk**2).mean())),
        np.log1p(onsets),
        shaken.mean() * 6.0,
        np.log1p(peaks[-2]),
        _longest_run(shaken) / 10.0,
        np.log1p(sway),
        np.log1p(tilt),
        float(is_open),
        np.log1p(changes),
    ]
    return np.array(values, np.float32)


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return int((edges[1::2] - edges[::2]).max(initial=0))


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
    if reading.WhichOneof("payload") != family:
        raise BadInput(f"payload is {reading.WhichOneof('payload')}, model family is {family}")
    if family == "sound":
        return log_mel(reading.sound)
    if family == "motion":
        pir = pir_waveform(reading.motion)
        return None if pir is None else motion_features(pir)
    if family == "air":
        return air_features(air_samples(reading.air))
    if family == "contact":
        contact = reading.contact
        accel = acceleration(contact)
        return None if accel is None else contact_features(accel, contact.open, len(contact.changes_ms))
    raise BadInput(f"family is {family!r}, known families {sorted(READING_KINDS.values())}")


def _check_shape(name: str, array: NDArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise BadInput(f"{name} has shape {array.shape}, limit exactly {shape}")
