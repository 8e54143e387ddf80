"""TrackHomes in a pipeline: streams, batch, and against Beam's own sliding windows."""

from __future__ import annotations

import json
import random
from functools import partial
from types import SimpleNamespace

import apache_beam as beam
import pytest
from apache_beam.transforms.window import SlidingWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from schemas.homes import HomeStatus
from schemas.readings import MINUTE_US
from tests.transforms.homes import (
    EPOCH,
    MINUTE0,
    home_window,
    minute_of_scores,
    publish_us,
    score,
    summary,
    unscored,
)
from tests.transforms.runs import run_batch, run_stream
from transforms.advance_home import (
    SCORES_KEPT_US,
    STATE_KEPT_US,
    HoleReport,
    StatusChange,
    advance,
    forget,
    forgets_us,
)
from transforms.elements import BatchSummary, Score, WindowScore
from transforms.hear_scores import place
from transforms.home_state import Home, decode, encode
from transforms.score_homes import HeldScore, HomeWindow, ScoreHomes, fuse, latest
from transforms.track_homes import TrackHomes

BREAK_IN = {"sound-kitchen": ("glass_break", 0.9), "motion-living": ("person", 0.9)}
FIRE = {"sound-kitchen": ("smoke_alarm", 0.9), "air-kitchen": ("fire", 0.9)}


def stream(steps, **kwargs) -> SimpleNamespace:
    """Bundles of Score and BatchSummary through TrackHomes and ScoreHomes; a number: the watermark
    moves to that minute."""
    steps = [step if isinstance(step, list) else publish_us(step) for step in steps]
    return SimpleNamespace(**run_stream(steps, partial(build, **kwargs)))


def batch(elements) -> SimpleNamespace:
    """The same transforms over bounded input."""
    return SimpleNamespace(**run_batch(elements, build))


def build(elements, **kwargs):
    scores = elements | "OnlyScores" >> beam.Filter(isinstance, Score).with_output_types(Score)
    summaries = elements | "OnlySummaries" >> beam.Filter(isinstance, BatchSummary).with_output_types(
        BatchSummary
    )
    tracked = (scores, summaries) | TrackHomes(**kwargs)
    scored = tracked.windows | ScoreHomes()
    return {
        "windows": scored.windows,
        "statuses": tracked.statuses,
        "holes": tracked.holes,
        "late": tracked.late,
    }


