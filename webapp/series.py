"""Evidence → one set of curves for the card: the last minutes of the home's sensors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from schemas.alarms import Evidence, SeriesDoc

SPAN_US: Final = 60 * 60 * 1_000_000
MAX_POINTS: Final = 3600


def merge_series(evidence: Iterable[Evidence]) -> list[SeriesDoc]:
    """Series of several pieces of evidence → one a sensor and quantity, at most the last hour.

    Each piece brings the minutes before it; where they overlap the later one counts, where none has
    data the gap stays a gap (None). Another pace than the newest piece's is left out.

    >>> merge_series([])
    []
    """
    newest_first = sorted(evidence, key=lambda e: e.recorded_us, reverse=True)
    groups: dict[tuple[str, str], list[SeriesDoc]] = {}
    for one in newest_first:
        for series in one.series:
            if series.values and series.period_us > 0:
                groups.setdefault((series.sensor_id, series.quantity), []).append(series)
    return [_merged(group) for group in groups.values()]


def _merged(newest_first: list[SeriesDoc]) -> SeriesDoc:
    head = newest_first[0]
    period = head.period_us
    same_pace = [s for s in newest_first if s.period_us == period]
    end = max(s.start_us + period * len(s.values) for s in same_pace)
    first = max(min(s.start_us for s in same_pace), end - SPAN_US, end - MAX_POINTS * period)
    first = head.start_us + (first - head.start_us) // period * period  # the newest piece's own grid
    slots: list[float | None] = [None] * -(-(end - first) // period)
    for series in reversed(same_pace):
        # One offset for the whole piece: rounding each value would put two into one slot.
        offset = (series.start_us - first) // period
        for slot, value in enumerate(series.values, offset):
            if value is not None and math.isfinite(value) and 0 <= slot < len(slots):
                slots[slot] = value
    return head.model_copy(update={"start_us": first, "values": slots})
