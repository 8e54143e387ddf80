"""Scripts and their ground truth, judged by the gateway's own rules."""

import json

import pytest

from edge_client.hazards import AirHazards, AirSample
from local.simulator import devices, scenarios
from local.simulator.neighbourhood import area_of
from local.simulator.scenarios import QUIET, SCENARIOS, Burns, GatewayStops, Leaks, Opens, Signal, assign
from local.simulator.sensors import SECOND_US, SimulatedHome
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import AlarmKind, Code
from schemas.topics import RICH, parse_sensor_topic

START_US = 1_763_985_617 * SECOND_US
ARMED_AFTER_S = 60.0
EVENING = round((18.6 * 3600 - START_US // SECOND_US % 86_400) / 60) * 60
EXPECTED = {
    "break-in": AlarmKind.BURGLARY,
    "kitchen-fire": AlarmKind.FIRE,
    "co-leak": AlarmKind.CO,
    "panic": AlarmKind.PANIC,
    "power-loss": AlarmKind.POWER,
}


def _home(script, number=1):
    return SimulatedHome(7, number, START_US, EVENING, script)


def _hazards(home, seconds):
    """(second, code, active) that the gateway's 1 Hz rules find in the home's air."""
    rules = {device.sensor_id: AirHazards() for device in devices.AIR}
    found = []
    for second in range(seconds):
        for message in home.second(second):
            topic = parse_sensor_topic(message.topic)
            if topic.channel == RICH and topic.sensor_id in rules:
                frame = pb.SensorFrame.FromString(message.payload)
                sample = AirSample(frame.air.co_ppm, frame.air.voc_index, frame.air.temperature_c)
                changes = rules[topic.sensor_id].second(frame.start_us, sample)
                found += [(second, change.code, change.active) for change in changes]
    return found


@pytest.mark.parametrize("scenario", sorted(EXPECTED))
def test_scenario_sends_its_stimuli_and_carries_its_truth(scenario):
    [script] = assign(scenario, 3, ARMED_AFTER_S).values()
    assert script.expects[0].kind == EXPECTED[scenario]
    home = _home(script)
    messages = [m for second in range(int(script.lasts_s) + 1) for m in home.second(second)]
    triggers = [m for m in messages if m.expect is not None]
    assert [m.expect.kind for m in triggers] == [EXPECTED[scenario]]
    told = [type(e).__name__.lower() for e in script.effects if isinstance(e, Signal | Opens | Burns | Leaks)]
    ignited = ["ignites"] * told.count("burns")  # before its smoke alarm: heat may be found first
    assert sorted(m.stimulus for m in messages if m.stimulus) == sorted(told + ignited)


def test_power_that_stays_away_must_be_followed_by_a_silence_that_is_found():
    [script] = assign("power-loss", 3, ARMED_AFTER_S).values()
    [stop] = [effect for effect in script.effects if isinstance(effect, GatewayStops)]
    assert (stop.expect.kind, stop.expect.real) == (AlarmKind.PATH, True)


@pytest.mark.parametrize("scenario", ["outage", "offline"])
@pytest.mark.parametrize(("homes", "hit"), [(20, [6, 7, 8, 9, 10]), (7, [1, 2, 3, 4, 5]), (3, [1, 2, 3])])
def test_an_outage_hits_the_homes_of_one_area(scenario, homes, hit):
    scripts = assign(scenario, homes, ARMED_AFTER_S)
    assert list(scripts) == hit
    areas = {
        effect.area for script in scripts.values() for effect in script.effects if hasattr(effect, "area")
    }
    assert areas == {area_of(hit[0])}


def test_two_homes_cannot_have_an_outage_of_their_area():
    with pytest.raises(ValueError, match="homes is 2, scenario outage wants at least 3"):
        assign("outage", 2, ARMED_AFTER_S)


def test_quiet_homes_have_no_script():
    assert assign("quiet", 20, ARMED_AFTER_S) == {}
    assert QUIET.effects == ()
    assert QUIET.expects == ()


def test_demo_shows_each_scenario_once_first_alarm_early_all_soon():
    scripts = assign("demo", 20, ARMED_AFTER_S)
    assert {script.name for script in scripts.values()} == set(EXPECTED)
    triggers = sorted(
        effect.at_s
        for script in scripts.values()
        for effect in script.effects
        if getattr(effect, "expect", None) is not None
    )
    assert max(triggers) <= 120
    [panic] = [script for script in scripts.values() if script.name == "panic"]
    assert panic.effects[0].at_s == pytest.approx(15, abs=2)


@pytest.mark.parametrize("homes", [1, 2, 3, 5, 6, 20, 333])
def test_demo_fits_any_number_of_homes(homes):
    scripts = assign("demo", homes, ARMED_AFTER_S)
    assert len(scripts) == min(homes, len(EXPECTED))
    assert all(1 <= number <= homes for number in scripts)


def test_unknown_scenario_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match="scenario is 'flood', known scenarios: demo, quiet"):
        assign("flood", 3, ARMED_AFTER_S)
    assert "demo" in SCENARIOS


@pytest.mark.parametrize("number", [1, 5, 9])
def test_co_leak_trips_the_gateways_dose_rule_in_its_time(number):
    script = scenarios.co_leak(5.0)
    found = [
        second
        for second, code, active in _hazards(_home(script, number), 110)
        if code == Code.CARBON_MONOXIDE and active
    ]
    assert len(found) == 1
    assert 5 + 20 < found[0] <= 5 + script.expects[0].within_s


@pytest.mark.parametrize("number", [1, 5, 9])
def test_kitchen_fire_trips_only_fire_and_co(number):
    codes = {code for _, code, active in _hazards(_home(scenarios.kitchen_fire(10.0), number), 130) if active}
    assert codes & {Code.HEAT, Code.SMOKE}
    assert codes <= {Code.HEAT, Code.SMOKE, Code.CARBON_MONOXIDE}


def test_ordinary_cooking_trips_nothing():
    busy = [home for number in range(1, 30) if (home := _home(QUIET, number)).life.cooks(300)]
    assert len(busy) >= 2
    for home in busy[:2]:
        assert _hazards(home, 800) == [], home.home_id


def test_break_in_arms_leaves_by_the_door_and_breaks_in_after_the_home_is_armed():
    script = scenarios.break_in(0.0, ARMED_AFTER_S)
    home = _home(script)
    states = []
    for second in range(int(script.lasts_s)):
        for message in home.second(second):
            if message.payload[:1] == b"{":
                states.append(
                    (second, parse_sensor_topic(message.topic).sensor_id, json.loads(message.payload))
                )
    [armed] = [second for second, sensor, _ in states if sensor == devices.KEYPAD]
    door = [second for second, sensor, p in states if sensor == devices.FRONT_DOOR and p["contact"] is False]
    window = [
        second for second, sensor, p in states if sensor == devices.KITCHEN_WINDOW and p["contact"] is False
    ]
    assert armed < door[0] < armed + 45
    assert len(window) == 1
    assert window[0] > ARMED_AFTER_S
    intruder = [second for second, _, p in states if p.get("occupancy")]
    assert intruder
    assert min(intruder) > window[0]