def ends(windows: list[WindowScore]) -> list[int]:
    return [w.window_end_us // MINUTE_US - MINUTE0 for w in windows]


def test_a_break_in_is_scored_on_arrival_without_a_watermark():
    arrivals = [minute_of_scores(0), minute_of_scores(1, BREAK_IN)]

    windows = latest(stream(arrivals).windows)

    assert {end: w.kind for (_, end), w in windows.items() if w.kind} == {
        (MINUTE0 + minute) * MINUTE_US: "burglary" for minute in range(2, 7)
    }
    assert windows["home-1", (MINUTE0 + 1) * MINUTE_US].score == 0.0


def test_a_late_minute_within_ten_refines_its_own_windows():
    arrivals = [minute_of_scores(m) for m in (0, 1, 3, 4, 5)]
    late = minute_of_scores(2, BREAK_IN)

    windows = latest(stream([*arrivals, 8, late]).windows)

    assert sorted(ends([w for w in windows.values() if w.kind])) == [3, 4, 5, 6, 7]


def test_a_minute_that_is_too_late_goes_to_the_late_output_and_opens_no_window():
    arrivals = [minute_of_scores(20), 21, [score("sound-kitchen", 2, "glass_break", 0.9, delay_s=1200)]]

    seen = stream(arrivals)

    assert [(s.sensor_id, s.label) for s in seen.late] == [("sound-kitchen", "glass_break")]
    assert set(ends(seen.windows)) == {21, 22, 23, 24, 25}


def test_a_duplicate_changes_nothing():
    minute = [*minute_of_scores(0, BREAK_IN), summary(1, 0)]

    once, thrice = stream([minute]), stream([minute, minute, 5, minute])

    assert sorted(thrice.windows) == sorted(once.windows)
    assert thrice.statuses == once.statuses
    assert len(once.statuses) == 1


def test_homes_do_not_mix():
    arrivals = [minute_of_scores(0, BREAK_IN) + minute_of_scores(0, home="home-2")]

    windows = latest(stream(arrivals).windows).values()

    assert {w.home_id for w in windows if w.kind} == {"home-1"}
    assert {w.home_id for w in windows} == {"home-1", "home-2"}


def test_a_status_is_sent_when_a_person_would_see_a_change():
    steps = [
        [summary(1, 0)],
        [summary(2, 1)],  # nothing new within the same five minutes
        [summary(3, 2, arming_mode="disarmed")],
        [summary(4, 3, arming_mode="disarmed", battery=89)],
        [summary(5, 9, arming_mode="disarmed", battery=89)],  # seen in another five minutes
    ]

    told = [HomeStatus.model_validate_json(s.status) for s in stream(steps).statuses]

    assert [(t.armed_mode, t.sensors["air-kitchen"].battery_percent) for t in told] == [
        ("away", 90),
        ("disarmed", 90),
        ("disarmed", 89),
        ("disarmed", 89),
    ]
    assert told[-1].last_seen_us % (5 * MINUTE_US) == 0
    assert told[-1].last_seen_us > told[0].last_seen_us
    assert told[0].sensors["air-kitchen"].room == "kitchen"


def test_a_home_whose_model_fails_says_so_until_it_is_scored_again():
    failing = [unscored(s) if s.family == "sound" else s for s in minute_of_scores(1)]
    steps = [
        [summary(1, 0), *minute_of_scores(0)],
        [summary(2, 1), *failing],
        [summary(3, 2), *(s._replace(minute_us=s.minute_us + MINUTE_US) for s in failing)],
        [summary(4, 3), *minute_of_scores(3)],
    ]

    told = [HomeStatus.model_validate_json(s.status) for s in stream(steps).statuses]

    since_us = (MINUTE0 + 1) * MINUTE_US
    assert [(t.rules_only_since_us, t.rules_only_families) for t in told] == [
        (None, []),
        (since_us, ["sound"]),
        (None, []),
    ]


def test_replayed_batches_do_not_fake_life():
    old = [summary(1, 0), summary(2, 1, arming_mode="disarmed")]
    replayed = [s._replace(publish_us=publish_us(30)) for s in old]

    statuses = stream([old, 29, replayed]).statuses

    assert len(statuses) == 1


def test_a_replayed_batch_does_not_make_the_minutes_of_now_late():
    steps = [[summary(1, 0), *minute_of_scores(0)], [summary(1, 0, publish_us=publish_us(40))]]

    seen = stream([*steps, minute_of_scores(1)])

    assert seen.late == []
    assert 6 in ends(seen.windows)


def test_the_path_prover_is_nobodys_home():
    seen = stream([[summary(1, 0, home="synthetic", synthetic=True)]])

    assert seen.statuses == []


@pytest.mark.parametrize(("report_holes", "expected"), [(True, [[2, 3], []]), (False, [])])
def test_holes_are_reported_when_they_open_and_close(report_holes, expected):
    steps = [[summary(1, 0)], [summary(4, 3)], [summary(2, 1), summary(3, 2)]]

    reports = stream(steps, report_holes=report_holes).holes

    assert [r.first_seqs and [r.first_seqs[0], r.last_seqs[0]] for r in reports] == expected


def test_a_silent_home_is_forgotten_in_two_steps():
    home = Home()
    scores = [place(s) for s in minute_of_scores(0)]
    advance("home-1", home, scores, [summary(1, 0)], keep_all=False)
    heard_us = publish_us(0)

    assert forget(home, heard_us + SCORES_KEPT_US - 1)
    assert home.minutes
    assert forgets_us(home) == heard_us + SCORES_KEPT_US
    before = decode(encode(home)).ledger

    assert forget(home, heard_us + SCORES_KEPT_US)
    assert (home.minutes, home.vocabularies) == ({}, [])
    assert home.ledger == before  # a replay must still be known
    assert forgets_us(home) == heard_us + STATE_KEPT_US
    assert not forget(home, heard_us + STATE_KEPT_US)


def test_after_a_day_of_silence_a_home_starts_anew_but_its_old_batches_stay_known():
    a_day = 24 * 60 + 5
    steps = [
        [*minute_of_scores(0, BREAK_IN), summary(1, 0)],
        a_day,
        [summary(1, 0)],  # replayed
        [*minute_of_scores(a_day), summary(2, a_day)],
    ]

    seen = stream(steps)

    assert len(seen.statuses) == 2
    assert set(ends(seen.windows)) == {1, 2, 3, 4, 5, *range(a_day + 1, a_day + 6)}


def an_hour(chance: random.Random) -> list[Score]:
    """Three homes, 40 minutes, with events, gaps, changes of arming and lateness of up to eight minutes."""
    scores: list[Score] = []
    for home, story in (("home-1", BREAK_IN), ("home-2", FIRE), ("home-3", {})):
        for minute in range(40):
            mode = "away" if 10 <= minute < 30 else "disarmed"
            loud = story if minute in (12, 13, 25) else {}
            kept = [s for s in minute_of_scores(minute, loud, home=home, mode=mode) if chance.random() < 0.9]
            delay_us = int(chance.choice([1, 1, 1, 90, 480]) * 1e6)
            scores += [s._replace(publish_us=s.publish_us + delay_us) for s in kept]
    return sorted(scores, key=lambda s: s.publish_us)


class FuseSliding(beam.DoFn):
    """A home's sliding window, as Beam groups it → its fused score."""

    def process(self, element, window=beam.DoFn.WindowParam):
        home_id, scores = element
        contents = home_window(sorted(scores, key=lambda s: s.minute_us))
        newest = max(s.minute_us for s in scores)
        mode = next(s.arming_mode for s in scores if s.minute_us == newest)
        yield fuse(
            contents._replace(
                home_id=home_id,
                gateway_id=f"gw-{home_id}",
                window_end_us=window.end.micros,
                arming_mode=mode,
            )
        )


def slide(scores):
    fused = (
        scores
        | beam.Map(lambda s: TimestampedValue((s.home_id, s), Timestamp(micros=s.minute_us)))
        | beam.WindowInto(SlidingWindows(300, 60))
        | beam.GroupByKey()
        | beam.ParDo(FuseSliding())
    )
    return {"windows": fused}


def sliding_windows(scores: list[Score]) -> dict[tuple[str, int], WindowScore]:
    """The same windows by Beam's own means, in event time."""
    return {(w.home_id, w.window_end_us): w for w in run_batch(scores, slide)["windows"]}


def what_it_says(windows: dict[tuple[str, int], WindowScore]) -> dict[tuple[str, int], WindowScore]:
    """Window scores without the time of arrival, which says when and not what."""
    return {key: w._replace(publish_us=0) for key, w in windows.items()}


def test_stream_and_batch_equal_beams_sliding_windows_over_the_same_scores():
    chance = random.Random(7)
    scores = an_hour(chance)
    bundles = [scores[first : first + 23] for first in range(0, len(scores), 23)]
    shuffled = chance.sample(scores, len(scores))

    expected = what_it_says(sliding_windows(scores))

    assert {w.kind for w in expected.values()} == {"", "burglary", "fire"}
    assert what_it_says(latest(stream(bundles).windows)) == expected
    assert what_it_says(latest(batch(shuffled).windows)) == expected


def test_a_home_of_ten_sensors_holds_about_two_kilobytes():
    home = Home()
    for minute in range(30):
        scores = [place(s) for s in minute_of_scores(minute)]
        advance("home-1", home, scores, [summary(minute + 1, minute)], keep_all=False)

    assert len(encode(home)) < 2_200


@pytest.mark.parametrize("element", [HomeWindow, HeldScore, StatusChange, HoleReport])
def test_outputs_have_a_registered_row_coder(element):
    assert isinstance(beam.coders.registry.get_coder(element), beam.coders.RowCoder)


def test_status_is_json_of_the_shared_document():
    (change,) = stream([[summary(1, 0)]]).statuses

    assert json.loads(change.status)["schema_version"] == 1
    assert HomeStatus.model_validate_json(change.status).home_id == change.home_id == "home-1"
    assert EPOCH not in change.status


def test_windows_of_quiet_homes_are_sent_once():
    bundles = [minute_of_scores(m) for m in range(20)]

    assert sorted(ends(stream(bundles).windows)) == list(range(1, 25))
