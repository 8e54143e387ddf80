"""Figures are what they say, and docs/detection.md says what was measured."""

from __future__ import annotations

import doctest
import re
from types import ModuleType

import numpy as np
import pytest

from benchmarks.detection import co, figures, glance, home, page, plots
from benchmarks.detection.__main__ import PARTS, main
from serving import cards

RESULTS = page.results()


def test_every_part_has_a_result_a_mark_on_the_page_and_a_module() -> None:
    assert set(RESULTS) == set(PARTS)
    marked = set(re.findall(r"<!-- ([a-z0-9_.-]+) -->", page.PAGE.read_text()))
    assert marked == set(page.tables(RESULTS))


def test_the_page_shows_the_committed_results() -> None:
    text = page.PAGE.read_text()
    assert page.filled(text, page.tables(RESULTS)) == text


def test_every_plot_of_the_page_is_there_and_small() -> None:
    shown = set(re.findall(r"\(detection/([a-z0-9_-]+\.svg)\)", page.PAGE.read_text()))
    assert shown == {path.name for path in page.RESULTS.glob("*.svg")}
    assert all((page.RESULTS / name).stat().st_size <= plots.MAX_BYTES for name in shown)


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_committed_figure_says_where_it_is_from_and_how_sure_it_is(name: str) -> None:
    assert RESULTS[name]["figures"] or name == "speed"  # which says how many, not how often
    for figure in RESULTS[name]["figures"]:
        figures.check(figure)


def test_a_mark_that_nobody_fills_is_refused() -> None:
    with pytest.raises(KeyError):
        page.filled("<!-- a.b -->\n<!-- /a.b -->", {})


@pytest.mark.parametrize(
    ("events", "n", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (81, 263, 0.2527, 0.3676)],  # Newcombe 1998, R. G.
    ids=str,
)
def test_exact_and_wilson_intervals_are_the_published_ones(
    events: int, n: int, low: float, high: float
) -> None:
    exact = figures.proportion("x", events, n, "real", "x", interval="clopper-pearson")
    wilson = figures.proportion("x", events, n, "real", "x")
    assert (exact["low"], exact["high"]) == pytest.approx((low, high), abs=5e-4)
    assert wilson["high"] - wilson["low"] < exact["high"] - exact["low"]


def test_rare_events_have_the_exact_poisson_bounds() -> None:
    made = figures.rate("x", 3, 2.0, "day", "real", "x")
    assert (made["low"], made["high"]) == pytest.approx((0.6187 / 2, 8.7673 / 2), abs=1e-3)
    assert made["upper"] == pytest.approx(7.7537 / 2, abs=1e-3)


def test_the_bootstrap_draws_recordings_not_frames() -> None:
    """A hundred alike frames of a recording are one observation: the interval must not shrink."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, 40)
    once = figures.bootstrapped("x", [np.full(1, m) for m in means], _mean, "real", "x")
    often = figures.bootstrapped("x", [np.full(100, m) for m in means], _mean, "real", "x")
    assert often["high"] - often["low"] == pytest.approx(once["high"] - once["low"])
    assert once["high"] - once["low"] == pytest.approx(2 * 1.96 * means.std() / 40**0.5, rel=0.1)


def test_paired_counts_what_only_one_got_right() -> None:
    first = np.array([True, True, True, False, True, True])
    second = np.array([True, False, False, True, False, True])
    made = figures.paired("x", first, second, np.array([1, 1, 1, 2, 2, 2]), "real", "x")
    assert (made["only_first"], made["only_second"]) == (3, 1)
    assert made["value"] == pytest.approx(2 / 6)
    assert made["p"] == pytest.approx(0.625)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"origin": "both"}, "origin"), ({"low": 0.9}, "outside"), ({"kind": "guess"}, "kind is")],
    ids=["of both origins", "outside of its interval", "of no known kind"],
)
def test_a_dishonest_figure_is_refused(change: dict[str, object], message: str) -> None:
    figure = figures.proportion("x", 1, 2, "real", "x") | change
    with pytest.raises(ValueError, match=message):
        figures.check(figure)


@pytest.mark.parametrize("module", [figures, glance, page, co, home], ids=lambda m: m.__name__[21:])
def test_the_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(SystemExit):
        main(["--part", "smell"])


def test_the_alarm_of_a_concentration_comes_with_its_dose() -> None:
    assert co.alarm_min(np.full(600, 400.0)) == pytest.approx(9.2, abs=0.2)
    assert co.alarm_min(np.full(600, 30.0)) is None


def _mean(parts: list[np.ndarray]) -> float:
    return float(np.concatenate(parts).mean())


# No packaged model takes part in these: the gateway's rule alone, and heads that are trained for the test.
WITHOUT_MODELS = {"co", "corpora"}


@pytest.mark.parametrize("name", sorted(set(PARTS) - WITHOUT_MODELS))
def test_the_models_that_were_measured_are_those_that_are_shipped(name: str) -> None:
    newest = {path.stem.rpartition("-")[0]: path.stem for path in cards.cards()}
    measured = set(RESULTS[name]["models"].values())
    assert measured
    assert measured <= set(newest.values())
