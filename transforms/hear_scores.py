"""How a home hears scores: where each is placed in its state, and which five-minute windows change.

Pure functions over `transforms.home_state`, in minutes since 1970 UTC where a score is placed, in µs
elsewhere. A home keeps the minutes that may still change (`LATE_US`) and the four before them that
their windows reach, so that a window that changes late is still evaluated over all of its five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from schemas.readings import MINUTE_US, reading_id
from transforms.elements import Score
from transforms.home_state import (
    MAX_SENSORS,
    MAX_VOCABULARIES,
    MODES,
    HeldSensor,
    Home,
    Minute,
    RulesOnly,
    Vocabulary,
    record,
    records,
)
from transforms.score_homes import HeldScore, HomeWindow, speaks

WINDOW_MINUTES: Final = 5
LATE_US: Final = 10 * MINUTE_US
EARLY_US: Final = 2 * MINUTE_US  # a gateway's clock may run ahead of arrival by as much
_HELD_US: Final = LATE_US + (WINDOW_MINUTES - 1) * MINUTE_US
_MANY_VOCABULARIES: Final = MAX_VOCABULARIES // 2  # from here on those out of use are looked for
PROBABILITY_STEPS: Final = 255
_PROBABILITIES: Final = tuple(step / PROBABILITY_STEPS for step in range(PROBABILITY_STEPS + 1))


class Placed(NamedTuple):
    """A score reduced to what the state keeps, on its way there.

    Attributes:
        minute: Minutes since 1970. mode: index into `MODES`.
        probabilities: One byte a label, in steps of 1/255.
    """

    gateway_id: str
    sensor_id: str
    room: str
    minute: int
    publish_us: int
    mode: int
    vocabulary: Vocabulary
    probabilities: bytes


def place(score: Score) -> Placed:
    """Score → what the state keeps of it.

    Raises:
        ValueError: A probability outside [0, 1], which ScoreReadings does not let pass.
    """
    return Placed(
        score.gateway_id,
        score.sensor_id,
        score.room,
        score.minute_us // MINUTE_US,
        score.publish_us,
        MODES.index(score.arming_mode) if score.arming_mode in MODES else 0,
        Vocabulary(score.family, score.model_version, tuple(score.labels)),
        bytes([int(p * PROBABILITY_STEPS + 0.5) for p in score.probabilities]),
    )


def displaced(home_id: str, placed: Placed) -> Score:
    """A score that no window may take any more, as the late branch gets it (without quantities)."""
    probabilities = [_PROBABILITIES[step] for step in placed.probabilities]
    best = max(range(len(probabilities)), key=probabilities.__getitem__, default=-1)
    minute_us = placed.minute * MINUTE_US
    return Score(
        home_id=home_id,
        gateway_id=placed.gateway_id,
        batch_id="",
        reading_id=reading_id(placed.gateway_id, placed.sensor_id, minute_us).hex(),
        sensor_id=placed.sensor_id,
        room=placed.room,
        family=placed.vocabulary.family,
        minute_us=minute_us,
        publish_us=placed.publish_us,
        arming_mode=MODES[placed.mode],
        label=placed.vocabulary.labels[best] if best >= 0 else "",
        score=probabilities[best] if best >= 0 else 0.0,
        labels=list(placed.vocabulary.labels),
        probabilities=probabilities,
        quantities=[],
        model_version=placed.vocabulary.model_version,
    )


class Heard(NamedTuple):
    """What a group of scores did: windows that changed, and scores that came too late for any.

    Attributes:
        added: Scores taken, those included that stand in another's place.
    """

    windows: list[HomeWindow]
    late: list[Score]
    added: int
    duplicates: int


def hear(home_id: str, home: Home, scores: Iterable[Placed], *, keep_all: bool) -> Heard:
    """Take scores into a home, in any order, and say which of its windows must be sent (again).

    A window is sent when it gets its first score, a score that the fusion rule can hear, or another
    arming mode; a score that is held already changes nothing. A large model's score takes the place of
    the small one's, whichever comes first.

    Args:
        keep_all: For bounded input, whose order is arbitrary: a minute is judged by its own publish
            time alone and never evicted, so the outcome does not depend on the order.
    """
    late: list[Score] = []
    minutes: dict[int, list[Placed]] = {}
    for placed in scores:
        now_us = placed.publish_us if keep_all else max(home.newest_us, placed.publish_us)
        if not -EARLY_US <= now_us - placed.minute * MINUTE_US <= LATE_US:
            late.append(displaced(home_id, placed))
        else:
            minutes.setdefault(placed.minute, []).append(placed)
    modes: dict[int, int | None] = {}
    changed: set[int] = set()
    added = duplicates = 0
    for minute, group in minutes.items():
        ends = range(minute + 1, minute + WINDOW_MINUTES + 1)
        for end in ends:
            if end not in modes:
                modes[end] = _mode_of(home, end)
        held = {sensor: home.vocabularies[word].rank for sensor, word, *_ in records(home, minute)}
        for placed in group:
            sensor = _sensor_index(home, placed)
            if sensor is None:
                late.append(displaced(home_id, placed))
            elif held.get(sensor, -1) >= placed.vocabulary.rank:
                duplicates += 1
            else:
                spoke = sensor in held and _withdraw(home, minute, sensor)
                held[sensor] = placed.vocabulary.rank
                added += 1
                _add(home, sensor, placed)
                if spoke or _speaks(placed):
                    changed.update(ends)
    changed.update(end for end, before in modes.items() if _mode_of(home, end) != before)
    if home.rules_only or any(placed.vocabulary.rank == 0 for group in minutes.values() for placed in group):
        _note_rules_only(home)
    contents: dict[int, list[HeldScore]] = {}
    windows = [window_contents(home_id, home, end, contents) for end in sorted(changed)]
    if not keep_all:
        evict(home)
    return Heard(windows, late, added, duplicates)


def window_contents(
    home_id: str, home: Home, end: int, held: dict[int, list[HeldScore]] | None = None
) -> HomeWindow:
    """The window [end - 5 minutes, end) of a home; `end` in minutes since 1970.

    Args:
        held: Minutes that are decoded already: the windows of a home share four of five.
    """
    held = {} if held is None else held
    scores: list[HeldScore] = []
    for minute in _held_minutes(home, end):
        if minute not in held:
            held[minute] = list(_held_scores(home, minute))
        scores += held[minute]
    mode = _mode_of(home, end)
    return HomeWindow(
        home_id=home_id,
        gateway_id=home.gateway_id,
        window_end_us=end * MINUTE_US,
        publish_us=max((home.minutes[m].publish_us for m in _held_minutes(home, end)), default=0),
        arming_mode=MODES[mode or 0],
        scores=scores,
    )


def _held_scores(home: Home, minute: int) -> Iterator[HeldScore]:
    sensors = list(home.sensors.items())
    for sensor, vocabulary, armed, steps in records(home, minute):
        said = home.vocabularies[vocabulary]
        name, known = sensors[sensor]
        yield HeldScore(
            name,
            known.room,
            said.family,
            minute * MINUTE_US,
            MODES[armed],
            list(said.labels),
            [_PROBABILITIES[step] for step in steps],
            said.model_version,
        )


def evict(home: Home) -> None:
    """Forget minutes that no window may need any more, and then words that no score uses."""
    oldest_us = home.newest_us - _HELD_US
    for minute in [m for m in home.minutes if m * MINUTE_US < oldest_us]:
        del home.minutes[minute]
    if len(home.vocabularies) < _MANY_VOCABULARIES:
        return
    used = {vocabulary for minute in home.minutes for _, vocabulary, *_ in records(home, minute)}
    moved = {old: new for new, old in enumerate(sorted(used))}
    for minute, held in home.minutes.items():
        parts = [record(s, moved[v], mode, steps) for s, v, mode, steps in records(home, minute)]
        held.records = b"".join(parts)
    home.vocabularies = [home.vocabularies[old] for old in sorted(used)]


def _add(home: Home, sensor: int, placed: Placed) -> None:
    if placed.vocabulary not in home.vocabularies:
        home.vocabularies.append(placed.vocabulary)
    word = home.vocabularies.index(placed.vocabulary)
    minute = home.minutes.setdefault(placed.minute, Minute())
    minute.records += record(sensor, word, placed.mode, placed.probabilities)
    minute.mode = max(minute.mode, placed.mode)
    minute.publish_us = max(minute.publish_us, placed.publish_us)
    home.newest_us = max(home.newest_us, placed.publish_us)
    home.gateway_id = placed.gateway_id


def _withdraw(home: Home, minute: int, sensor: int) -> bool:
    """Drop a sensor's record of a minute → whether fusion could hear it."""
    spoke, kept = False, []
    for index, word, mode, steps in records(home, minute):
        if index == sensor:
            said = home.vocabularies[word]
            spoke = speaks(said.family, said.labels, [_PROBABILITIES[step] for step in steps])
        else:
            kept.append(record(index, word, mode, steps))
    home.minutes[minute].records = b"".join(kept)
    return spoke


