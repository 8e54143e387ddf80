"""What two versions of a model said of the same readings → where they agree, and which alarms would differ.

Alarms are counted as fusion would raise them: the home's other scores stay as they are, and those of the
model are once the baseline's and once the candidate's. What the large model said of a reading counts only
beside a version that would have sent the reading there: else it would hide what a small candidate misses.
An alarm is a run of windows of one home and kind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from schemas.models import is_large, line_of
from schemas.readings import MINUTE_US
from transforms.compare_replays import clock
from transforms.elements import Score
from transforms.hear_scores import WINDOW_MINUTES, hear, place
from transforms.home_state import Home
from transforms.score_closely import selects
from transforms.score_homes import fuse

_SHOWN: Final = 50
_Scores = dict[tuple[str, str], Score]  # by home and reading
_APART_US: Final = WINDOW_MINUTES * MINUTE_US  # windows of one sound are no further apart


class AlarmRun(NamedTuple):
    """An alarm that fusion would raise. `first_us`, `last_us`: ends of its windows."""

    home_id: str
    kind: str
    first_us: int
    last_us: int


def alarms_of(scores: Iterable[Score]) -> list[AlarmRun]:
    """Scores, in any order → the alarms that fusion makes of them."""
    homes: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        homes[score.home_id].append(score)
    runs: list[AlarmRun] = []
    for home_id, said in sorted(homes.items()):
        windows = hear(home_id, Home(), [place(score) for score in said], keep_all=True).windows
        ends: dict[str, list[int]] = defaultdict(list)
        for window in windows:
            if kind := fuse(window).kind:
                ends[kind].append(window.window_end_us)
        for kind, times in sorted(ends.items()):
            runs += _runs(home_id, kind, sorted(times))
    return runs


def compare_versions(
    scores: Iterable[Score],
    other: Iterable[Score],
    baseline: str,
    candidate: str,
    first_us: int = 0,
    end_us: int = 1 << 62,
) -> dict[str, Any]:
    """Two versions in numbers.

    Args:
        scores: Of the homes' readings, with those of the baseline. other: those of the candidate, and
            what a large model said of the readings that it selected.
        first_us, end_us: Readings of minutes, and alarms of windows that end, in [first_us, end_us) are
            counted; what lies outside is there so that the first windows are whole.

    Returns:
        Readings that both scored, the share on which their labels agree, the mean difference of the
        baseline's probability, pairs of labels that differ, and alarms kept, gained and missed.
    """
    base, large, rest = _split(scores, baseline)
    new, more, _ = _split(other, candidate)
    both = base.keys() & new.keys()
    large = {key: more[key] for key in both & more.keys()} | large
    pairs = [(base[key], new[key]) for key in sorted(both) if first_us <= base[key].minute_us < end_us]
    differ = Counter(f"{one.label} → {two.label}" for one, two in pairs if one.label != two.label)
    # Only readings that both scored: what one of them never saw is no difference between them.
    rest += [score for said in (base, large) for key, score in said.items() if key not in both]
    before, after = (
        [run for run in alarms_of([*rest, *_cascade(said, large, both)]) if run.last_us > first_us]
        for said in (base, new)
    )
    gained = [run for run in after if not _met(run, before)]
    missed = [run for run in before if not _met(run, after)]
    return {
        "baseline": baseline,
        "candidate": candidate,
        "readings": len(pairs),
        "only_baseline": sum(first_us <= one.minute_us < end_us for one in base.values()) - len(pairs),
        "agreement": round(1 - sum(differ.values()) / len(pairs), 4) if pairs else None,
        "mean_difference": round(sum(map(_difference, pairs)) / len(pairs), 4) if pairs else None,
        "labels_that_differ": dict(differ.most_common(_SHOWN)),
        "alarms": {"baseline": len(before), "candidate": len(after)},
        "alarms_gained": [_shown(run) for run in gained[:_SHOWN]],
        "alarms_missed": [_shown(run) for run in missed[:_SHOWN]],
    }


def _split(scores: Iterable[Score], version: str) -> tuple[_Scores, _Scores, list[Score]]:
    """Scores → by reading those of a version and, if it is a small one's, of its large model; all others."""
    line = version.rpartition("-")[0]
    own: _Scores = {}
    large: _Scores = {}
    rest = []
    for score in scores:
        key = score.home_id, score.reading_id
        if score.model_version == version:
            own[key] = score
        elif line == line_of(score.family) and is_large(score.family, score.model_version):
            large[key] = score
        else:
            rest.append(score)
    return own, large, rest


def _cascade(said: _Scores, large: _Scores, keys: Iterable[tuple[str, str]]) -> Iterator[Score]:
    """What a small version said, and what the large one says of those readings that it selects."""
    for key in keys:
        score = said[key]
        yield score
        if key in large and selects(score.family, score.labels, score.probabilities):
            yield large[key]


def _runs(home_id: str, kind: str, ends: Sequence[int]) -> list[AlarmRun]:
    runs: list[AlarmRun] = []
    for end in ends:
        if runs and end - runs[-1].last_us <= _APART_US:
            runs[-1] = runs[-1]._replace(last_us=end)
        else:
            runs.append(AlarmRun(home_id, kind, end, end))
    return runs


def _met(run: AlarmRun, others: Iterable[AlarmRun]) -> bool:
    return any(
        (other.home_id, other.kind) == (run.home_id, run.kind)
        and other.first_us <= run.last_us
        and run.first_us <= other.last_us
        for other in others
    )


def _difference(pair: tuple[Score, Score]) -> float:
    """Of the probability that the candidate gives to what the baseline said."""
    one, two = pair
    said = dict(zip(two.labels, two.probabilities, strict=True))
    return abs(one.score - said.get(one.label, 0.0))


def _shown(run: AlarmRun) -> str:
    return f"{run.home_id} {run.kind} {clock(run.first_us - _APART_US)} to {clock(run.last_us)}"
