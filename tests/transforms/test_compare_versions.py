"""Two versions of a model beside each other: where they agree, and which alarms would differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.readings import MINUTE_US
from schemas.warehouse import READINGS_SCORES
from tests.transforms.homes import MINUTE0, close, minute_of_scores, score
from transforms.compare_versions import alarms_of, compare_versions
from transforms.elements import Score
from transforms.read_scores import WITHIN_US, read_scores, score_of_row
from transforms.score_closely import selects
from transforms.write_warehouse import score_row

BREAK_IN = {"sound-kitchen": ("glass_break", 0.9), "motion-living": ("person", 0.9)}
LOUD = {20: BREAK_IN, 40: BREAK_IN}


def fleet(loud: dict[int, dict[str, tuple[str, float]]]) -> list[Score]:
    """An hour of a home; `loud`: minute → what is heard in it."""
    return [one for minute in range(60) for one in minute_of_scores(minute, loud.get(minute))]


def sounds(version: str, scores: list[Score]) -> list[Score]:
    return [one._replace(model_version=version) for one in scores if one.family == "sound"]


def test_alarms_are_runs_of_windows() -> None:
    runs = alarms_of(fleet(LOUD))
    minutes = [(run.first_us // MINUTE_US - MINUTE0, run.last_us // MINUTE_US - MINUTE0) for run in runs]
    assert minutes == [(21, 25), (41, 45)]
    assert {(run.home_id, run.kind) for run in runs} == {("home-1", "burglary")}


def test_the_same_model_agrees_with_itself() -> None:
    report = compare_versions(fleet(LOUD), sounds("sound-2", fleet(LOUD)), "sound-1", "sound-2")
    assert (report["readings"], report["agreement"], report["mean_difference"]) == (120, 1.0, 0.0)
    assert report["alarms"] == {"baseline": 2, "candidate": 2}
    assert report["alarms_gained"] == report["alarms_missed"] == []


def test_alarms_gained_and_missed_are_named_with_home_kind_and_time() -> None:
    candidate = fleet({20: BREAK_IN, 50: {"sound-kitchen": ("glass_break", 0.9)}})
    base = fleet({**LOUD, 50: {"motion-living": ("person", 0.9)}})
    report = compare_versions(base, sounds("sound-2", candidate), "sound-1", "sound-2")
    assert report["agreement"] == pytest.approx(1 - 2 / 120, abs=1e-4)
    assert report["labels_that_differ"] == {"glass_break → quiet": 1, "quiet → glass_break": 1}
    assert report["alarms_missed"] == ["home-1 burglary 2026-03-01 12:36 to 2026-03-01 12:45"]
    assert report["alarms_gained"] == ["home-1 burglary 2026-03-01 12:46 to 2026-03-01 12:55"]


def with_large(scores: list[Score]) -> list[Score]:
    """With what the large model says of each breaking glass: that it is one."""
    return [*scores, *(close(one, "glass_break", 0.95) for one in scores if one.label == "glass_break")]


def test_a_large_score_does_not_hide_what_a_small_candidate_would_not_have_sent_there() -> None:
    base = with_large(fleet({20: BREAK_IN}))
    deaf = sounds("sound-2", fleet({}))
    report = compare_versions(base, deaf, "sound-1", "sound-2")
    assert report["alarms"] == {"baseline": 1, "candidate": 0}
    assert len(report["alarms_missed"]) == 1


def test_a_large_score_counts_for_a_candidate_that_sends_the_reading_there() -> None:
    unsure = {20: {**BREAK_IN, "sound-kitchen": ("dog", 0.3)}}
    base = with_large(fleet({20: BREAK_IN}))
    heard = sounds("sound-2", fleet(unsure))
    assert all(selects(one.family, one.labels, one.probabilities) for one in heard if one.label == "dog")
    report = compare_versions(base, heard, "sound-1", "sound-2")
    assert report["alarms"] == {"baseline": 1, "candidate": 1}
    replayed = [*heard, *(one for one in base if one.model_version == "sound_large-1")]
    found = compare_versions(fleet({20: BREAK_IN}), replayed, "sound-1", "sound-2")
    assert found["alarms"] == {"baseline": 1, "candidate": 1}, "its replay has the large scores"


def test_two_large_models_are_compared_where_both_looked() -> None:
    base = with_large(fleet({20: BREAK_IN, 40: BREAK_IN}))
    doubts = [
        close(one, "dog", 0.9)._replace(model_version="sound_large-2")
        for one in base
        if one.model_version == "sound_large-1"
    ]
    report = compare_versions(base, doubts[:1], "sound_large-1", "sound_large-2")
    assert (report["readings"], report["only_baseline"]) == (1, 1)
    assert report["alarms"] == {"baseline": 2, "candidate": 1}


def test_what_lies_before_the_hour_is_heard_and_not_counted() -> None:
    first_us = (MINUTE0 + 30) * MINUTE_US
    report = compare_versions(
        fleet(LOUD), sounds("sound-2", fleet(LOUD)), "sound-1", "sound-2", first_us, first_us + 30 * MINUTE_US
    )
    assert (report["readings"], report["only_baseline"]) == (60, 0)
    assert report["alarms"] == {"baseline": 1, "candidate": 1}


def test_readings_that_one_of_them_never_saw_make_no_difference() -> None:
    half = [one for one in sounds("sound-2", fleet({})) if one.minute_us >= (MINUTE0 + 30) * MINUTE_US]
    report = compare_versions(fleet({20: BREAK_IN}), half, "sound-1", "sound-2")
    assert (report["readings"], report["only_baseline"]) == (60, 60)
    assert report["alarms_missed"] == []
    assert compare_versions([], half, "sound-1", "sound-2")["agreement"] is None


def test_rows_are_read_back_as_they_were_written_and_copies_once(tmp_path: Path) -> None:
    wanted = [
        score("air-kitchen", 3)._replace(quantities=[1.0, 2.0, float("nan"), 4.0, 5.0, 6.0]),
        score("sound-kitchen", 9, "dog"),
    ]
    folder = tmp_path / "readings_scores"
    folder.mkdir()
    lines = [json.dumps(score_row(one)) for one in wanted]
    (folder / "a.jsonl").write_text("\n".join([*lines, lines[0]]))
    first_us, end_us = MINUTE0 * MINUTE_US, (MINUTE0 + 9) * MINUTE_US
    (found,) = read_scores(str(tmp_path), READINGS_SCORES, first_us, end_us)
    assert repr(found) == repr(wanted[0])  # NaN is not equal to itself
    assert len(list(read_scores(str(tmp_path), READINGS_SCORES, first_us, end_us + MINUTE_US))) == 2
    assert score_of_row(score_row(wanted[1])) == wanted[1]


def test_a_question_to_bigquery_is_bounded_by_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Client:
        def query_and_wait(self, sql: str, **_: object) -> list[object]:
            asked.append(sql)
            return []

        def close(self) -> None:
            """Nothing to close."""

    monkeypatch.setattr("transforms.read_scores.bigquery_client", lambda _: Client())
    assert list(read_scores("bigquery://p.home", READINGS_SCORES, 0, MINUTE_US)) == []
    (sql,) = asked
    assert "WHERE publish_time >= TIMESTAMP '1969-12-31T23:58:00.000000Z' AND publish_time <" in sql


def test_what_arrived_more_than_a_day_late_is_not_compared(tmp_path: Path) -> None:
    late = score("sound-kitchen", 9, "dog")
    late = late._replace(publish_us=late.minute_us + 2 * WITHIN_US)
    (tmp_path / "readings_scores").mkdir()
    (tmp_path / "readings_scores" / "a.jsonl").write_text(json.dumps(score_row(late)))
    found = read_scores(str(tmp_path), READINGS_SCORES, late.minute_us, late.minute_us + MINUTE_US)
    assert list(found) == []
