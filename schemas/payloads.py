"""Shapes, units and ranges of a reading's payloads, and its id: what the gateway checks without numpy.

The one place where they are written down (design.md, "Reading"). `schemas/readings.py` makes arrays of them;
a gateway under the full uplink only passes bytes on, and numpy is 18 MB of its memory (decision 041).
"""

from __future__ import annotations

import hashlib
import math
from typing import Final, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
SECONDS: Final = 60
ALL_SECONDS: Final = (1 << SECONDS) - 1

PIR_HZ: Final = 80
PIR_SHAPE: Final = (SECONDS * PIR_HZ,)
LOG_MEL_SHAPE: Final = (160, 64)
ACCEL_HZ: Final = 25
ACCEL_SHAPE: Final = (SECONDS * ACCEL_HZ, 3)
AIR_SHAPE: Final = (SECONDS, 6)

LEVEL_STEP_DBA: Final = 0.5  # SoundPayload.levels count half decibels


class Channel(NamedTuple):
    """One column of an air payload. A value outside [low, high] cannot come from a sound sensor."""

    name: str
    unit: str
    low: float
    high: float


# Ranges: what the sensors of this class can report (NDIR CO2 to 40,000 ppm, electrochemical CO to
# 5,000 ppm, VOC index 0-500), temperature wide enough for a room on fire (NIST: above 600 °C).
AIR_CHANNELS: Final = (
    Channel("co2_ppm", "ppm", 0.0, 40_000.0),
    Channel("co_ppm", "ppm", 0.0, 10_000.0),
    Channel("voc_index", "1", 0.0, 500.0),
    Channel("temperature_c", "°C", -40.0, 1_000.0),
    Channel("humidity_pct", "%", 0.0, 100.0),
    Channel("pressure_hpa", "hPa", 300.0, 1_200.0),
)

# The four kinds that send a reading every minute; the others send events only.
READING_KINDS: Final = {
    pb.SENSOR_KIND_MOTION: "motion",
    pb.SENSOR_KIND_SOUND: "sound",
    pb.SENSOR_KIND_AIR: "air",
    pb.SENSOR_KIND_CONTACT: "contact",
}

MAX_ID_CHARS: Final = 64


def reading_id(gateway_id: str, sensor_id: str, minute_us: int) -> bytes:
    """(gateway, sensor, minute) → 16 bytes, equal wherever this reading is seen again.

    >>> reading_id("g1", "s1", 0) == reading_id("g1", "s1", 0)
    True
    """
    return hashlib.sha256(f"{gateway_id}|{sensor_id}|{minute_us}".encode()).digest()[:16]


def check_origin(reading: pb.Reading | pb.Features, name: str) -> None:
    """What a reading says of itself beside its payload, in either form.

    Args:
        name: Of the form, for messages.

    Raises:
        BadInput: Unknown kind, bad id, room, minute or battery.
    """
    if reading.kind not in READING_KINDS:
        raise BadInput(f"{name}.kind is {reading.kind}, known kinds {sorted(READING_KINDS)}")
    if not 1 <= len(reading.sensor_id) <= MAX_ID_CHARS:
        raise BadInput(f"sensor_id has {len(reading.sensor_id)} characters, limits 1 to {MAX_ID_CHARS}")
    if len(reading.room) > MAX_ID_CHARS:
        raise BadInput(f"room has {len(reading.room)} characters, limit {MAX_ID_CHARS}")
    if len(reading.model) > MAX_ID_CHARS:
        raise BadInput(f"model has {len(reading.model)} characters, limit {MAX_ID_CHARS}")
    if len(reading.reading_id) != 16:
        raise BadInput(f"reading_id is {len(reading.reading_id)} bytes, limit exactly 16")
    if reading.minute_us % MINUTE_US:
        raise BadInput(f"minute_us is {reading.minute_us}, not the start of a minute")
    if reading.HasField("battery_percent") and reading.battery_percent > 100:
        raise BadInput(f"battery_percent is {reading.battery_percent}, limit 100")


def check_size(data: bytes, shape: tuple[int, ...], item_bytes: int, field: str) -> None:
    """Is it exactly an array of this shape?

    Raises:
        BadInput: It has another size.
    """
    expected = math.prod(shape) * item_bytes
    if len(data) != expected:
        raise BadInput(f"{field} is {len(data)} bytes, limit exactly {expected}")


def check_pir(payload: pb.MotionPayload) -> None:
    """A waveform of int16[4800], or none.

    Raises:
        BadInput: The payload has another size.
    """
    _check_optional(payload.pir, PIR_SHAPE, 2, "motion.pir")


def check_sound(payload: pb.SoundPayload) -> None:
    """A log-mel of uint8[160, 64] and 60 levels, or none of either.

    Raises:
        BadInput: The payload has another size.
    """
    _check_optional(payload.log_mel, LOG_MEL_SHAPE, 1, "sound.log_mel")
    _check_optional(payload.levels, (SECONDS,), 1, "sound.levels")


def check_acceleration(payload: pb.ContactPayload) -> None:
    """An acceleration of int16[1500, 3], or none.

    Raises:
        BadInput: The payload has another size.
    """
    _check_optional(payload.accel, ACCEL_SHAPE, 2, "contact.accel")


def levels_dba(payload: pb.SoundPayload) -> list[float]:
    """Levels of a checked payload in dB(A), one a second; none if it has none.

    >>> levels_dba(pb.SoundPayload(levels=bytes([80, 81])))
    [40.0, 40.5]
    """
    return [level * LEVEL_STEP_DBA for level in payload.levels]


def _check_optional(data: bytes, shape: tuple[int, ...], item_bytes: int, field: str) -> None:
    if data:
        check_size(data, shape, item_bytes, field)
