"""Two replays of the same messages → what differs in scores, windows, episodes and their evidence."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from schemas.alarms import Alarm
from schemas.models import is_large
from transforms.elements import Score, WindowScore
from transforms.raise_alarms import EpisodeChange

# Below this two scores are the same: float noise of another machine.
SAME: Final = 1e-4
_COMPARED: Final = ("avs_level", "headline", "evidence_count", "occurred_us", "restored_us", "cancelled_us")


class Replayed(NamedTuple):
    """What one model version said."""

    scores: list[Score]
    windows: list[WindowScore]
    episodes: list[EpisodeChange]


class Difference(NamedTuple):
    """One thing that the versions disagree on.

    Attributes:
        what: "reading", "window" or "episode".
        which: Sensor and minute, end of the window, or kind and id of the episode.
        baseline, candidate: What each said; "" if it has no such thing.
    """

    what: str
    which: str
    baseline: str
    candidate: str


def compare(
    baseline: Replayed, candidate: Replayed, first_us: int = 0, end_us: int = 1 << 62
) -> list[Difference]:
    """Differences in the order of time, episodes last.

    Args:
        first_us, end_us: Readings of minutes, and windows that end, in [first_us, end_us) are compared;
            what lies outside was replayed so that the first windows are whole.
    """
    return [
        *_differences("reading", *(_readings(r.scores, first_us, end_us) for r in (baseline, candidate))),
        *_differences("window", *(_windows(r.windows, first_us, end_us) for r in (baseline, candidate))),
        *_differences("episode", *(_episodes(r.episodes) for r in (baseline, candidate))),
    ]


def _differences(what: str, base: dict[str, Any], other: dict[str, Any]) -> list[Difference]:
    return [
        Difference(what, which, _shown(base.get(which)), _shown(other.get(which)))
        for which in sorted(base.keys() | other.keys())
        if not _same(base.get(which), other.get(which))
    ]


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    (text, number), (other_text, other_number) = one, other
    return bool(text == other_text and abs(number - other_number) <= SAME)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value[0]} {value[1]:.3f}".strip()


def _readings(scores: Iterable[Score], first_us: int, end_us: int) -> dict[str, tuple[str, float]]:
    """By sensor and minute; what a large model said of the same reading stands beside it."""
    return {
        f"{clock(s.minute_us)} {s.sensor_id}{_tier(s)}": (s.label or "nothing", s.score)
        for s in scores
        if first_us <= s.minute_us < end_us
    }


def _tier(score: Score) -> str:
    return " (large)" if is_large(score.family, score.model_version) else ""


def _windows(windows: Iterable[WindowScore], first_us: int, end_us: int) -> dict[str, tuple[str, float]]:
    standing: dict[int, WindowScore] = {}
    for window in sorted(windows, key=lambda w: (w.publish_us, w.heard)):
        if first_us < window.window_end_us <= end_us:
            standing[window.window_end_us] = window
    return {
        f"to {clock(end)}": ("; ".join([window.kind or "nothing", *window.reasons]), window.score)
        for end, window in standing.items()
    }


def _episodes(changes: Iterable[EpisodeChange]) -> dict[str, tuple[str, float]]:
    found = {}
    for change in changes:
        alarm = Alarm.model_validate_json(change.alarm)
        fields = ", ".join(f"{name}={getattr(alarm, name)}" for name in _COMPARED)
        found[f"{alarm.kind} {alarm.alarm_id}"] = (f"{fields}, evidence={change.evidence_id}", 0.0)
    return found


def summary(
    baseline: Replayed,
    candidate: Replayed,
    differences: list[Difference],
    first_us: int = 0,
    end_us: int = 1 << 62,
) -> dict[str, Any]:
    """Both versions in numbers: models, readings and windows of the baseline, and how many of each differ.

    Args:
        first_us, end_us: As of `compare`.
    """
    counts: dict[str, int] = defaultdict(int)
    for difference in differences:
        counts[difference.what] += 1
    return {
        "models": {
            name: sorted({f"{s.family} {s.model_version}" for s in replayed.scores})
            for name, replayed in (("baseline", baseline), ("candidate", candidate))
        },
        "readings": len({s.reading_id for s in baseline.scores if first_us <= s.minute_us < end_us}),
        "windows": len(_windows(baseline.windows, first_us, end_us)),
        "episodes": {"baseline": len(baseline.episodes), "candidate": len(candidate.episodes)},
        "differ": {what: counts[what] for what in ("reading", "window", "episode")},
    }


def table(differences: list[Difference], width: int = 44) -> str:
    """A table for a terminal; what does not fit is cut, the JSON has it whole."""
    if not differences:
        return "no difference"
    rows = [Difference("what", "which", "baseline", "candidate"), *differences]
    cut = [[cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cut) for column in range(4)]
    lines = [
        "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in cut
    ]
    return "\n".join([lines[0], "  ".join("-" * wide for wide in widths), *lines[1:]])


def clock(us: int) -> str:
    """µs since 1970 → UTC to the minute.

    >>> clock(0)
    '1970-01-01 00:00'
    """
    return (dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M")
