"""What a home hears: its windows, its limits, and which score stands."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.readings import MINUTE_US
from tests.transforms.homes import (
    MINUTE0,
    arrivals,
    close,
    held,
    minute_of_scores,
    score,
    unscored,
)
from transforms.hear_scores import LATE_US, WINDOW_MINUTES, Heard, hear, place, window_contents
from transforms.home_state import MAX_SENSORS, Home, RulesOnly, decode, encode
from transforms.score_homes import fuse, latest

BREAK_IN = {"sound-kitchen": ("glass_break", 0.9), "motion-living": ("person", 0.9)}


def take(home: Home, scores, *, keep_all: bool = False) -> Heard:
    return hear("home-1", home, [place(s) for s in scores], keep_all=keep_all)


def ends(heard: Heard) -> list[int]:
    """Window ends in minutes after `MINUTE0`."""
    return [w.window_end_us // MINUTE_US - MINUTE0 for w in heard.windows]


def test_a_minute_opens_the_windows_that_cover_it():
    assert ends(take(Home(), minute_of_scores(0))) == [1, 2, 3, 4, 5]


def test_a_quiet_minute_then_opens_only_the_one_new_window():
    home = Home()
    take(home, minute_of_scores(0))

    assert ends(take(home, minute_of_scores(1))) == [6]


def test_a_minute_that_speaks_sends_all_its_windows_again():
    home = Home()
    take(home, minute_of_scores(0))

    assert ends(take(home, minute_of_scores(1, BREAK_IN))) == [2, 3, 4, 5, 6]


def test_a_change_of_arming_sends_the_windows_that_now_end_in_it():
    home = Home()
    take(home, minute_of_scores(0, mode="disarmed"))

    heard = take(home, minute_of_scores(1, mode="away"))

    assert ends(heard) == [2, 3, 4, 5, 6]
    assert {w.arming_mode for w in heard.windows} == {"away"}


def test_a_duplicate_changes_nothing():
    home = Home()
    scores = minute_of_scores(0, BREAK_IN)
    take(home, scores)
    before = encode(home)

    again = take(home, scores)

    assert (again.windows, again.added, again.duplicates) == ([], 0, 10)
    assert encode(home) == before


GLASS = score("sound-kitchen", 0, "glass_break", 0.9)


@pytest.mark.parametrize("close_first", [False, True], ids=["small first", "close first"])
def test_a_large_models_score_takes_the_place_of_the_small_ones(close_first):
    home, second = Home(), close(GLASS, "dog", 0.9)
    pair = [second, GLASS] if close_first else [GLASS, second]
    heard = [take(home, [one]) for one in pair]

    assert [h.added for h in heard] == ([1, 0] if close_first else [1, 1])
    (window,) = take(Home(), [second]).windows[-1:]
    assert window_contents("home-1", home, MINUTE0 + 1).scores == window.scores == [held(second)]
    assert decode(encode(home)) == home


def test_silencing_a_voice_sends_its_windows_again_and_they_outrank_the_first_sending():
    home = Home()
    person = score("motion-hall", 0, "person", 0.9)
    first = take(home, [GLASS, person]).windows
    again = take(home, [close(GLASS, "dog", 0.9)]).windows

    assert [w.window_end_us for w in again] == [w.window_end_us for w in first]
    sent = [fuse(window) for window in (*first, *again)]
    standing = latest(random.Random(1).sample(sent, len(sent)))
    assert [fused.kind for fused in sent] == ["burglary"] * 5 + [""] * 5
    assert {fused.kind for fused in standing.values()} == {""}


def test_a_voice_that_only_the_large_model_hears_sends_the_windows_again():
    home = Home()
    take(home, [score("sound-kitchen", 0, "dog", 0.8), score("motion-hall", 0, "person", 0.9)])
    again = take(home, [close(GLASS, "glass_break", 0.95)]).windows
    assert {fuse(window).kind for window in again} == {"burglary"}


def test_a_home_whose_model_fails_says_since_when_until_the_model_is_back():
    home = Home()
    take(home, minute_of_scores(0))
    assert home.rules_only is None
    for minute in range(1, 30):
        scores = [unscored(s) if s.family in ("air", "sound") else s for s in minute_of_scores(minute)]
        take(home, scores)
        assert home.rules_only == RulesOnly((MINUTE0 + 1) * MINUTE_US, ("air", "sound"))
        assert decode(encode(home)) == home
    take(home, [unscored(s) if s.family == "air" else s for s in minute_of_scores(30)])
    assert home.rules_only == RulesOnly((MINUTE0 + 1) * MINUTE_US, ("air",))
    take(home, minute_of_scores(31))
    assert home.rules_only is None


def test_a_redelivered_reading_that_a_model_can_score_now_is_scored():
    home = Home()
    take(home, [unscored(GLASS)])
    assert take(home, [GLASS]).added == 1
    assert window_contents("home-1", home, MINUTE0 + 1).scores == [held(GLASS)]
    assert home.rules_only is None


def test_a_late_minute_is_evaluated_with_all_the_minutes_of_its_windows():
    home = Home()
    for minute in (0, 1, 2, 3, *range(5, 13)):
        take(home, minute_of_scores(minute))

    heard = take(home, [score("sound-kitchen", 4, "glass_break", 0.9, delay_s=480)])

    assert ends(heard) == [5, 6, 7, 8, 9]
    assert len(heard.windows[0].scores) == 41  # minutes 0 to 3 whole, and this one


def test_a_minute_that_is_more_than_ten_minutes_old_goes_to_the_late_branch():
    home = Home()
    old = score("sound-kitchen", 0, "glass_break", 0.9, delay_s=(LATE_US - MINUTE_US) / 1e6 + 1)

    heard = take(home, [old])

    assert (heard.windows, home.minutes) == ([], {})
    (late,) = heard.late
    assert (late.sensor_id, late.minute_us, late.label) == (old.sensor_id, old.minute_us, "glass_break")


def test_a_home_that_moved_on_takes_no_minute_that_it_may_have_forgotten():
    home = Home()
    take(home, minute_of_scores(20))

    heard = take(home, minute_of_scores(5))

    assert (heard.windows, len(heard.late)) == ([], 10)


def test_a_minute_that_runs_ahead_of_arrival_enters_no_window():
    assert len(take(Home(), [score("air-kitchen", 5, "fire", 0.9, delay_s=-300)]).late) == 1


def test_a_home_holds_no_more_minutes_than_may_still_matter():
    home = Home()
    for minute in range(60):
        take(home, minute_of_scores(minute))

    assert len(home.minutes) <= LATE_US // MINUTE_US + WINDOW_MINUTES - 1


def test_a_home_with_too_many_sensors_keeps_the_first_and_sets_the_rest_aside():
    home = Home()
    crowd = [score("air-kitchen", 0)._replace(sensor_id=f"air-{n}") for n in range(MAX_SENSORS + 3)]

    heard = take(home, crowd)

    assert (heard.added, len(heard.late)) == (MAX_SENSORS, 3)


def test_many_model_versions_in_turn_do_not_fill_the_state():
    home = Home()
    for minute in range(200):
        take(home, [s._replace(model_version=f"v{minute}") for s in minute_of_scores(minute)])

    assert len(home.vocabularies) <= 64
    window = take(home, minute_of_scores(200, BREAK_IN)).windows[0]
    assert {s.model_version for s in window.scores} >= {"v199", "v198", "v197", "v196", "sound-1"}


@given(arrivals, st.randoms(use_true_random=False))
def test_with_bounded_input_the_last_contents_of_each_window_do_not_depend_on_the_order(scores, chance):
    def last_contents(order, at_a_time):
        home, last = Home(), {}
        for first in range(0, len(order), at_a_time):
            for w in take(home, order[first : first + at_a_time], keep_all=True).windows:
                last[w.window_end_us] = w.arming_mode
        contents = {end: take_contents(home, end) for end in last}
        return last, contents

    def take_contents(home, end_us):
        return sorted(window_contents("home-1", home, end_us // MINUTE_US).scores)

    unique = list({(s.sensor_id, s.minute_us): s for s in scores}.values())
    shuffled = chance.sample(unique, len(unique))

    assert last_contents(unique, 4) == last_contents(shuffled, 7)


def test_a_window_holds_what_was_heard():
    scores = minute_of_scores(0, BREAK_IN)

    window = take(Home(), random.Random(2).sample(scores, len(scores))).windows[0]

    assert sorted(window.scores) == sorted(held(s) for s in scores)
