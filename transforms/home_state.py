"""What TrackHomes knows of one home: pure functions over a compact, versioned state. No Beam here.

Time is counted in minutes since 1970 UTC where a score is placed, in µs elsewhere. The state keeps
the minutes that may still change (`LATE_US`) and the four before them that their windows reach, so
that a window that changes late is still evaluated over all of its five minutes.
"""

from __future__ import annotations

import json
import marshal
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.models import UNSCORED, is_large
from schemas.readings import MINUTE_US, READING_KINDS, reading_id
from transforms.elements import BatchSummary, Score
from transforms.gateway_ledger import Ledger
from transforms.score_homes import HeldScore, HomeWindow, speaks

STATE_VERSION: Final = 2
# Version 2 of marshal has neither references nor interning: equal values give equal bytes, under
# every Python so far. It is never fed bytes from outside.
_MARSHAL: Final = 2

WINDOW_MINUTES: Final = 5
LATE_US: Final = 10 * MINUTE_US
EARLY_US: Final = 2 * MINUTE_US  # a gateway's clock may run ahead of arrival by as much
_HELD_US: Final = LATE_US + (WINDOW_MINUTES - 1) * MINUTE_US
MAX_SENSORS: Final = 255
MAX_VOCABULARIES: Final = 32
_WORDS: Final = 64  # what the six bits of a record can point at
PROBABILITY_STEPS: Final = 255
_PROBABILITIES: Final = tuple(step / PROBABILITY_STEPS for step in range(PROBABILITY_STEPS + 1))

MODES: Final = ("", "disarmed", "stay", "away")
KINDS: Final = ("", *READING_KINDS.values())
_MINUTE: Final = struct.Struct(">IqBI")  # minute, publish_us, mode, bytes of records