def _note_rules_only(home: Home) -> None:
    """Look at the newest minute: does a model fail in it?"""
    if not home.minutes:
        return
    newest = max(home.minutes)
    said = [home.vocabularies[word] for _, word, *_ in records(home, newest)]
    families = tuple(sorted({one.family for one in said if one.rank == 0}))
    since_us = home.rules_only.since_us if home.rules_only else newest * MINUTE_US
    home.rules_only = RulesOnly(since_us, families) if families else None


def _sensor_index(home: Home, placed: Placed) -> int | None:
    """Place of a sensor in the home's table; None: one of the tables is full."""
    if placed.vocabulary not in home.vocabularies and len(home.vocabularies) >= MAX_VOCABULARIES:
        return None
    if placed.sensor_id not in home.sensors:
        if len(home.sensors) >= MAX_SENSORS:
            return None
        home.sensors[placed.sensor_id] = HeldSensor(placed.room, placed.vocabulary.family)
    return list(home.sensors).index(placed.sensor_id)


def _speaks(placed: Placed) -> bool:
    probabilities = [_PROBABILITIES[step] for step in placed.probabilities]
    return speaks(placed.vocabulary.family, placed.vocabulary.labels, probabilities)


def _held_minutes(home: Home, end: int) -> list[int]:
    return [m for m in range(end - WINDOW_MINUTES, end) if m in home.minutes]


def _mode_of(home: Home, end: int) -> int | None:
    """Arming mode of a window's newest minute; None: the window holds nothing."""
    held = _held_minutes(home, end)
    return home.minutes[held[-1]].mode if held else None
