"""A household's day."""

import itertools

import pytest

from local.simulator.household import AWAY, DAY_S, day_plan, habits, stay_at

HOMES, DAYS = range(1, 26), range(20_414, 20_421)  # seven days in a row, a weekend among them


def _plans():
    return [(home, day, day_plan(7, home, day)) for home in HOMES for day in DAYS]


def _mode(plan, second):
    return [mode for at_s, mode in plan.armed if at_s <= second][-1]


def test_same_seed_gives_the_same_day_and_another_seed_another():
    first = day_plan(7, 3, 20_414)
    day_plan.cache_clear()
    habits.cache_clear()
    assert day_plan(7, 3, 20_414) == first
    assert day_plan(8, 3, 20_414) != first
    assert day_plan(7, 3, 20_415) != first


def test_every_person_is_somewhere_all_day():
    for home, day, plan in _plans():
        for stays in plan.people:
            assert (stays[0].start_s, stays[-1].end_s) == (0, DAY_S), (home, day)
            assert (stays[0].asleep, stays[-1].asleep) == (True, True), (home, day)
            for before, after in itertools.pairwise(stays):
                assert before.end_s == pytest.approx(after.start_s), (home, day)
                assert before.end_s > before.start_s, (home, day)


def test_home_is_armed_away_only_while_nobody_is_in():
    away_seconds = 0
    for home, day, plan in _plans():
        for second in range(0, DAY_S, 97):
            if _mode(plan, second) != "away":
                continue
            away_seconds += 97
            # Arming comes 20 s before the last one is out, disarming 12 s after the first is in.
            gone = any(
                all(stay_at(stays, second + slack).place == AWAY for stays in plan.people)
                for slack in (-13, 0, 21)
            )
            assert gone, (home, day, second)
    assert away_seconds > 24 * 3600


def test_windows_are_shut_while_the_home_is_armed():
    spans = 0
    for home, day, plan in _plans():
        for span in plan.open:
            if "window" not in span.what:
                continue
            spans += 1
            for second in range(int(span.start_s), int(span.end_s) + 1):
                assert _mode(plan, second) == "disarmed", (home, day, span)
    assert spans > 100


def test_households_differ():
    drawn = [habits(7, home) for home in range(1, 101)]
    assert {len(habit.workers) for habit in drawn} == {1, 2, 3, 4}
    assert {habit.pet for habit in drawn} == {"none", "cat", "dog"}
    assert 0.3 < sum(habit.arms_at_night for habit in drawn) / 100 < 0.9


def test_weekday_empties_homes_that_a_sunday_fills():
    monday, sunday = 20_416, 20_415  # 2025-11-24 and the day before
    noon = 12 * 3600

    def people_at_home(day):
        return sum(
            stay_at(s, noon).place != AWAY for home in range(1, 101) for s in day_plan(7, home, day).people
        )

    assert people_at_home(monday) < 0.7 * people_at_home(sunday)
