"""Arrays of a reading in and out of bytes, and the check of a whole reading.

Shapes, units and ranges are in `schemas/payloads.py`, whose names this module hands on: who works with
arrays imports all from here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.payloads import (
    ACCEL_HZ,
    ACCEL_SHAPE,
    AIR_CHANNELS,
    AIR_SHAPE,
    ALL_SECONDS,
    HOUR_US,
    LEVEL_STEP_DBA,
    LOG_MEL_SHAPE,
    MAX_ID_CHARS,
    MINUTE_US,
    PIR_HZ,
    PIR_SHAPE,
    READING_KINDS,
    SECONDS,
    Channel,
    check_origin,
    check_size,
    reading_id,
)

__all__ = [
    "ACCEL_HZ",
    "ACCEL_SHAPE",
    "AIR_CHANNELS",
    "AIR_SHAPE",
    "ALL_SECONDS",
    "HOUR_US",
    "LEVEL_STEP_DBA",
    "LOG_MEL_SHAPE",
    "MAX_ID_CHARS",
    "MINUTE_US",
    "PIR_HZ",
    "PIR_SHAPE",
    "READING_KINDS",
    "SECONDS",
    "Channel",
    "acceleration",
    "air_samples",
    "check_reading",
    "log_mel",
    "pir_waveform",
    "reading_id",
    "sound_levels",
]

_AIR_LOW = np.array([c.low for c in AIR_CHANNELS], np.float32)
_AIR_HIGH = np.array([c.high for c in AIR_CHANNELS], np.float32)


def pir_waveform(payload: pb.MotionPayload) -> NDArray[np.int16] | None:
    """Motion payload → int16[4800] PIR waveform (ADC counts about the rest level), None if not sent.

    Raises:
        BadInput: The payload has another size.
    """
    return _optional_array(payload.pir, "<i2", PIR_SHAPE, "motion.pir")


def log_mel(payload: pb.SoundPayload) -> NDArray[np.uint8] | None:
    """Sound payload → uint8[160, 64] log-mel of the loudest 1.6 s, None if not sent.

    Raises:
        BadInput: The payload has another size.
    """
    return _optional_array(payload.log_mel, "u1", LOG_MEL_SHAPE, "sound.log_mel")


def sound_levels(payload: pb.SoundPayload) -> NDArray[np.float32]:
    """Sound payload → float32[60] levels in dB(A), one a second.

    Raises:
        BadInput: The payload is neither empty nor 60 bytes.
    """
    levels = _optional_array(payload.levels, "u1", (SECONDS,), "sound.levels")
    if levels is None:
        return np.zeros(0, np.float32)
    return levels.astype(np.float32) * np.float32(LEVEL_STEP_DBA)


def air_samples(payload: pb.AirPayload) -> NDArray[np.float32]:
    """Air payload → float32[60, 6] in the order of `AIR_CHANNELS`.

    Raises:
        BadInput: Wrong size, a value that is not finite, or one outside its channel's range.
    """
    samples = _array(payload.samples, "<f4", AIR_SHAPE, "air.samples")
    # One look at the extremes, which a value that is no number spreads to, passes nearly all of them.
    if (samples.min(axis=0) >= _AIR_LOW).all() and (samples.max(axis=0) <= _AIR_HIGH).all():
        return samples
    if not np.isfinite(samples).all():
        second, channel = np.argwhere(~np.isfinite(samples))[0]
        raise BadInput(
            f"air.{AIR_CHANNELS[channel].name} is {samples[second, channel]} at second {second}, "
            "limit: a finite number"
        )
    second, index = np.argwhere((samples < _AIR_LOW) | (samples > _AIR_HIGH))[0]
    found = AIR_CHANNELS[index]
    raise BadInput(
        f"air.{found.name} is {samples[second, index]:g} {found.unit} at second {second}, "
        f"limits {found.low:g} to {found.high:g}"
    )


def acceleration(payload: pb.ContactPayload) -> NDArray[np.int16] | None:
    """Contact payload → int16[1500, 3] acceleration in mg, None if not sent.

    Raises:
        BadInput: The payload has another size.
    """
    return _optional_array(payload.accel, "<i2", ACCEL_SHAPE, "contact.accel")


def check_reading(reading: pb.Reading) -> None:
    """Accept a reading or say which field is at fault, with value and limit.

    Raises:
        BadInput: Unknown kind, a payload of another kind, bad size, range, minute or id.
    """
    check_origin(reading, "reading")
    expected, got = READING_KINDS[reading.kind], reading.WhichOneof("payload")
    if got != expected:
        raise BadInput(f"payload is {got}, sensor kind is {expected}")
    if got == "motion":
        pir_waveform(reading.motion)
    elif got == "sound":
        log_mel(reading.sound)
        sound_levels(reading.sound)
    elif got == "air":
        air_samples(reading.air)
    else:
        acceleration(reading.contact)
        if any(ms >= SECONDS * 1000 for ms in reading.contact.changes_ms):
            raise BadInput(f"changes_ms is {max(reading.contact.changes_ms)}, limit {SECONDS * 1000 - 1}")


def _optional_array(data: bytes, dtype: str, shape: tuple[int, ...], field: str) -> NDArray | None:
    return _array(data, dtype, shape, field) if data else None


def _array(data: bytes, dtype: str, shape: tuple[int, ...], field: str) -> NDArray:
    check_size(data, shape, int(dtype[-1]), field)
    return np.frombuffer(data, dtype).reshape(shape)
