"""The report's figures, page and file."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alarms import Alarm, Evidence
from schemas.events import Category, Code
from tests.webapp.conftest import Desk
from tests.webapp.seed import make_alarm, make_evidence
from webapp import report
from webapp.report import Source

NOW = 1_790_000_000_000_000
SECOND = 1_000_000
NOTHING = Source(frozenset(), frozenset())


def taken(code: Code, after_s: float | None, ago_s: float = 5000, **fields: Any) -> Alarm:
    """An alarm that somebody took after so many seconds."""
    alarm = make_alarm("home-0001", code, NOW, ago_s, **fields)
    if after_s is None:
        return alarm
    return alarm.model_copy(update={"acknowledged_us": alarm.opened_us + int(after_s * SECOND)})


def test_percentiles_and_shares_are_by_category_against_both_limits() -> None:
    fires = [taken(Code.SMOKE, s) for s in (5, 10, 15, 20, 25, 28, 29, 30, 45, 70)]
    made = report.report([*fires, taken(Code.PERIMETER, 100)], {}, NOW)
    life, intrusion = made.handling
    assert (life.category, life.alarms, life.limits_s) == (Category.LIFE, 10, (30, 60))
    assert life.within == (80.0, 90.0)
    assert life.met == (True, False)
    assert (life.p50_s, life.p80_s, life.p98_5_s) == (25, 30, 70)
    assert intrusion.within == (0.0, 100.0)


def test_alarm_that_nobody_takes_counts_by_its_age_once_it_is_late() -> None:
    made = report.report([taken(Code.SMOKE, None, ago_s=3600), taken(Code.SMOKE, None, ago_s=20)], {}, NOW)
    assert [(r.alarms, r.waiting, r.within) for r in made.handling] == [(1, 1, (0.0, 0.0))]


def test_tests_are_in_no_figure_but_their_own() -> None:
    made = report.report([taken(Code.SMOKE, 5, close_out="test"), taken(Code.AC_LOSS, 5)], {}, NOW)
    assert (made.tests, made.opened, made.closed, made.handling) == (1, 2, 0, [])


def test_false_alarms_are_counted_by_cause_sensor_and_model() -> None:
    alarms = [
        taken(Code.SMOKE, 5, close_out="false_cooking"),
        taken(Code.PERIMETER, 5, close_out="false_pet"),
        taken(Code.INTERIOR, 6, close_out="false_pet", ago_s=6000),
        taken(Code.BURGLARY, 5, close_out="real", ago_s=7000),
        taken(Code.GAS, 5, close_out="unknown", ago_s=8000),
    ]
    pet = Source(frozenset({"motion-hall", "sound-hall"}), frozenset({"motion v2"}))
    made = report.report(alarms, {alarms[1].alarm_id: pet, alarms[2].alarm_id: pet}, NOW)
    assert (made.false, made.closed) == (3, 5)
    assert made.causes == [("false_pet", 2), ("false_cooking", 1)]
    assert made.sensors == [("motion-hall", 2), ("sound-hall", 2)]
    assert made.models == [("motion v2", 2)]


@given(st.lists(st.floats(0, 1000), min_size=1), st.floats(0.1, 100))
def test_percentile_is_the_least_value_that_covers_its_share(values: list[float], percent: float) -> None:
    found = report.percentile(values, percent)
    assert 100 * sum(v <= found for v in values) >= percent * len(values) - 1e-6
    assert 100 * sum(v < found for v in values) < percent * len(values) + 1e-6


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """A false alarm of a sensor whose name is a formula and markup."""
    alarm = make_alarm("home-0001", Code.PERIMETER, desk.clock(), 60, close_out="false_pet", state="closed")
    piece: Evidence = make_evidence(alarm, 1, sensor_id="=cmd()<b>x</b>")
    desk.alarms.put(alarm)
    desk.alarms.add_evidence(alarm.alarm_id, piece)
    return desk


def test_page_shows_the_figures_and_markup_stays_text(filled: Desk) -> None:
    page = filled.browser("ben").get("/report")
    assert page.status_code == 200
    assert "1 of 1 closed alarms were false" in page.text
    assert "=cmd()&lt;b&gt;x&lt;/b&gt;" in page.text
    assert "<b>x</b>" not in page.text
    assert "Report" in filled.browser("ben").get("/").text


def test_file_is_csv_without_formulas(filled: Desk) -> None:
    response = filled.browser("ben").get("/report.csv")
    assert response.mimetype == "text/csv"
    rows = list(csv.reader(io.StringIO(response.text)))
    assert rows[0] == ["section", "name", "figure", "value"]
    assert ["false by sensor", "'=cmd()<b>x</b>", "count", "1"] in rows
    assert ["false by cause", "false_pet", "count", "1"] in rows
    assert "handling" not in {row[0] for row in rows}, "young and untaken: not yet a figure"


def test_report_is_the_supervisors(filled: Desk) -> None:
    anna = filled.browser("anna")
    assert anna.get("/report").status_code == 403
    assert anna.get("/report.csv").status_code == 403
    assert "/report" not in anna.get("/").text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("from=yesterday", "not a day like"),
        ("from=2026-01-01&to=2026-06-01", "has 152 days, limits 1 and 92"),
        ("to=9999-12-31", "limits 2020-01-01 and 2026-09-21"),
        ("to=0001-01-01", "limits 2020-01-01 and 2026-09-21"),
        ("from=2026-02-02&to=2026-02-01", "has 0 days"),
    ],
)
def test_period_is_bounded_and_said_so(desk: Desk, query: str, says: str) -> None:
    response = desk.browser("ben").get(f"/report?{query}")
    assert response.status_code == 400
    assert says in response.get_json()["error"]
