"""Curves of several pieces of evidence become one."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.alarms import Evidence, SeriesDoc
from schemas.events import Code
from tests.webapp.seed import SECOND, make_alarm, make_evidence
from webapp.series import MAX_POINTS, merge_series

NOW = 1_790_000_000_000_000
ALARM = make_alarm("home-0001", Code.SMOKE, NOW, 0)


def piece(number: int, start_s: float, values: Sequence[float | None], period_s: float = 2) -> Evidence:
    """Evidence with one curve; a higher number was recorded later."""
    curve = SeriesDoc(
        sensor_id="air-kitchen",
        kind="air",
        room="kitchen",
        quantity="co_ppm",
        unit="ppm",
        start_us=NOW + int(start_s * SECOND),
        period_us=int(period_s * SECOND),
        values=list(values),
    )
    return make_evidence(ALARM, number, after_s=number, series=[curve])


def test_overlapping_curves_join_and_the_later_one_counts() -> None:
    [joined] = merge_series([piece(1, 0, [1, 1, 1]), piece(2, 4, [2, 2])])
    assert (joined.start_us, joined.values) == (NOW, [1, 1, 2, 2])


def test_time_that_no_curve_covers_is_a_gap() -> None:
    [joined] = merge_series([piece(1, 0, [1]), piece(2, 6, [2])])
    assert joined.values == [1, None, None, 2]


def test_missing_value_of_the_later_curve_keeps_what_the_earlier_one_knew() -> None:
    [joined] = merge_series([piece(1, 0, [1, 1]), piece(2, 0, [None, 2])])
    assert joined.values == [1, 2]


def test_curves_half_a_step_apart_share_one_grid() -> None:
    [joined] = merge_series([piece(1, 0, [1, 1, 1, 1]), piece(2, 3, [2, 2, 2])])
    assert joined.values == [1, 1, 2, 2, 2]
    assert joined.start_us == NOW - SECOND


def test_another_pace_than_the_newest_is_left_out() -> None:
    [joined] = merge_series([piece(1, 0, [9, 9], period_s=60), piece(2, 0, [1, 2])])
    assert joined.values == [1, 2]


def test_not_a_number_is_a_gap_and_length_is_bounded() -> None:
    [joined] = merge_series([piece(1, 0, [float("nan")] + [1.0] * (MAX_POINTS + 50), period_s=1)])
    assert len(joined.values) == MAX_POINTS
    assert joined.values[-1] == 1.0
    [short] = merge_series([piece(1, 0, [float("nan"), 1.0])])
    assert short.values == [None, 1.0]
