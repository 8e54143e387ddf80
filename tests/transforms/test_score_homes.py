"""The fusion rule, and the composite around it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transforms.homes import home_window, minute_of_scores, score
from tests.transforms.runs import run_batch
from transforms.score_homes import (
    CAPS,
    FUSION_RULE,
    THRESHOLD,
    VOICES,
    ScoreHomes,
    fuse,
    latest,
    read_evidence,
    speaks,
)

GLASS = score("sound-kitchen", 1, "glass_break", 0.94)
FORCED = score("contact-kitchen-window", 1, "forced", 0.9)
PERSON = score("motion-living", 2, "person", 0.9)


def test_a_quiet_home_scores_zero_and_argues_for_nothing():
    fused = fuse(home_window(minute_of_scores(1) + minute_of_scores(2)))

    assert (fused.kind, fused.score, fused.reasons, fused.evidence) == ("", 0.0, [], [])
    assert fused.rule_version == FUSION_RULE


@pytest.mark.parametrize("voice", [GLASS, FORCED, PERSON, score("air-kitchen", 1, "fire", 1.0)])
def test_one_reading_alone_is_never_enough(voice):
    assert fuse(home_window([voice])).kind == ""


def test_breaking_glass_and_a_person_in_an_away_home_are_a_burglary():
    fused = fuse(home_window([GLASS, PERSON]))

    assert fused.kind == "burglary"
    assert fused.reasons == [
        "sound kitchen: glass_break 0.94 (sound-kitchen)",
        "motion living room: person 0.90 (motion-living)",
    ]
    assert fused.score == pytest.approx(1 - (1 - 0.7 * 240 / 255) * (1 - 0.3 * 230 / 255), abs=1e-6)


def test_evidence_is_a_score_document_that_names_sensor_minute_and_model():
    document = read_evidence(fuse(home_window([GLASS, PERSON])).evidence[0])

    assert (document.sensor_id, document.label, document.score) == ("sound-kitchen", "glass_break", 0.941)
    assert (document.minute_us, document.model_version) == (GLASS.minute_us, "sound-1")


@pytest.mark.parametrize(("mode", "kind"), [("disarmed", ""), ("stay", ""), ("away", "burglary")])
def test_people_count_only_in_an_away_home(mode, kind):
    voices = [score("sound-kitchen", 1, "glass_break", 0.9, mode=mode), PERSON._replace(arming_mode=mode)]

    assert fuse(home_window(voices)).kind == kind


@pytest.mark.parametrize(("mode", "kind"), [("disarmed", ""), ("stay", "burglary"), ("away", "burglary")])
def test_glass_and_a_forced_window_count_in_any_armed_home(mode, kind):
    assert fuse(home_window([v._replace(arming_mode=mode) for v in (GLASS, FORCED)])).kind == kind


def test_much_motion_alone_stays_below_its_cap():
    voices = [score(f"motion-{room}", m, "person", 1.0) for room in ("hall", "living") for m in range(5)]

    fused = fuse(home_window(voices))

    assert (fused.kind, fused.score) == ("", CAPS["burglary", "motion"])


@pytest.mark.parametrize("mode", ["disarmed", "stay", "away", ""])
def test_fire_is_heard_in_every_mode(mode):
    voices = [
        score("sound-kitchen", 1, "smoke_alarm", 0.95, mode=mode),
        score("air-kitchen", 1, "fire", 0.9, mode=mode),
    ]

    assert fuse(home_window(voices)).kind == "fire"


def test_two_minutes_of_co_are_a_co_alarm():
    assert fuse(home_window([score("air-bedroom", m, "co", 0.95) for m in (1, 2)])).kind == "co"


def test_life_comes_before_property_when_both_reach_the_threshold():
    fire = [score("air-kitchen", m, "fire", 0.9) for m in (1, 2)]
    burglary = [GLASS, FORCED, PERSON]

    assert fuse(home_window(burglary + fire)).kind == "fire"


def test_the_result_does_not_depend_on_the_order_of_the_scores():
    voices = [
        *minute_of_scores(1, {"sound-kitchen": ("glass_break", 0.9), "motion-hall": ("person", 0.7)}),
        *minute_of_scores(2, {"contact-kitchen-window": ("forced", 0.6), "motion-hall": ("person", 0.9)}),
    ]
    shuffled = random.Random(3).sample(voices, len(voices))

    assert fuse(home_window(voices)) == fuse(home_window(shuffled))


@given(st.lists(st.tuples(st.sampled_from(sorted(VOICES)), st.floats(0, 1)), max_size=12))
def test_more_scores_never_lower_the_fused_score(spoken):
    voices = [
        score(f"{family}-kitchen" if family in ("sound", "air") else "motion-hall", 1)._replace(
            family=family, labels=[label], probabilities=[p]
        )
        for (family, label), p in spoken
    ]
    fused = [fuse(home_window(voices[:n])).score for n in range(len(voices) + 1)]

    if not any(fuse(home_window(voices[:n])).kind for n in range(len(voices) + 1)):
        assert fused == sorted(fused)
    assert all(0 <= value <= 1 for value in fused)


@given(st.sampled_from(sorted(VOICES)), st.floats(0, 1))
def test_what_does_not_speak_changes_nothing(voice, p):
    family, label = voice
    silent = GLASS._replace(family=family, labels=[label], probabilities=[p], sensor_id="another")

    if not speaks(family, [label], [p]):
        assert fuse(home_window([GLASS, PERSON, silent])) == fuse(home_window([GLASS, PERSON]))


def test_every_voice_has_a_cap_and_cannot_reach_the_threshold_alone():
    for (family, _), voice in VOICES.items():
        assert CAPS[voice.kind, family] >= voice.weight
        assert voice.weight < THRESHOLD


def test_the_last_sending_of_a_window_stands_whatever_the_order_it_is_read_in():
    first, last = fuse(home_window([GLASS])), fuse(home_window([GLASS, PERSON]))

    assert latest([last, first, first]) == {("home-1", last.window_end_us): last}


def test_all_windows_are_scored_and_only_those_above_the_threshold_alarm():
    quiet, loud = home_window(minute_of_scores(0), end=1), home_window([GLASS, PERSON], end=3)

    seen = run_batch([quiet, loud], lambda windows: (windows | ScoreHomes())._asdict())

    assert sorted(seen["windows"]) == sorted([fuse(quiet), fuse(loud)])
    assert seen["alarming"] == [fuse(loud)]
