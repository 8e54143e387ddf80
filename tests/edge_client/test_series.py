"""The last ten minutes for the dispatcher's charts."""

import math

import pytest

from edge_client.config import SensorConfig
from edge_client.series import PERIOD_US, SLOTS, HomeSeries
from tests.edge_client.fakes import SECOND, SENSORS, START_US


@pytest.fixture
def home():
    return HomeSeries([SensorConfig(**s) for s in SENSORS])


def values(home, sensor_id, quantity, now_us):
    found = [s for s in home.last_minutes(now_us) if (s.sensor_id, s.quantity) == (sensor_id, quantity)]
    assert len(found) <= 1
    return list(found[0].values) if found else None


def test_nothing_known_is_left_out(home):
    assert home.last_minutes(START_US) == []


def test_series_ends_now_and_holds_the_highest_of_each_slot(home):
    home.put("air-kitchen", START_US, {"co_ppm": 1.0})
    home.put("air-kitchen", START_US + SECOND, {"co_ppm": 5.0})
    home.put("air-kitchen", START_US + 2 * SECOND, {"co_ppm": 2.0})
    home.put("air-kitchen", START_US + PERIOD_US, {"co_ppm": 7.0})
    co = values(home, "air-kitchen", "co_ppm", START_US + PERIOD_US)
    assert len(co) == SLOTS
    assert co[-2:] == [5.0, 7.0]
    assert all(map(math.isnan, co[:-2]))


def test_silence_is_no_data_for_air_and_the_same_state_for_a_door(home):
    home.put("air-kitchen", START_US, {"co_ppm": 1.0})
    home.put("contact-front-door", START_US, {"open": 1.0})
    later_us = START_US + 3 * PERIOD_US
    assert math.isnan(values(home, "air-kitchen", "co_ppm", later_us)[-1])
    assert values(home, "contact-front-door", "open", later_us)[-4:] == [1.0] * 4


def test_door_closed_within_a_slot_was_open_in_it(home):
    home.put("contact-front-door", START_US, {"open": 1.0})
    home.put("contact-front-door", START_US + SECOND, {"open": 0.0})
    assert values(home, "contact-front-door", "open", START_US + PERIOD_US)[-2:] == [1.0, 0.0]


def test_long_silence_leaves_no_old_values(home):
    home.put("air-kitchen", START_US, {"co_ppm": 1.0})
    home.put("air-kitchen", START_US + 2 * SLOTS * PERIOD_US, {"co_ppm": 2.0})
    co = values(home, "air-kitchen", "co_ppm", START_US + 2 * SLOTS * PERIOD_US)
    assert co[-1] == 2.0
    assert all(map(math.isnan, co[:-1]))


def test_clock_set_back_begins_anew(home):
    home.put("air-kitchen", START_US, {"co_ppm": 1.0})
    home.put("air-kitchen", START_US - 2 * SLOTS * PERIOD_US, {"co_ppm": 2.0})
    assert values(home, "air-kitchen", "co_ppm", START_US - 2 * SLOTS * PERIOD_US)[-1] == 2.0


def test_whole_series_of_a_home_is_small(home):
    for slot in range(SLOTS):
        at_us = START_US + slot * PERIOD_US
        home.put("air-kitchen", at_us, dict.fromkeys(["co2_ppm", "co_ppm", "temperature_c"], 20.5))
        home.put("sound-kitchen", at_us, {"sound_dba": 40.0})
    assert sum(s.ByteSize() for s in home.last_minutes(at_us)) < 3_000
