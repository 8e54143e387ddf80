"""From message to event: arming, codes, conditions and their restores."""

import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from tests.edge_client.bench import DOOR, NEW, RESTORE, WINDOW
from tests.edge_client.fakes import CODE, DURESS_CODE, START_US, air_frame, motion_frame


def test_break_in_while_away_carries_the_homes_last_minutes(bench):
    bench.arm()
    for second in range(30):
        bench.rich(air_frame(bench.clock.now_us(), temperature_c=20 + second / 10))
        bench.pass_time(1)
    bench.zigbee(WINDOW, {"contact": False})
    bench.core.step()
    [(header, body)] = bench.sent(pb.LANE_URGENT)
    [event] = body.events
    assert (event.code, event.room) == (Code.PERIMETER, "kitchen")
    assert header.arming.mode == pb.ARMING_MODE_AWAY
    assert header.arming.phase == pb.ARMING_PHASE_ABORT_WINDOW
    quantities = {(s.sensor_id, s.quantity) for s in event.series}
    assert {("air-kitchen", "temperature_c"), (WINDOW, "open"), (DOOR, "open")} <= quantities


def test_wrong_code_does_not_disarm_and_the_right_one_cancels(bench):
    bench.arm()
    bench.zigbee(WINDOW, {"contact": False})
    for code in ("0000", "", None):
        bench.zigbee("keypad-hall", {"action": "disarm", "action_code": code})
    bench.core.step()
    assert bench.told() == [(Code.PERIMETER, NEW, WINDOW)]
    bench.zigbee("keypad-hall", {"action": "disarm", "action_code": CODE})
    bench.core.step()
    events = bench.events()
    assert [event.code for event in events] == [Code.CANCEL, Code.PERIMETER, Code.OPEN_CLOSE]
    assert {event.user for event in events} == {"u1"}


def test_duress_code_calls_for_help(bench):
    bench.zigbee("keypad-hall", {"action": "disarm", "action_code": DURESS_CODE})
    bench.core.step()
    assert bench.told() == [(Code.DURESS, NEW, "")]


@pytest.mark.parametrize(
    ("sensor_id", "on", "off", "code"),
    [
        ("smoke-kitchen", {"smoke": True}, {"smoke": False}, Code.SMOKE),
        ("mains", {"mains": False}, {"mains": True}, Code.AC_LOSS),
        ("mains", {"tamper": True}, {"tamper": False}, Code.TAMPER),
        (WINDOW, {"tamper": True}, {"tamper": False}, Code.SENSOR_TAMPER),
        ("mains", {"battery": 10}, {"battery": 90}, Code.LOW_BATTERY),
        (WINDOW, {"battery": 10}, {"battery": 90}, Code.RF_BATTERY),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_condition_is_told_once_and_restored_by_its_id(bench, sensor_id, on, off, code):
    for _ in range(3):
        bench.zigbee(sensor_id, on)
    bench.core.step()
    [opened_event] = bench.events()
    assert (opened_event.code, opened_event.qualifier) == (code, NEW)
    for _ in range(3):
        bench.zigbee(sensor_id, off)
    bench.core.step()
    [restore] = bench.events()
    assert (restore.code, restore.qualifier) == (code, RESTORE)
    assert restore.restores_event_id == opened_event.event_id


def test_retained_panic_is_not_a_panic_but_a_retained_state_counts(bench):
    bench.zigbee("panic-bedroom", {"action": "panic"}, retained=True)
    bench.zigbee("smoke-kitchen", {"smoke": True}, retained=True)
    bench.core.step()
    assert bench.told() == [(Code.SMOKE, NEW, "smoke-kitchen")]


def test_heat_in_the_air_is_an_event_with_its_limit(bench):
    for second in range(200):
        warm = 21 + max(0, second - 100) * 0.5
        bench.rich(air_frame(bench.clock.now_us(), temperature_c=warm))
        bench.pass_time(1, step=1)
    [event] = bench.events()
    assert (event.code, event.qualifier, event.room) == (Code.HEAT, NEW, "kitchen")
    measures = {m.name: (m.value, m.limit) for m in event.measurements}
    assert measures["temperature_excess_c"][0] >= measures["temperature_excess_c"][1] == 6.0


def test_arming_open_alarms_and_dose_survive_a_kill(bench):
    bench.arm()
    for _ in range(300):
        bench.rich(air_frame(bench.clock.now_us(), co_ppm=400))
        bench.pass_time(1, step=1)
    bench.zigbee(WINDOW, {"contact": False})
    bench.core.step()
    [alarm] = bench.events()
    dose = bench.core.rules._air["air-kitchen"].cohb_pct
    assert dose > 3
    bench.kill()
    bench.open()
    assert bench.core.rules.arming.state.mode == "away"
    assert bench.core.rules._air["air-kitchen"].cohb_pct == pytest.approx(dose, abs=0.1)
    bench.zigbee(WINDOW, {"contact": True})
    bench.core.step()
    [restore] = bench.events()
    assert restore.restores_event_id == alarm.event_id


def test_rich_sensor_that_stops_is_missed_and_restored_when_heard(bench):
    bench.rich(motion_frame(START_US))
    bench.pass_time(599, step=1)
    assert bench.told() == []
    bench.pass_time(2, step=1)
    assert bench.told() == [(Code.SUPERVISION, NEW, "motion-hall")]
    bench.rich(motion_frame(bench.clock.now_us()))
    bench.core.step()
    assert bench.told() == [(Code.SUPERVISION, RESTORE, "motion-hall")]
