"""The hourly object: what goes in comes out, and nothing else is believed."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.readings import (
    ACCEL_SHAPE,
    AIR_CHANNELS,
    AIR_SHAPE,
    LOG_MEL_SHAPE,
    MINUTE_US,
    PIR_SHAPE,
    SECONDS,
    reading_id,
)
from tests.fakes import NOW_US, SENSORS, reading
from tests.schemas import pin

KINDS = [pb.SENSOR_KIND_MOTION, pb.SENSOR_KIND_SOUND, pb.SENSOR_KIND_AIR, pb.SENSOR_KIND_CONTACT]


@st.composite
def any_reading(draw: st.DrawFn) -> pb.Reading:
    """Any valid reading: noise over the whole range of its arrays, or a device that sends none."""
    kind, rng = draw(st.sampled_from(KINDS)), np.random.default_rng(draw(st.integers(0, 2**32)))
    sensor, minute_us = draw(st.text("abc", min_size=1, max_size=3)), draw(st.integers(0, 3)) * MINUTE_US
    made = pb.Reading(
        reading_id=reading_id("gw", sensor, minute_us),
        sensor_id=sensor,
        kind=kind,
        room=draw(st.text(max_size=5)),
        minute_us=minute_us,
        seconds_present=draw(st.integers(0, 2**60 - 1)),
    )
    if draw(st.booleans()):
        made.battery_percent = draw(st.integers(0, 100))
    bare = draw(st.booleans())
    if kind == pb.SENSOR_KIND_MOTION:
        made.motion.occupied = draw(st.booleans())
        made.motion.pir = b"" if bare else rng.integers(-(2**15), 2**15, PIR_SHAPE, "<i2").tobytes()
    elif kind == pb.SENSOR_KIND_SOUND:
        made.sound.loudest_ms = draw(st.integers(0, 59_999))
        made.sound.levels = rng.integers(0, 256, SECONDS, "u1").tobytes()
        made.sound.log_mel = b"" if bare else rng.integers(0, 256, LOG_MEL_SHAPE, "u1").tobytes()
    elif kind == pb.SENSOR_KIND_AIR:
        low, high = ([c.low for c in AIR_CHANNELS], [c.high for c in AIR_CHANNELS])
        made.air.samples = rng.uniform(low, high, AIR_SHAPE).astype("<f4").tobytes()
    else:
        made.contact.changes_ms.extend(draw(st.lists(st.integers(0, 59_999), max_size=3)))
        made.contact.accel = b"" if bare else rng.integers(-(2**15), 2**15, ACCEL_SHAPE, "<i2").tobytes()
    return made


def _sorted(readings: list[pb.Reading]) -> list[bytes]:
    return sorted(r.SerializeToString(deterministic=True) for r in readings)


@settings(max_examples=20, deadline=None)
@given(st.lists(any_reading(), min_size=1, max_size=5))
def test_what_goes_in_comes_out_bit_for_bit(readings: list[pb.Reading]) -> None:
    data = bulk.pack_object(readings, "home", "gw")
    head, out = bulk.unpack_object(data)
    assert _sorted(out) == _sorted(readings)
    assert (head.home_id, head.gateway_id, head.readings) == ("home", "gw", len(readings))
    assert head.first_minute_us == min(r.minute_us for r in readings)
    assert head.last_minute_us == max(r.minute_us for r in readings)


def test_negative_zero_and_the_smallest_float_survive() -> None:
    made = reading("air-kitchen", pb.SENSOR_KIND_AIR, "kitchen", 0, np.random.default_rng(1))
    samples = np.frombuffer(made.air.samples, "<f4").copy()
    samples[1::6], samples[7] = -0.0, np.float32(1e-45)
    made.air.samples = samples.tobytes()
    assert bulk.unpack_object(bulk.pack_object([made], "h", "g"))[1] == [made]


def test_equal_readings_give_equal_bytes_in_any_order() -> None:
    readings = hour(3)
    again = bulk.pack_object(reversed(readings), "home-1", "gw-1")
    assert again == bulk.pack_object(readings, "home-1", "gw-1")


def test_an_object_of_version_1_still_opens_to_the_same_readings() -> None:
    head, readings = bulk.unpack_object(pin.BULK.read_bytes())
    content = pb.Body(readings=readings).SerializeToString(deterministic=True)
    assert bulk.sha256(content).hex() == pin.BULK_CONTENT
    assert (head.home_id, head.gateway_id, head.version) == ("home-1", "gw-1", 1)


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_a_flipped_bit_gives_bad_input_or_an_object_and_nothing_else(position: int, bit: int) -> None:
    data = bytearray(pin.BULK.read_bytes())
    data[position % len(data)] ^= 1 << bit
    with contextlib.suppress(BadInput):
        bulk.unpack_object(bytes(data))


@given(data=st.binary(max_size=200))
def test_random_bytes_are_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        bulk.unpack_object(data)


def test_an_invalid_reading_is_not_packed() -> None:
    bad = reading("motion-hall", pb.SENSOR_KIND_MOTION, "hall", 0, np.random.default_rng(1))
    bad.motion.pir = bad.motion.pir[:-2]
    with pytest.raises(BadInput, match=r"motion.pir is 9598 bytes, limit exactly 9600"):
        bulk.pack_object([bad], "h", "g")
    with pytest.raises(BadInput, match="0 readings"):
        bulk.pack_object([], "h", "g")


def test_bombs_and_lies_are_refused_before_they_unfold() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    stream = pb.BulkStream(array=pb.BULK_ARRAY_READINGS, size=64 << 20, blocks=[bomb])
    with pytest.raises(BadInput, match=f"unfolds to {64 << 20} bytes, limit {bulk.BLOCK_BYTES}"):
        bulk.unpack_object(pb.BulkObject(version=1, streams=[stream]).SerializeToString())
    stream.size = 1 << 40
    with pytest.raises(BadInput, match=f"unfolds to {1 << 40} bytes, limit {bulk.MAX_RAW_BYTES}"):
        bulk.unpack_object(pb.BulkObject(version=1, streams=[stream]).SerializeToString())
    whole = pb.BulkObject.FromString(bulk.pack_object(hour(2), "h", "g"))
    for change, message in (
        (lambda o: setattr(o, "version", 2), "version 2, known versions: 1"),
        (lambda o: setattr(o, "readings", 7), "20 readings, its head says 7"),
        (lambda o: o.streams.pop(), "has no stream of contact.accel"),
        (lambda o: o.streams[1].blocks.pop(), "short of"),
        (lambda o: setattr(o.streams[1], "array", 99), "array is 99"),
        (lambda o: setattr(o.streams[2], "size", 1), "limit exactly 4 rows of 10240"),
    ):
        broken = pb.BulkObject()
        broken.CopyFrom(whole)
        change(broken)
        with pytest.raises(BadInput, match=message):
            bulk.unpack_object(broken.SerializeToString())


def test_names_hold_home_gateway_start_and_hash() -> None:
    name = bulk.object_name("home-1", "gw-1", NOW_US, bytes(31) + b"\x01")
    assert name == f"bulk/home-1/gw-1/2026-03-01T1200-{'0' * 63}1.hwb"


def hour(minutes: int) -> list[pb.Reading]:
    rng = np.random.default_rng(7)
    return [
        reading(*sensor, NOW_US + minute * MINUTE_US, rng) for minute in range(minutes) for sensor in SENSORS
    ]
