"""Frames → readings of a minute."""

import numpy as np
import pytest

from edge_client.config import SensorConfig
from edge_client.minute import MinuteBuffer, SealedSensor
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import ALL_SECONDS, air_samples, check_reading, reading_id
from tests.edge_client.fakes import (
    GATEWAY,
    MINUTE,
    SECOND,
    SENSORS,
    START_US,
    air_frame,
    motion_frame,
    seconds,
)

CONFIG = [SensorConfig(**s) for s in SENSORS]


@pytest.fixture
def buffer():
    return MinuteBuffer(GATEWAY, CONFIG)


def seal(buffer, minute_us=START_US):
    readings, sealed = buffer.peek(minute_us)
    buffer.commit(minute_us, sealed)
    for reading in readings:
        check_reading(reading)
    return readings


def test_sixty_seconds_of_air_are_one_reading(buffer):
    for index, start_us in enumerate(seconds(START_US, 60)):
        assert buffer.add_frame(air_frame(start_us, co_ppm=index))
    [reading] = seal(buffer)
    assert reading.seconds_present == ALL_SECONDS
    assert reading.reading_id == reading_id(GATEWAY, "air-kitchen", START_US)
    assert (reading.room, reading.kind, reading.minute_us) == ("kitchen", pb.SENSOR_KIND_AIR, START_US)
    assert np.array_equal(air_samples(reading.air)[:, 1], np.arange(60, dtype=np.float32))


def test_missing_seconds_repeat_the_last_value_and_say_so(buffer):
    for second in (3, 4, 50):
        buffer.add_frame(air_frame(START_US + second * SECOND, co_ppm=second))
    [reading] = seal(buffer)
    co = air_samples(reading.air)[:, 1]
    assert co.tolist() == [3] * 4 + [4] * 46 + [50] * 10
    assert reading.seconds_present == 1 << 3 | 1 << 4 | 1 << 50


def test_second_delivered_again_changes_nothing(buffer):
    assert buffer.add_frame(air_frame(START_US, co_ppm=1))
    assert not buffer.add_frame(air_frame(START_US, co_ppm=9))
    assert air_samples(seal(buffer)[0].air)[0, 1] == 1
    assert not buffer.add_frame(air_frame(START_US, co_ppm=9)), "nor after the minute was sealed"
    assert buffer.minutes == []


def test_late_seconds_become_a_supplement_with_an_id_of_its_own(buffer):
    buffer.add_frame(air_frame(START_US))
    [first] = seal(buffer)
    for start_us in seconds(START_US, 3):
        buffer.add_frame(air_frame(start_us, co_ppm=7))
    [late] = seal(buffer)
    assert late.minute_us == first.minute_us
    assert late.reading_id != first.reading_id
    assert late.seconds_present == 0b110, "second 0 was sealed before"
    assert air_samples(late.air)[1, 1] == 7


def test_what_was_sealed_before_a_restart_is_not_sealed_again():
    buffer = MinuteBuffer(GATEWAY, CONFIG, [SealedSensor("air-kitchen", START_US, 0b1)])
    assert not buffer.add_frame(air_frame(START_US))
    assert buffer.add_frame(air_frame(START_US + SECOND))


@pytest.mark.parametrize("jitter_us", [-900_000, 0, 900_000])
def test_minute_frame_belongs_where_most_of_it_lies(buffer, jitter_us):
    buffer.add_frame(motion_frame(START_US + jitter_us))
    assert buffer.minutes == [START_US]
    assert len(seal(buffer)) == 1


def test_plain_contact_is_a_reading_too(buffer):
    buffer.add_state("contact-front-door", False, START_US)
    buffer.add_state("contact-front-door", True, START_US + 5 * SECOND)
    buffer.add_state("contact-front-door", False, START_US + 9 * SECOND, battery=87)
    [reading] = seal(buffer)
    assert not reading.contact.open
    assert list(reading.contact.changes_ms) == [5000, 9000]
    assert reading.battery_percent == 87
    assert reading.seconds_present == 0


def test_plain_motion_is_occupied_if_it_was_at_any_time(buffer):
    buffer.add_state("motion-hall", True, START_US)
    buffer.add_state("motion-hall", False, START_US + SECOND)
    assert seal(buffer)[0].motion.occupied


def test_rich_frame_stands_for_the_plain_messages_of_its_minute(buffer):
    buffer.add_state("motion-hall", True, START_US)
    buffer.add_frame(motion_frame(START_US))
    [reading] = seal(buffer)
    assert len(reading.motion.pir) == 9600


def test_rich_frame_after_the_plain_reading_was_sealed_is_kept(buffer):
    buffer.add_state("motion-hall", True, START_US)
    [plain] = seal(buffer)
    assert buffer.add_frame(motion_frame(START_US))
    [rich] = seal(buffer)
    assert rich.reading_id != plain.reading_id
    assert rich.seconds_present == ALL_SECONDS


def test_minute_is_complete_when_all_of_the_last_one_spoke(buffer):
    for start_us in seconds(START_US, 60):
        buffer.add_frame(air_frame(start_us))
    buffer.add_frame(motion_frame(START_US))
    assert not buffer.complete(START_US), "nobody is known yet"
    seal(buffer)
    second_us = START_US + MINUTE
    buffer.add_frame(motion_frame(second_us))
    for start_us in seconds(second_us, 59):
        buffer.add_frame(air_frame(start_us))
    assert not buffer.complete(second_us)
    buffer.add_frame(air_frame(second_us + 59 * SECOND))
    assert buffer.complete(second_us)


def test_sensor_that_fell_silent_is_not_waited_for_twice(buffer):
    buffer.add_frame(motion_frame(START_US))
    buffer.add_frame(air_frame(START_US + 59 * SECOND))
    seal(buffer)
    buffer.add_frame(motion_frame(START_US + MINUTE))
    assert not buffer.complete(START_US + MINUTE)
    seal(buffer, START_US + MINUTE)
    buffer.add_frame(motion_frame(START_US + 2 * MINUTE))
    assert buffer.complete(START_US + 2 * MINUTE)
