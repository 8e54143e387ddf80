"""The 1 Hz rules on curves whose answer is known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client import hazards
from edge_client.hazards import (
    EXCESS_FREE_C_PER_S,
    HOLD_S,
    RISE_FLOOR_C,
    AirHazards,
    AirSample,
    cohb_after,
)
from schemas.events import Code
from tests.edge_client.fakes import SECOND, START_US

CALM = AirSample(1.0, 100.0, 21.0)


def run(curve, seconds, rules=None, start_us=START_US):
    """curve(second) → sample; → [(second, code, active)]."""
    rules = rules or AirHazards()
    out = []
    for second in range(seconds):
        for change in rules.second(start_us + second * SECOND, curve(second)):
            out.append((second, change.code, change.active))
    return out


def noisy(value, second, amount):
    """A wobble without randomness."""
    return value + amount * math.sin(second * 1.7)


@pytest.mark.parametrize(
    ("ppm", "first_min", "last_min"), [(70, 60, 240), (150, 10, 50), (400, 4, 15)], ids=lambda v: str(v)
)
@pytest.mark.parametrize("error_ppm", [-5, 0, 5])
def test_carbon_monoxide_alarms_inside_the_windows_of_ul2034(ppm, error_ppm, first_min, last_min):
    told = run(lambda _: CALM._replace(co_ppm=ppm + error_ppm), last_min * 60 + 60)
    assert [code for _, code, _ in told] == [Code.CARBON_MONOXIDE]
    assert first_min * 60 <= told[0][0] <= last_min * 60


def test_thirty_ppm_never_alarms():
    assert run(lambda _: CALM._replace(co_ppm=30), 24 * 3600) == []
    assert cohb_after(0.0, 30, 30 * 24 * 3600) < 6.0


def test_deadly_concentration_alarms_within_seconds():
    told = run(lambda _: CALM._replace(co_ppm=1500), 60)
    assert (told[0][1], told[0][2]) == (Code.CARBON_MONOXIDE, True)
    assert told[0][0] <= 15


def test_carbon_monoxide_is_restored_once_when_the_air_is_clear():
    told = run(lambda s: CALM._replace(co_ppm=1500 if s < 60 else 5), 400)
    assert [(code, active) for _, code, active in told] == [
        (Code.CARBON_MONOXIDE, True),
        (Code.CARBON_MONOXIDE, False),
    ]


def test_dose_survives_a_restart():
    before = AirHazards()
    run(lambda _: CALM._replace(co_ppm=400), 8 * 60, before)
    after = AirHazards(cohb_pct=before.cohb_pct)
    assert run(lambda _: CALM._replace(co_ppm=400), 3 * 60, after)[0][1] == Code.CARBON_MONOXIDE


def test_alarm_that_was_open_before_a_restart_is_not_raised_again_but_restored():
    rules = AirHazards(active=[Code.CARBON_MONOXIDE], cohb_pct=20.0)
    told = run(lambda s: CALM._replace(co_ppm=400 if s < 60 else 5), 200, rules)
    assert [(code, active) for _, code, active in told] == [(Code.CARBON_MONOXIDE, False)]


def test_fast_heat_alarms_before_the_fixed_temperature():
    told = run(lambda s: CALM._replace(temperature_c=noisy(21 + max(0, s - 120) * 0.5, s, 0.2)), 300)
    second, code, active = told[0]
    assert (code, active) == (Code.HEAT, True)
    assert 21 + (second - 120) * 0.5 < 40


def test_slow_heat_alarms_at_the_fixed_temperature():
    told = run(lambda s: CALM._replace(temperature_c=21 + s * 2.5 / 60), 1000)
    second, code, _ = told[0]
    assert code == Code.HEAT
    assert 57 <= 21 + second * 2.5 / 60 < 58


def test_heat_is_restored_with_hysteresis():
    def curve(s):
        return CALM._replace(temperature_c=60.0 if 120 <= s < 180 else 50.0 if 180 <= s < 300 else 21.0)

    told = run(curve, 600)
    assert [(code, active) for _, code, active in told] == [(Code.HEAT, True), (Code.HEAT, False)]
    assert told[1][0] >= 300 + 59


def test_single_bad_sample_raises_nothing():
    assert run(lambda s: CALM._replace(temperature_c=90.0 if s == 200 else 21.0), 400) == []


def test_cold_room_that_warms_up_raises_nothing():
    assert run(lambda s: CALM._replace(temperature_c=min(21.0, 5 + s * 12 / 60)), 600) == []


def cooking(s):
    """Half an hour at a gas stove: CO to 9 ppm, VOC to 350, +5 °C in 20 minutes, searing peaks."""
    share = min(1.0, s / 1200)
    sear = 1.5 if s % 300 < 60 else 0.0
    return AirSample(
        noisy(1 + 8 * min(1.0, s / 600), s, 0.7),
        noisy(100 + 250 * min(1.0, s / 180), s, 10),
        noisy(21 + 5 * share + sear, s, 0.15),
    )


def test_ordinary_cooking_trips_neither_heat_nor_smoke_nor_carbon_monoxide():
    assert run(cooking, 1800) == []


def fire(s, ignition=300):
    """A fast t² fire in a kitchen: the air warms and fills with CO and organics."""
    t = max(0, s - ignition)
    growth = t * t / 3600
    return AirSample(1 + 12 * growth, min(500.0, 100 + 120 * growth), 21 + 3 * growth)


def test_growing_fire_is_smoke_within_two_minutes_and_then_heat():
    told = run(fire, 600)
    codes = {code: second - 300 for second, code, active in told if active}
    assert codes[Code.SMOKE] <= 100
    assert codes[Code.SMOKE] < codes[Code.HEAT] <= 180


def test_fire_is_smoke_also_to_a_sensor_without_organics():
    told = run(lambda s: fire(s)._replace(voc_index=100.0), 600)
    assert Code.SMOKE in {code for _, code, active in told if active}


def test_smoke_is_restored_when_the_room_is_as_before():
    told = run(lambda s: fire(s) if s < 400 else CALM, 700)
    smoke = [active for _, code, active in told if code == Code.SMOKE]
    assert smoke == [True, False]


def test_repeated_and_reordered_seconds_change_nothing():
    once, twice = AirHazards(), AirHazards()
    out_once, out_twice = [], []
    for s in range(300):
        sample = fire(s, 100)
        out_once += once.second(START_US + s * SECOND, sample)
        out_twice += twice.second(START_US + s * SECOND, sample)
        twice.second(START_US + max(0, s - 5) * SECOND, CALM)
    assert out_once == out_twice
    assert once.cohb_pct == twice.cohb_pct


@pytest.mark.parametrize("step_s", [-86_400, 86_400], ids=["back", "ahead"])
def test_clock_that_is_set_does_not_blind_the_rules(step_s):
    rules = AirHazards()
    run(lambda _: CALM, 120, rules)
    moved_us = START_US + step_s * SECOND
    told = run(fire, 600, rules, moved_us)
    assert {code for _, code, active in told if active} >= {Code.SMOKE, Code.HEAT}


@given(st.lists(st.tuples(st.floats(0, 2000), st.integers(1, 900)), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_the_dose_solves_the_equation_of_coburn_forster_kane_for_any_exposure(spans):
    """Beside a numerical solution of dC/dt = (218 (0.0003 + ppm/1316) - C) / (2398 B)."""
    ours = numerical = 0.0
    for ppm, seconds in spans:
        ours = cohb_after(ours, ppm, seconds)
        for _ in range(seconds):  # midpoint rule, a second a step
            slope = (218 * (0.0003 + ppm / 1316) - numerical) / (2398 * 0.0404 * 60)
            half = numerical + slope / 2
            numerical += (218 * (0.0003 + ppm / 1316) - half) / (2398 * 0.0404 * 60)
    assert ours == pytest.approx(numerical, abs=1e-5)


@given(st.floats(0, 30), st.floats(0, 2000), st.floats(0, 2000), st.integers(1, 3600), st.integers(1, 3600))
def test_the_dose_depends_on_the_exposure_alone(start, ppm, more_ppm, seconds, rest):
    """Cut anywhere it is the same; more gas is never less of it; it stays between start and equilibrium."""
    whole = cohb_after(start, ppm, seconds + rest)
    assert cohb_after(cohb_after(start, ppm, seconds), ppm, rest) == pytest.approx(whole, abs=1e-9)
    least, most = sorted((ppm, more_ppm))
    assert cohb_after(start, least, seconds) <= cohb_after(start, most, seconds) + 1e-12
    settled = 218 * (0.0003 + ppm / 1316)
    assert min(start, settled) - 1e-9 <= whole <= max(start, settled) + 1e-9


def plume(s, begins=200, celsius=9.0, onset_s=15):
    """Warm air reaches the sensor within seconds, and stays."""
    return CALM._replace(temperature_c=noisy(21 + celsius * min(max(s - begins, 0) / onset_s, 1), s, 0.1))


def test_plume_that_no_heating_makes_is_heat_long_before_the_room_is_hot():
    told = run(plume, 300)
    second, code, active = told[0]
    assert (code, active) == (Code.HEAT, True)
    assert second - 200 <= 15 + HOLD_S
    assert plume(second).temperature_c < RISE_FLOOR_C


@pytest.mark.parametrize(
    "warms",
    [
        lambda s: CALM._replace(temperature_c=21 + 4 * (s > 200)),
        lambda s: CALM._replace(temperature_c=18 + min(s * 3 / 60, 12)),
        lambda s: CALM._replace(temperature_c=noisy(24, s, 1.0)),
    ],
    ids=["by 4 °C at once", "as fast as heating does, by 12 °C", "and cools again and again"],
)
def test_room_that_warms_in_an_ordinary_way_is_no_fire(warms):
    assert run(warms, 900) == []


def test_oven_that_is_opened_is_no_fire_to_a_sensor_near_the_stove():
    def opened(s):
        return plume(s, celsius=12.0)

    assert run(opened, 300, AirHazards(near_cooking=True)) == []
    assert run(opened, 300) != []


def test_fire_near_the_stove_is_still_heat():
    told = run(lambda s: fire(s, 100), 400, AirHazards(near_cooking=True))
    assert Code.HEAT in {code for _, code, active in told if active}


def test_heat_of_a_plume_is_restored_when_the_room_is_as_before():
    told = run(lambda s: plume(s) if s < 230 else CALM, 500)
    assert [(code, active) for _, code, active in told] == [(Code.HEAT, True), (Code.HEAT, False)]


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=60), st.integers(1, 8))
def test_sliding_minimum_is_the_minimum_of_the_last_values(values, seconds):
    lowest = hazards._Lowest(seconds)
    found = [lowest.after(value) for value in values]
    assert found == [min(values[max(0, i - seconds + 1) : i + 1]) for i in range(len(values))]


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=60))
def test_excess_is_the_greatest_rise_since_any_second_less_what_heating_explains(steps):
    excess, celsius, track = hazards._Excess(), 20.0, []
    for step in steps:
        celsius += step
        track.append(celsius - EXCESS_FREE_C_PER_S * len(track))
        found = excess.after(celsius, 1.0)
    assert found == pytest.approx(track[-1] - min(track), abs=1e-9)
