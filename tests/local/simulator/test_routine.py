"""An ordinary household under the gateway's own rules: arming, leaving, coming home raise nothing."""

import datetime as dt
import itertools

import pytest

from edge_client.clock import Moment
from edge_client.messages import parse_frame, parse_zigbee
from edge_client.rules import HomeRules
from local.simulator import household
from local.simulator.enrol import configurations, enrol
from local.simulator.household import DAY_S, day_plan
from local.simulator.scenarios import QUIET
from local.simulator.sensors import SECOND_US, SimulatedHome
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Category, Code, meaning
from schemas.topics import RICH, parse_sensor_topic

DAY = 20_416  # Monday 2025-11-24
HOMES = 12
BEFORE_S, AFTER_S = 75, 130  # the gateway settles for 60 s, the exit delay takes 45 s


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    fleet = enrol(
        tmp_path_factory.mktemp("run"),
        HOMES,
        7,
        project="demo-test",
        broker_host="127.0.0.1",
        broker_port=1,
        now=dt.datetime(2025, 11, 24, tzinfo=dt.UTC),
    )
    return configurations(fleet)


def _moments(action):
    """(home, second of the day) at which a household presses it."""
    return [
        (home, at_s)
        for home in range(1, HOMES + 1)
        for at_s, pressed in day_plan(7, home, DAY).keypad
        if pressed == action
    ]


def _live(config, number, at_s, seconds):
    """The rules' events, and their arming mode at the end, of a home from a second of the day on."""
    start_us = (DAY * DAY_S + int(at_s)) * SECOND_US
    home = SimulatedHome(7, number, start_us, 0, QUIET)
    ids = itertools.count(1)
    rules = HomeRules(config, Moment(start_us, 0), lambda: next(ids).to_bytes(16, "big"))
    sensors = {sensor.id: sensor for sensor in config.sensors}
    signals = []
    for second in range(seconds):
        for message in home.second(second):
            now = Moment(message.due_us, message.due_us - start_us)
            topic = parse_sensor_topic(message.topic)
            sensor = sensors[topic.sensor_id]
            signals += rules.tick(now)
            if topic.channel == RICH:
                frame = parse_frame(message.payload, sensor.id, sensor.wire_kind)
                signals += rules.frame(sensor, frame, now)
            else:
                signals += rules.zigbee(sensor, parse_zigbee(message.payload), now, retained=False)
    return signals, rules.arming.snapshot()


def _alarms(signals):
    return [
        signal
        for signal in signals
        if signal.qualifier == pb.QUALIFIER_NEW and meaning(signal.code).category is not Category.INFORMATION
    ]


def test_last_one_out_arms_the_home_without_an_alarm(configs):
    leaving = _moments("arm_away")
    assert len(leaving) >= 3
    for number, at_s in leaving[:3]:
        signals, arming = _live(configs[number - 1], number, at_s - BEFORE_S, BEFORE_S + AFTER_S)
        assert _alarms(signals) == []
        assert (arming.mode, arming.phase) == (pb.ARMING_MODE_AWAY, pb.ARMING_PHASE_SET)


def test_first_one_back_disarms_within_the_entry_delay(configs):
    back = [
        (number, at_s)
        for number, at_s in _moments("disarm")
        if [mode for moment, mode in day_plan(7, number, DAY).armed if moment < at_s][-1] == "away"
    ]
    assert len(back) >= 3
    for number, at_s in back[:3]:
        signals, arming = _live(configs[number - 1], number, at_s - 150, 210)
        assert _alarms(signals) == []
        assert arming.mode == pb.ARMING_MODE_DISARMED
        assert [s.qualifier for s in signals if s.code == Code.OPEN_CLOSE] == [
            pb.QUALIFIER_RESTORE,  # armed, as the simulation found it
            pb.QUALIFIER_NEW,  # disarmed by who came home
        ]


def test_night_is_armed_stay_and_sleepers_may_turn_over(configs):
    number = next(n for n in range(1, HOMES + 1) if household.habits(7, n).arms_at_night)
    signals, arming = _live(configs[number - 1], number, 2 * 3600, 240)
    assert _alarms(signals) == []
    assert arming.mode == pb.ARMING_MODE_STAY


def test_rising_disarms_before_the_window_is_opened(configs):
    rising = [
        (n, at_s)
        for n, at_s in _moments("disarm")
        if at_s < 11 * 3600 and household.habits(7, n).arms_at_night
    ]
    assert rising
    number, at_s = rising[0]
    signals, arming = _live(configs[number - 1], number, at_s - BEFORE_S, BEFORE_S + 900)
    assert _alarms(signals) == []
    assert arming.mode == pb.ARMING_MODE_DISARMED
