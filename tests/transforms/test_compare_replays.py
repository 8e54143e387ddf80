"""What two replays of the same messages are said to differ in."""

from __future__ import annotations

from tests.fakes import NOW_US
from tests.transforms.homes import close, home_window, minute_of_scores
from transforms.compare_replays import Replayed, compare, summary, table
from transforms.score_homes import fuse

QUIET = minute_of_scores(0)
LOUD = minute_of_scores(0, {"sound-kitchen": ("glass_break", 0.9)})


def window(scores):
    return fuse(home_window(scores))


def test_equal_replays_have_no_difference() -> None:
    one = Replayed(QUIET, [window(QUIET)], [])
    assert compare(one, one) == []
    assert table([]) == "no difference"


def test_a_changed_reading_and_the_window_that_it_moves_are_shown() -> None:
    base = Replayed(QUIET, [window(QUIET)], [])
    other = Replayed(LOUD, [window(LOUD)], [])
    found = compare(base, other)
    assert [(d.what, d.baseline, d.candidate) for d in found if d.what == "reading"] == [
        ("reading", "quiet 0.800", "glass_break 0.900")
    ]
    numbers = summary(base, other, found)
    assert numbers["differ"]["reading"] == 1
    assert numbers["readings"] == 10
    shown = table(found)
    assert "glass_break 0.900" in shown
    assert shown.splitlines()[0].split() == ["what", "which", "baseline", "candidate"]


def test_the_last_sending_of_a_window_stands_whatever_the_order() -> None:
    first, last = (
        window(QUIET)._replace(publish_us=NOW_US, score=0.1),
        window(LOUD)._replace(publish_us=NOW_US + 1),
    )
    assert compare(Replayed([], [first, last], []), Replayed([], [last, first], [])) == []


def test_what_lies_outside_the_hour_is_not_compared() -> None:
    base, other = Replayed(QUIET, [], []), Replayed(LOUD, [], [])
    minute_us = QUIET[0].minute_us
    assert compare(base, other, minute_us + 1, minute_us + 2) == []


def test_a_large_models_score_stands_beside_the_small_ones_and_counts_as_no_second_reading() -> None:
    second = next(one for one in LOUD if one.sensor_id == "sound-kitchen")
    doubt = close(second, "dog", 0.7)
    found = compare(Replayed([*LOUD, doubt], [], []), Replayed([doubt, *LOUD], [], []))
    assert found == [], "whichever came first"
    base, other = Replayed([*LOUD, doubt], [], []), Replayed(LOUD, [], [])
    (found,) = compare(base, other)
    assert (found.which.split()[-1], found.baseline, found.candidate) == ("(large)", "dog 0.700", "")
    assert summary(base, other, [found])["readings"] == 10


def test_what_was_replayed_before_the_hour_is_not_counted() -> None:
    lead_in = Replayed([*QUIET, *minute_of_scores(1)], [window(QUIET)], [])
    minute_us = QUIET[0].minute_us
    numbers = summary(lead_in, lead_in, [], minute_us + 60_000_000, minute_us + 120_000_000)
    assert (numbers["readings"], numbers["windows"]) == (10, 0)
