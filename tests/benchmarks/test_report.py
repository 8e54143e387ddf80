"""Figures of a report: percentiles, targets, and what every report carries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import Target, percentiles


def test_percentiles_are_values_that_occurred() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert percentiles(hundred[::-1]) == {"n": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_percentiles_of_one_value_are_that_value() -> None:
    assert percentiles([0.25]) == {"n": 1, "p50": 0.25, "p95": 0.25, "p99": 0.25, "max": 0.25}


def test_percentiles_of_nothing_are_none_and_no_zero() -> None:
    assert set(percentiles([]).values()) == {0, None}
    assert percentiles([])["p95"] is None


@pytest.mark.parametrize(
    ("value", "sense", "met"),
    [(1.0, "at most", True), (1.01, "at most", False), (1.0, "at least", True), (0.99, "at least", False)],
)
def test_a_target_is_met_up_to_and_at_its_limit(value: float, sense: str, met: bool) -> None:
    target = Target("x", value, sense, 1.0, "s")  # type: ignore[arg-type]
    assert target.met is met
    assert ("MISSED" in target.line()) is not met


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_was_not_measured_is_not_met(value: float | None) -> None:
    assert not Target("x", value, "at least", 0.0, "s").met


def test_a_report_says_where_when_and_on_which_commit_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "report.json"
    targets = [Target("latency", 0.5, "at most", 1.0, "s")]
    report.write(path, report.document("latency", {"homes": 3}, targets, 0.25))
    found = json.loads(path.read_text())
    assert found["benchmark"] == "latency"
    assert found["homes"] == 3
    assert {"cpu", "cores", "memory_gib", "load_1min_before"} <= set(found["machine"])
    assert {"head", "dirty"} == set(found["commit"])
    assert {"python", "apache-beam"} <= set(found["versions"])
    assert found["targets"] == [
        {"name": "latency", "value": 0.5, "sense": "at most", "limit": 1.0, "unit": "s", "met": True}
    ]


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        report.write(tmp_path / "report.json", {"value": float("nan")})


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path) -> None:
    assert report.commit(tmp_path) == {"head": "", "dirty": None}
