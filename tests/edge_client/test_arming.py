"""Arming: every rule by name, and what holds whatever happens."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.arming import Arming
from edge_client.config import ArmingConfig
from edge_client.signals import OpenSignals
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from tests.edge_client.fakes import Ids, ManualClock

DOOR, WINDOW, HALL = "contact-front-door", "contact-kitchen-window", "motion-hall"
ROLES = {DOOR: "entry", WINDOW: "perimeter", HALL: "interior", "panic": "none"}
NEW, RESTORE = pb.QUALIFIER_NEW, pb.QUALIFIER_RESTORE


class House:
    """An arming machine with its clock; every action returns (code, qualifier, sensor)."""

    def __init__(self, saved=None, opens=None, *, settled=True, clock=None):
        self.clock = clock or ManualClock()
        self.signals = OpenSignals(Ids(), opens)
        self.arming = Arming(ArmingConfig(), ROLES, self.signals, self.clock.moment(), saved)
        if settled:
            self.wait(60)

    def wait(self, seconds):
        return brief(self.arming.tick(self.clock.forward(seconds)))

    def contact(self, sensor_id, is_open):
        return brief(self.arming.contact(sensor_id, is_open, self.clock.moment()))

    def motion(self, occupied=True):
        return brief(self.arming.motion(HALL, occupied, self.clock.moment()))

    def arm(self, mode):
        return brief(self.arming.arm(mode, "u1", self.clock.moment()))

    def disarm(self, **how):
        return brief(self.arming.disarm("u1", self.clock.moment(), **how))

    def panic(self):
        return brief(self.arming.panic("panic", self.clock.moment()))

    def leave(self):
        """Arm away and go out by the front door."""
        out = self.arm("away")
        out += self.contact(DOOR, True) + self.contact(DOOR, False)
        return out + self.wait(60)

    @property
    def mode(self):
        return self.arming.state.mode

    @property
    def phase(self):
        return self.arming.phase


def brief(signals):
    return [(s.code, s.qualifier, s.sensor_id) for s in signals]


@pytest.fixture
def house():
    return House()


@pytest.fixture
def away():
    house = House()
    assert house.leave() == [(Code.OPEN_CLOSE, RESTORE, "")]
    assert (house.mode, house.phase) == ("away", pb.ARMING_PHASE_SET)
    return house


def test_disarmed_home_raises_nothing(house):
    assert house.contact(WINDOW, True) + house.motion() + house.contact(DOOR, True) == []


def test_exit_delay_lets_people_out(house):
    assert house.arm("away") == []
    assert house.phase == pb.ARMING_PHASE_EXIT_DELAY
    assert house.motion() + house.contact(DOOR, True) + house.wait(59) == []
    assert house.phase == pb.ARMING_PHASE_EXIT_DELAY


def test_nobody_leaving_arms_stay(house):
    house.arm("away")
    assert house.wait(60) == [(Code.OPEN_CLOSE, RESTORE, "")]
    assert house.mode == "stay"


def test_window_while_away_is_an_alarm_at_once(away):
    assert away.contact(WINDOW, True) == [(Code.PERIMETER, NEW, WINDOW)]
    assert away.phase == pb.ARMING_PHASE_ABORT_WINDOW
    away.wait(30)
    assert away.phase == pb.ARMING_PHASE_ALARM


def test_closing_the_window_restores_its_alarm(away):
    away.contact(WINDOW, True)
    assert away.contact(WINDOW, False) == [(Code.PERIMETER, RESTORE, WINDOW)]


def test_repeated_report_of_the_same_state_says_nothing(away):
    away.contact(WINDOW, True)
    assert away.contact(WINDOW, True) == []


def test_motion_while_away_is_an_interior_alarm_and_ends(away):
    assert away.motion() == [(Code.INTERIOR, NEW, HALL)]
    assert away.motion(False) == [(Code.INTERIOR, RESTORE, HALL)]


def test_stay_ignores_motion_but_not_windows(house):
    assert house.arm("stay") == [(Code.OPEN_CLOSE, RESTORE, "")]
    assert house.motion() == []
    assert house.contact(WINDOW, True) == [(Code.PERIMETER, NEW, WINDOW)]


def test_door_starts_the_entry_delay_and_a_code_in_time_is_silent(away):
    assert away.contact(DOOR, True) == []
    assert away.phase == pb.ARMING_PHASE_ENTRY_DELAY
    assert away.motion() == []
    away.wait(29)
    assert away.disarm() == [(Code.OPEN_CLOSE, NEW, "")]
    assert away.wait(60) == []


def test_entry_delay_that_runs_out_is_an_alarm(away):
    away.contact(DOOR, True)
    assert away.wait(30) == [(Code.ENTRY_EXIT, NEW, DOOR)]


def test_reopening_the_door_does_not_reset_the_entry_delay(away):
    away.contact(DOOR, True)
    away.wait(20)
    away.contact(DOOR, False)
    away.contact(DOOR, True)
    assert away.wait(10) == [(Code.ENTRY_EXIT, NEW, DOOR)]


def test_window_during_the_entry_delay_does_not_wait(away):
    away.contact(DOOR, True)
    assert away.contact(WINDOW, True) == [(Code.PERIMETER, NEW, WINDOW)]


def test_code_in_the_abort_window_cancels_and_restores(away):
    away.contact(WINDOW, True)
    away.wait(29)
    assert away.disarm() == [
        (Code.CANCEL, NEW, ""),
        (Code.PERIMETER, RESTORE, WINDOW),
        (Code.OPEN_CLOSE, NEW, ""),
    ]


def test_code_after_the_abort_window_restores_without_cancel(away):
    away.contact(WINDOW, True)
    away.wait(31)
    assert away.disarm() == [(Code.PERIMETER, RESTORE, WINDOW), (Code.OPEN_CLOSE, NEW, "")]


def test_swinger_is_shut_down_after_two_trips_and_restored_by_the_code(away):
    trips = []
    for _ in range(5):
        trips += away.contact(WINDOW, True) + away.contact(WINDOW, False)
    assert trips.count((Code.PERIMETER, NEW, WINDOW)) == 2
    assert trips.count((Code.SWINGER, NEW, WINDOW)) == 1
    assert list(away.arming.snapshot().bypassed_sensor_ids) == [WINDOW]
    assert (Code.SWINGER, RESTORE, WINDOW) in away.disarm()
    assert list(away.arming.snapshot().bypassed_sensor_ids) == []


def test_window_open_when_arming_is_bypassed_until_it_closes(house):
    house.contact(WINDOW, True)
    assert (Code.BYPASS, NEW, WINDOW) in house.leave()
    assert house.contact(WINDOW, False) == [(Code.BYPASS, RESTORE, WINDOW)]
    assert house.contact(WINDOW, True) == [(Code.PERIMETER, NEW, WINDOW)]


def test_door_left_open_after_the_exit_delay_is_an_exit_error(house):
    house.arm("away")
    house.contact(DOOR, True)
    assert house.wait(60) == [(Code.OPEN_CLOSE, RESTORE, "")]
    assert house.phase == pb.ARMING_PHASE_ENTRY_DELAY
    assert house.wait(30) == [(Code.EXIT_ERROR, NEW, DOOR)]


@pytest.mark.parametrize("mode", ["disarmed", "stay", "away"])
def test_panic_is_sent_in_every_mode_and_ended_by_a_code(mode):
    house = House(settled=False)
    if mode != "disarmed":
        house.arm(mode)
    assert house.panic() == [(Code.PANIC, NEW, "panic")]
    assert (Code.PANIC, RESTORE, "panic") in house.disarm()


def test_duress_code_disarms_and_calls_for_help(away):
    assert away.disarm(duress=True) == [(Code.DURESS, NEW, ""), (Code.OPEN_CLOSE, NEW, "")]
    assert away.mode == "disarmed"


def test_arming_stay_while_away_takes_no_protection_away(away):
    away.arm("stay")
    assert away.mode == "away"


def test_stay_during_the_exit_delay_ends_it(house):
    house.arm("away")
    assert house.arm("stay") == [(Code.OPEN_CLOSE, RESTORE, "")]
    assert (house.mode, house.phase) == ("stay", pb.ARMING_PHASE_SET)


def restarted(house):
    saved = json.loads(json.dumps(house.arming.state.dump()))
    clock = ManualClock(house.clock.now_us() + 5_000_000)  # steady time begins anew
    return House(saved, house.signals.dump(), settled=False, clock=clock)


def test_restart_keeps_the_mode_and_ignores_sensors_for_a_minute(away):
    house = restarted(away)
    assert house.mode == "away"
    assert house.motion() + house.contact(WINDOW, True) + house.contact(WINDOW, False) == []
    assert house.wait(60) == []
    assert house.contact(WINDOW, True) == [(Code.PERIMETER, NEW, WINDOW)]


def test_window_that_stands_open_after_the_restart_minute_is_an_alarm(away):
    house = restarted(away)
    house.contact(WINDOW, True)
    assert house.wait(60) == [(Code.PERIMETER, NEW, WINDOW)]


def test_power_cut_in_the_entry_delay_does_not_silence_it(away):
    away.contact(DOOR, True)
    assert restarted(away).wait(30) == [(Code.ENTRY_EXIT, NEW, DOOR)]


def test_alarm_from_before_the_restart_is_restored_by_its_own_id(away):
    [alarm] = away.arming.contact(WINDOW, True, away.clock.moment())
    house = restarted(away)
    [restore] = house.arming.contact(WINDOW, False, house.clock.moment())
    assert restore.restores == alarm.event_id


ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1, 10, 29, 30, 31, 60, 61, 300])),
    st.tuples(st.just("contact"), st.sampled_from([DOOR, WINDOW]), st.booleans()),
    st.tuples(st.just("motion"), st.booleans()),
    st.tuples(st.just("arm"), st.sampled_from(["stay", "away"])),
    st.tuples(st.just("panic")),
    st.tuples(st.just("disarm")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_whatever_happens_a_code_restores_everything_once(actions):
    house, told = House(), []
    for name, *arguments in actions:
        if name == "restart":
            house = restarted(house)
            continue
        machine, now = house.arming, house.clock.moment()
        if name == "wait":
            told += machine.tick(house.clock.forward(*arguments))
        elif name == "contact":
            told += machine.contact(*arguments, now)
        elif name == "motion":
            told += machine.motion(HALL, *arguments, now)
        elif name == "arm":
            told += machine.arm(*arguments, "u1", now)
        elif name == "panic":
            told += machine.panic("panic", now)
        else:
            told += machine.disarm("u1", now)
        # Interior motion alarms only away; nothing of intrusion while disarmed.
        if machine.state.mode == "disarmed":
            assert machine.phase == pb.ARMING_PHASE_SET
            assert not machine.state.trips
        assert all(count <= 3 for count in machine.state.trips.values())
        json.dumps(machine.state.dump())
    told += house.arming.disarm("u1", house.clock.moment())
    alone = {Code.OPEN_CLOSE, Code.CANCEL}
    opened = sorted(s.event_id for s in told if s.qualifier == NEW and s.code not in alone)
    restored = sorted(s.restores for s in told if s.qualifier == RESTORE and s.code not in alone)
    assert restored == opened, "every event that opens has one restore"
    assert house.mode == "disarmed"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=20), st.integers(0, 29))
def test_entry_delay_ends_on_time_however_often_the_door_moves(moves, step):
    house = House()
    house.leave()
    house.contact(DOOR, True)
    left, told = 30, []
    for is_open in moves:
        pause = min(step, left)
        told += house.wait(pause)
        left -= pause
        if left == 0:
            break
        told += house.contact(DOOR, is_open)
    told += house.wait(left)
    assert told.count((Code.ENTRY_EXIT, NEW, DOOR)) == 1
