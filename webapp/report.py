"""Figures of a period, without IO: handling times against the standard, and what false alarms came from.

Times are those of EN 50518 as domain.md has them; no claim of conformity.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.alarms import Alarm, CloseOutCode
from schemas.events import Category
from webapp.escalation import ESCALATE_S
from webapp.lifecycle import SECOND_US

# Of 100 alarms of a category so many must be taken within the first and the second time.
TARGETS: Final = (80.0, 98.5)
TIMED: Final = (Category.LIFE, Category.INTRUSION)
FALSE: Final = frozenset(
    {CloseOutCode.FALSE_USER, CloseOutCode.FALSE_PET, CloseOutCode.FALSE_COOKING, CloseOutCode.FALSE_SENSOR}
)


class Handling(NamedTuple):
    """How fast alarms of a category were taken; seconds from opened to acknowledged.

    Attributes:
        alarms: Without tests, and without those that wait and are younger than the second limit.
        waiting: Of these nobody has taken yet; they count by their age so far.
        limits_s: The standard's two times.
        within: Percent taken within each.
        p50_s, p80_s, p98_5_s: Nearest-rank percentiles.
    """

    category: Category
    alarms: int
    waiting: int
    limits_s: tuple[int, int]
    within: tuple[float, float]
    p50_s: float
    p80_s: float
    p98_5_s: float

    @property
    def met(self) -> tuple[bool, bool]:
        """Whether each of the standard's two targets was reached."""
        return self.within[0] >= TARGETS[0], self.within[1] >= TARGETS[1]


class Source(NamedTuple):
    """What took part in an alarm: sensors, and models as "family version"."""

    sensors: frozenset[str]
    models: frozenset[str]


class Report(NamedTuple):
    """Everything that the page and the file show.

    Attributes:
        closed: Without tests. false: Of these. tests: Closed as test, in no other figure.
        causes, sensors, models: Name → false alarms in which it took part, most first. An alarm with
            several sensors counts for each.
    """

    handling: list[Handling]
    opened: int
    closed: int
    false: int
    tests: int
    causes: list[tuple[str, int]]
    sensors: list[tuple[str, int]]
    models: list[tuple[str, int]]


def source_of(pieces: Sequence[dict[str, Any]]) -> Source:
    """Evidence, as documents with `sensor_id` and `scores` → what took part."""
    scores = [score for piece in pieces for score in piece.get("scores") or []]
    sensors = {piece.get("sensor_id") for piece in pieces} | {score["sensor_id"] for score in scores}
    models = {f"{score['family']} {score['model_version']}" for score in scores}
    return Source(frozenset(filter(None, sensors)), frozenset(models))


def is_false(alarm: Alarm) -> bool:
    """Closed as something that was not there."""
    return alarm.close_out in FALSE


def report(alarms: Sequence[Alarm], sources: Mapping[str, Source], now_us: int) -> Report:
    """Alarms opened in a period, and by id what took part in the false ones → figures."""
    tests = [a for a in alarms if a.close_out is CloseOutCode.TEST]
    real = [a for a in alarms if a.close_out is not CloseOutCode.TEST]
    false = [a for a in real if is_false(a)]
    took_part = [sources[a.alarm_id] for a in false if a.alarm_id in sources]
    return Report(
        handling=[row for category in TIMED if (row := _handling(category, real, now_us))],
        opened=len(alarms),
        closed=sum(a.close_out is not None for a in real),
        false=len(false),
        tests=len(tests),
        causes=_most([str(a.close_out) for a in false]),
        sensors=_most([sensor for source in took_part for sensor in source.sensors]),
        models=_most([model for source in took_part for model in source.models]),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the least value that `percent` of the values do not exceed.

    >>> percentile([1, 2, 3, 4, 5], 80)
    4
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def as_csv(made: Report) -> str:
    """One table: section, name, figure, value."""
    rows: list[tuple[str, str, str, object]] = [("section", "name", "figure", "value")]
    for row in made.handling:
        figures = {
            "alarms": row.alarms,
            "waiting": row.waiting,
            f"percent within {row.limits_s[0]} s": round(row.within[0], 2),
            f"percent within {row.limits_s[1]} s": round(row.within[1], 2),
            "p50 s": round(row.p50_s, 1),
            "p80 s": round(row.p80_s, 1),
            "p98.5 s": round(row.p98_5_s, 1),
        }
        rows += [("handling", row.category.value, name, value) for name, value in figures.items()]
    for figure in ("opened", "closed", "false", "tests"):
        rows.append(("alarms", "all", figure, getattr(made, figure)))
    for section in ("causes", "sensors", "models"):
        rows += [(f"false by {section[:-1]}", _inert(name), "count", n) for name, n in getattr(made, section)]
    output = io.StringIO()
    csv.writer(output).writerows(rows)
    return output.getvalue()


def _handling(category: Category, alarms: Sequence[Alarm], now_us: int) -> Handling | None:
    limits = ESCALATE_S[category]
    young_us = now_us - limits[1] * SECOND_US
    found = [
        a
        for a in alarms
        if a.category is category and (a.acknowledged_us is not None or a.opened_us < young_us)
    ]
    if not found:
        return None
    until = [now_us if a.acknowledged_us is None else a.acknowledged_us for a in found]
    seconds = [max(0.0, (end - a.opened_us) / SECOND_US) for end, a in zip(until, found, strict=True)]
    first, second = (100.0 * sum(s <= limit for s in seconds) / len(seconds) for limit in limits)
    return Handling(
        category=category,
        alarms=len(found),
        waiting=sum(a.acknowledged_us is None for a in found),
        limits_s=limits,
        within=(first, second),
        p50_s=percentile(seconds, 50),
        p80_s=percentile(seconds, 80),
        p98_5_s=percentile(seconds, 98.5),
    )


def _most(names: Sequence[str]) -> list[tuple[str, int]]:
    return sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))


def _inert(name: str) -> str:
    """A sensor's id comes from a device: a spreadsheet must not take it for a formula (OWASP).

    >>> _inert("=1+1")
    "'=1+1"
    """
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
