"""Who is called when nobody handles an alarm, and that several sweepers come to one result."""

from __future__ import annotations

import threading

import pytest

from schemas.alarms import Alarm, AlarmState
from schemas.events import Code
from tests.webapp import acting
from tests.webapp.fakes import Clock, MemoryAlarms
from tests.webapp.seed import make_alarm
from webapp import escalation, handling
from webapp.lifecycle import Actor
from webapp.sweep import MAX_STEPS, Sweeper

NOW = 1_790_000_000_000_000
SECOND = 1_000_000
ANNA = Actor("u-anna", "Anna")


class Room:
    """Alarms in memory, a clock, and as many sweepers as wanted."""

    def __init__(self) -> None:
        self.alarms, self.clock = MemoryAlarms(), Clock(NOW)
        self.homes_on_test: frozenset[str] = frozenset()

    def open_alarms(self) -> list[Alarm]:
        return self.alarms.open_alarms()

    def sweeper(self) -> Sweeper:
        return Sweeper(self.alarms, self, self.clock)

    def put(self, code: Code = Code.SMOKE, home: str = "home-0001") -> str:
        alarm = make_alarm(home, code, self.clock(), 0)
        self.alarms.put(alarm)
        return alarm.alarm_id

    def actions(self, key: str) -> list[str]:
        return [entry["action"] for entry in self.alarms.history(key)]


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.mark.parametrize(
    ("code", "first_s", "second_s"),
    [(Code.SMOKE, 30, 60), (Code.PERIMETER, 90, 180), (Code.AC_LOSS, 900, 3600)],
)
def test_second_dispatcher_and_supervisor_are_called_at_the_categorys_times(
    code: Code, first_s: int, second_s: int
) -> None:
    alarm = make_alarm("home-0001", code, NOW, 0)
    levels = [
        escalation.level_due(alarm, NOW + s * SECOND) for s in (first_s - 1, first_s, second_s - 1, second_s)
    ]
    assert levels == [0, 1, 1, 2]


def test_holder_who_does_nothing_is_as_silent_as_nobody(room: Room) -> None:
    key, sweeper = room.put(), room.sweeper()
    acting.claim(room.alarms, key, ANNA, NOW)
    room.clock.pass_s(30)
    sweeper.sweep()
    assert room.alarms.alarm(key).escalation == 1
    room.alarms.apply(key, ANNA, lambda a: handling.call(a, ANNA, 1, 0, "no_answer", room.clock()))
    assert room.alarms.alarm(key).escalation == 0, "handled"
    room.clock.pass_s(50)
    sweeper.sweep()
    assert room.alarms.alarm(key).escalation == 0


def test_help_on_its_way_is_not_escalated_while_somebody_has_it() -> None:
    fresh = make_alarm("home-0001", Code.SMOKE, NOW, 0)
    claim = {"user": "u", "name": "U", "fence": 1, "claimed_us": NOW, "expires_us": NOW + 10**12}
    held = Alarm.model_validate({**fresh.model_dump(), "state": "dispatched", "claim": claim})
    assert escalation.level_due(held, NOW + 600 * SECOND) == 0
    lost = held.model_copy(update={"claim": None, "returned_us": NOW})
    assert escalation.level_due(lost, NOW + 600 * SECOND) == 2, "nobody watches it"


def test_crashed_holders_alarm_returns_to_the_queue_and_escalates_from_there(room: Room) -> None:
    key, sweeper = room.put(), room.sweeper()
    acting.claim(room.alarms, key, ANNA, NOW)
    room.alarms.apply(key, ANNA, lambda a: handling.call(a, ANNA, 1, 0, "busy", NOW))
    room.clock.pass_s(90)
    assert sweeper.sweep() == 1
    back = room.alarms.alarm(key)
    assert (back.state, back.claim, back.escalation) == (AlarmState.NEW, None, 0)
    room.clock.pass_s(60)
    sweeper.sweep()
    assert room.alarms.alarm(key).escalation == 2
    assert room.actions(key) == ["claimed", "called", "lapsed", "escalated"]


def test_several_sweepers_at_once_take_each_step_once(room: Room) -> None:
    keys = [room.put(home=f"home-{n:04d}") for n in range(20)]
    for key in keys[:10]:
        acting.claim(room.alarms, key, ANNA, NOW)
    room.clock.pass_s(91)
    sweepers = [room.sweeper() for _ in range(4)]
    threads = [threading.Thread(target=sweeper.sweep) for sweeper in sweepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for sweeper in sweepers:
        assert sweeper.sweep() == 0, "nothing is left to do"
    assert [room.actions(key) for key in keys[:10]] == [["claimed", "lapsed"]] * 10
    assert [room.actions(key) for key in keys[10:]] == [["escalated"]] * 10


def test_storm_is_swept_in_parts_and_life_first(room: Room) -> None:
    for number in range(MAX_STEPS + 5):
        room.put(Code.AC_LOSS, f"home-{number:04d}")
    fire = room.put(Code.SMOKE)
    room.clock.pass_s(900)
    sweeper = room.sweeper()
    assert sweeper.sweep() == MAX_STEPS
    assert room.alarms.alarm(fire).escalation == 2
    assert sweeper.sweep() == 6
    assert sweeper.sweep() == 0


def test_audit_trail_is_anchored_every_minute(room: Room) -> None:
    key, sweeper = room.put(), room.sweeper()
    acting.claim(room.alarms, key, ANNA, NOW)
    sweeper.sweep()
    assert room.alarms.anchors == []
    room.clock.pass_s(60)
    sweeper.sweep()
    assert len(room.alarms.anchors) == 1


def test_home_on_test_is_not_escalated_but_for_life_and_its_leases_run_out(room: Room) -> None:
    fire, broken, held = room.put(Code.SMOKE), room.put(Code.PERIMETER), room.put(Code.AC_LOSS)
    acting.claim(room.alarms, held, ANNA, NOW)
    room.homes_on_test = frozenset({"home-0001"})
    sweeper = room.sweeper()
    room.clock.pass_s(4000)
    sweeper.sweep()
    sweeper.sweep()
    assert [room.alarms.alarm(key).escalation for key in (fire, broken, held)] == [2, 0, 0]
    assert room.alarms.alarm(held).state == "new"
    room.homes_on_test = frozenset()
    sweeper.sweep()
    assert room.alarms.alarm(broken).escalation == 2, "the test is over and it is still there"