class Vocabulary(NamedTuple):
    """What one model can say; a score refers to it by its place in the state."""

    family: str
    model_version: str
    labels: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Of two scores of one reading the higher stands: none, the small model's, the large one's."""
        if self.model_version == UNSCORED:
            return 0
        return 2 if is_large(self.family, self.model_version) else 1


class RulesOnly(NamedTuple):
    """Families whose model fails, so that rules alone watch: `since_us` is the minute it began in."""

    since_us: int
    families: tuple[str, ...]


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


@dataclass
class Minute:
    """The scores of one minute: records of [sensor, mode << 6 | vocabulary, probabilities...] bytes."""

    publish_us: int = 0
    mode: int = 0
    records: bytes = b""


@dataclass
class HeldSensor:
    """A sensor of the home. `seq`: of the batch that `battery_percent` comes from, -1 for none."""

    room: str
    kind: str
    battery_percent: int | None = None
    seq: int = -1


@dataclass
class Home:
    """State of one home. `newest_us`: newest publish time. `rules_only`: None while models work."""

    gateway_id: str = ""
    newest_us: int = 0
    vocabularies: list[Vocabulary] = field(default_factory=list)
    sensors: dict[str, HeldSensor] = field(default_factory=dict)
    minutes: dict[int, Minute] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    rules_only: RulesOnly | None = None


def encode(home: Home) -> bytes:
    """Home → bytes: the same for equal homes."""
    rooms = sorted({sensor.room for sensor in home.sensors.values()})
    text = json.dumps(
        [
            home.gateway_id,
            rooms,
            [[v.family, v.model_version, *v.labels] for v in home.vocabularies],
            [
                [name, rooms.index(s.room), KINDS.index(s.kind), s.battery_percent, s.seq]
                for name, s in home.sensors.items()
            ],
            *([home.rules_only] if home.rules_only else []),  # mostly absent, as in state from before it
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    minutes = b"".join(
        _MINUTE.pack(key, m.publish_us, m.mode, len(m.records)) + m.records
        for key, m in sorted(home.minutes.items())
    )
    return marshal.dumps((STATE_VERSION, home.newest_us, text, minutes, home.ledger.plain()), _MARSHAL)


def decode(data: bytes) -> Home:
    """The inverse of `encode`.

    Raises:
        ValueError: State of another version: the job needs that version's code or a migration.
    """
    version, *rest = marshal.loads(data)
    if version != STATE_VERSION:
        raise ValueError(f"state has version {version}, known versions: {STATE_VERSION}")
    newest_us, text, minutes, ledger = rest
    gateway_id, rooms, words, sensors, *more = json.loads(text)
    return Home(
        gateway_id=gateway_id,
        newest_us=newest_us,
        vocabularies=[Vocabulary(family, model, tuple(labels)) for family, model, *labels in words],
        sensors={name: HeldSensor(rooms[room], KINDS[kind], *rest) for name, room, kind, *rest in sensors},
        minutes=dict(_read_minutes(minutes)),
        ledger=Ledger.of_plain(ledger),
        rules_only=RulesOnly(more[0][0], tuple(more[0][1])) if more else None,
    )


def _read_minutes(data: bytes) -> Iterator[tuple[int, Minute]]:
    at = 0
    while at < len(data):
        key, publish_us, mode, size = _MINUTE.unpack_from(data, at)
        at += _MINUTE.size + size
        yield key, Minute(publish_us, mode, data[at - size : at])


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
        held = {sensor: home.vocabularies[word].rank for sensor, word, *_ in _records(home, minute)}
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
    for sensor, vocabulary, armed, steps in _records(home, minute):
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
    if len(home.vocabularies) < MAX_VOCABULARIES:
        return
    used = {vocabulary for minute in home.minutes for _, vocabulary, *_ in _records(home, minute)}
    moved = {old: new for new, old in enumerate(sorted(used))}
    for minute, held in home.minutes.items():
        parts = [bytes((s, mode << 6 | moved[v])) + steps for s, v, mode, steps in _records(home, minute)]
        held.records = b"".join(parts)
    home.vocabularies = [home.vocabularies[old] for old in sorted(used)]


def name_sensors(home: Home, summary: BatchSummary) -> None:
    """Take the sensors that an accepted batch tells of, after the ledger took the batch.

    The newest batch of the present epoch says the battery, whatever the order of arrival; any other
    only adds sensors that nobody knew.
    """
    present = home.ledger.present
    current = present is not None and present.key == (summary.gateway_id, summary.epoch)
    for name, room, kind, battery in sensors_of(summary):
        held = home.sensors.get(name)
        if kind not in KINDS or (held is None and len(home.sensors) >= MAX_SENSORS):
            continue
        if held is None or (current and summary.seq > held.seq):
            home.sensors[name] = HeldSensor(room, kind, battery, summary.seq if current else -1)


def sensors_of(summary: BatchSummary) -> Iterator[tuple[str, str, str, int | None]]:
    """(sensor_id, room, kind, battery percent) of each sensor in `BatchSummary.sensors`."""
    for name, status in json.loads(summary.sensors or "{}").items():
        yield name, status["room"], status["kind"], status.get("battery_percent")


def _records(home: Home, minute: int) -> Iterator[tuple[int, int, int, bytes]]:
    """(sensor, vocabulary, mode, probabilities) of each score held for a minute."""
    records = home.minutes[minute].records if minute in home.minutes else b""
    at = 0
    while at < len(records):
        start, word, mode = at + 2, records[at + 1] & 63, records[at + 1] >> 6
        end = start + len(home.vocabularies[word].labels)
        yield records[at], word, mode, records[start:end]
        at = end


def _add(home: Home, sensor: int, placed: Placed) -> None:
    if placed.vocabulary not in home.vocabularies:
        home.vocabularies.append(placed.vocabulary)
    word = home.vocabularies.index(placed.vocabulary)
    minute = home.minutes.setdefault(placed.minute, Minute())
    minute.records += bytes((sensor, placed.mode << 6 | word)) + placed.probabilities
    minute.mode = max(minute.mode, placed.mode)
    minute.publish_us = max(minute.publish_us, placed.publish_us)
    home.newest_us = max(home.newest_us, placed.publish_us)
    home.gateway_id = placed.gateway_id


def _withdraw(home: Home, minute: int, sensor: int) -> bool:
    """Drop a sensor's record of a minute → whether fusion could hear it."""
    spoke, kept = False, []
    for record in _records(home, minute):
        index, word, mode, steps = record
        if index == sensor:
            said = home.vocabularies[word]
            spoke = speaks(said.family, said.labels, [_PROBABILITIES[step] for step in steps])
        else:
            kept.append(bytes((index, mode << 6 | word)) + steps)
    home.minutes[minute].records = b"".join(kept)
    return spoke


def _note_rules_only(home: Home) -> None:
    """Look at the newest minute: does a model fail in it?"""
    if not home.minutes:
        return
    newest = max(home.minutes)
    said = [home.vocabularies[word] for _, word, *_ in _records(home, newest)]
    families = tuple(sorted({one.family for one in said if one.rank == 0}))
    since_us = home.rules_only.since_us if home.rules_only else newest * MINUTE_US
    home.rules_only = RulesOnly(since_us, families) if families else None


def _sensor_index(home: Home, placed: Placed) -> int | None:
    """Place of a sensor in the home's table; None: one of the tables is full."""
    if placed.vocabulary not in home.vocabularies and len(home.vocabularies) >= _WORDS:
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
