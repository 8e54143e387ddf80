"""A reading is accepted, or its fault is named with value and limit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas import readings
from schemas.errors import BadInput

AIR = np.tile(np.array([420, 0, 100, 21, 45, 1013], "<f4"), (60, 1))


def _air(samples: np.ndarray = AIR) -> pb.Reading:
    return pb.Reading(
        reading_id=readings.reading_id("g", "s", 0),
        sensor_id="s",
        kind=pb.SENSOR_KIND_AIR,
        minute_us=0,
        air=pb.AirPayload(samples=samples.tobytes()),
    )


def _changed(change: Callable[[pb.Reading], object]) -> pb.Reading:
    reading = _air()
    change(reading)
    return reading


def _spoilt(second: int, channel: int, value: float) -> pb.Reading:
    samples = AIR.copy()
    samples[second, channel] = value
    return _air(samples)


def test_a_good_reading_is_accepted() -> None:
    readings.check_reading(_air())


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (_spoilt(7, 1, float("nan")), "co_ppm is nan at second 7, limit: a finite number"),
        (_spoilt(3, 3, 5_000), "temperature_c is 5000 °C at second 3, limits -40 to 1000"),
        (_changed(lambda r: setattr(r, "kind", 99)), "kind is 99"),
        (
            _changed(lambda r: setattr(r, "kind", pb.SENSOR_KIND_SOUND)),
            "payload is air, sensor kind is sound",
        ),
        (_changed(lambda r: setattr(r, "minute_us", 5)), "minute_us is 5"),
        (_changed(lambda r: setattr(r, "reading_id", b"x")), "reading_id is 1 bytes, limit exactly 16"),
        (_changed(lambda r: setattr(r, "battery_percent", 101)), "battery_percent is 101, limit 100"),
        (_changed(lambda r: setattr(r.air, "samples", b"123")), "air.samples is 3 bytes, limit exactly 1440"),
    ],
    ids=["NaN", "range", "kind", "payload", "minute", "id", "battery", "size"],
)
def test_a_fault_is_named_with_value_and_limit(reading: pb.Reading, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        readings.check_reading(reading)


def test_a_device_without_a_waveform_is_a_reading_too() -> None:
    reading = _air()
    reading.kind = pb.SENSOR_KIND_CONTACT
    reading.contact.open = True
    readings.check_reading(reading)
    assert readings.acceleration(reading.contact) is None
