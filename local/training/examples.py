"""Examples of motion, contact and air; the pair of inputs and labels that training passes around."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from local.recordings import FireCurve, RoomMinutes
from local.signals.accel import Incident, accel_minute
from local.signals.air import T_SQUARED, Activity, RoomAir
from local.signals.pir import Movement, pir_minute
from schemas.features import air_features, contact_features, motion_features
from schemas.labels import CLASSES

Rng = np.random.Generator

MOTION_CLASSES: Final = CLASSES["motion"]
CONTACT_CLASSES: Final = CLASSES["contact"]
# No "occupied": one minute of air does not tell it. A first model that had the class was no better than
# chance on both UCI rooms; occupancy is the motion sensors' to say.
AIR_CLASSES: Final = CLASSES["air"]
FIRE_SHOWS_C: Final = 2.0  # a minute counts as fire once the place is this much warmer,
FIRE_SHOWS_CO_PPM: Final = 10.0  # or this much more CO,
FIRE_SHOWS_CO2_PPM: Final = 200.0  # or CO2 is there; before, no air sensor could know


class Examples(NamedTuple):
    """Model inputs [n, …] and class indices int[n]."""

    inputs: NDArray[Any]
    labels: NDArray[np.intp]


def motion_examples(rng: Rng, each: int) -> Examples:
    """`each` synthetic PIR minutes of every class."""
    return _balanced(each, MOTION_CLASSES, lambda label: motion_features(pir_minute(rng, _moves(rng, label))))


def _moves(rng: Rng, label: str) -> list[Movement]:
    if label == "nobody":
        return []
    who = {"person": "person", "pet": "pet", "draught": "draught"}[label]
    moves = []
    for _ in range(rng.integers(1, 4)):
        start = rng.uniform(0, 55)
        moves.append(Movement(start, rng.uniform(2.5, 30) * (2 if who == "draught" else 1), who))  # type: ignore[arg-type]
    if label == "person" and rng.random() < 0.25:  # a person with a pet is a person
        moves.append(Movement(rng.uniform(0, 50), rng.uniform(3, 20), "pet"))
    if label in ("person", "pet") and rng.random() < 0.2:
        moves.append(Movement(rng.uniform(0, 40), rng.uniform(10, 60), "draught"))
    return moves


def contact_examples(rng: Rng, each: int) -> Examples:
    """`each` synthetic door or window minutes of every class."""
    return _balanced(each, CONTACT_CLASSES, lambda label: contact_minute(rng, label))


def contact_minute(rng: Rng, label: str) -> NDArray[np.float32]:
    """Features of one minute of a class; wind rattles some minutes of every class."""
    incidents, is_open, changes = [], bool(rng.random() < 0.15), 0
    at = rng.uniform(0, 52)
    if label == "knock":
        incidents, is_open = [Incident(at, "knock")], False
    elif label == "open_close":
        kinds: list[Incident] = [Incident(at, "close" if is_open else "open")]
        if rng.random() < 0.6:
            later = min(at + rng.uniform(2, 25), 58)
            kinds.append(Incident(later, "open" if is_open else "close"))
        incidents, changes = kinds, len(kinds)
        is_open = is_open ^ (changes % 2 == 1)
    elif label == "forced":
        incidents, opened = [Incident(at, "forced")], rng.random() < 0.5
        is_open, changes = bool(opened), int(opened)
    if rng.random() < 0.25:
        incidents = [*incidents, Incident(rng.uniform(0, 50), "wind")]
    return contact_features(accel_minute(rng, incidents), is_open, changes)


def air_examples(rng: Rng, episodes: int) -> Examples:
    """Synthetic rooms living through every class, `episodes` of each."""
    found: list[tuple[NDArray[np.float32], int]] = []
    for label in AIR_CLASSES:
        for _ in range(episodes):
            found.extend((features, AIR_CLASSES.index(label)) for features in _air_episode(rng, label))
    return _stack(found)


def _air_episode(rng: Rng, label: str) -> list[NDArray[np.float32]]:
    air = _lived_in_room(rng)
    people = int(rng.integers(0, 5))
    activity = Activity(people, airing=label == "normal" and bool(rng.random() < 0.25))
    if label == "cooking":
        activity = Activity(max(people, 1), cooking=True)
    elif label == "fire":
        growth = str(rng.choice(list(T_SQUARED)))
        smoulder_s = float(rng.choice([0.0, rng.uniform(30, 240)]))
        share = float(rng.choice([1.0, rng.uniform(0.02, 0.5)]))
        air.ignite(growth, smoulder_s, rng.uniform(60, 600), share)
    elif label == "co":
        activity = Activity(people, co_leak_lps=rng.uniform(0.002, 0.03))
    else:
        air.settle(activity, int(rng.uniform(0, 5400)))
    start = air.minute(Activity(people)).mean(axis=0) if label not in ("fire", "co") else None
    minutes = [air.minute(activity) for _ in range(int(rng.integers(3, 7)))]
    if start is None:  # keep the minutes in which a hazard shows
        first = minutes[0][:5].mean(axis=0)
        minutes = [m for m in minutes if shows(m[-5:].mean(axis=0) - first, label)]
    elif label == "cooking":
        minutes = minutes[1:]
    return [air_features(minute) for minute in minutes]


def shows(rise: NDArray[np.float32], label: str = "fire") -> bool:
    """Whether a rise over the room's air before a hazard could be seen at all."""
    if label == "co":
        return bool(rise[1] > FIRE_SHOWS_CO_PPM)
    return bool(rise[3] > FIRE_SHOWS_C or rise[1] > FIRE_SHOWS_CO_PPM or rise[0] > FIRE_SHOWS_CO2_PPM)


def fire_minutes(rng: Rng, curve: FireCurve, plays: int) -> list[tuple[NDArray[np.float32], int]]:
    """A recorded fire in simulated rooms → (features, minutes since it first showed).

    Ignition falls anywhere within the first minute; minutes before the fire shows are left out.
    At most five minutes are taken, until then dispatch must have happened.
    """
    found = []
    for _ in range(plays):
        air = _lived_in_room(rng)
        phase = int(rng.integers(0, 60))
        before = np.repeat(curve.air[:1], phase, axis=0)
        air.play(np.concatenate([before, curve.air[: min(len(curve.air), 600)]]))
        minutes = min((phase + len(curve.air)) // 60, 10)
        activity = Activity(int(rng.integers(0, 3)))
        age, first = 0, None
        for _ in range(minutes):
            minute = air.minute(activity)
            first = minute[:5].mean(axis=0) if first is None else first
            if age or shows(minute[-5:].mean(axis=0) - first):
                found.append((air_features(minute), age))
                age += 1
            if age >= 5:
                break
    return found


def recorded_fires(rng: Rng, curves: Iterable[FireCurve], plays: int) -> Examples:
    """Every minute of recorded fires that shows something."""
    label = AIR_CLASSES.index("fire")
    return _stack([(features, label) for curve in curves for features, _ in fire_minutes(rng, curve, plays)])


def room_examples(rng: Rng, room: RoomMinutes, every: int) -> Examples:
    """A recorded room without a hazard → "normal"."""
    normal = AIR_CLASSES.index("normal")
    return _stack([(air_features(minute), normal) for _, minute in room_minutes(rng, room, every)])


def room_minutes(rng: Rng, room: RoomMinutes, every: int = 1) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Each `every`th row of a recorded room that has a next one → (its index, float32[60, 6]).

    CO2, temperature and humidity are real, interpolated between rows; CO, VOC and pressure come from
    simulated rooms, another one after an hour.
    """
    for index in range(1, len(room.minutes) - 1, every):
        if index == 1 or index % 60 < every:
            air = _lived_in_room(rng)
        gap_s = (room.minutes[index + 1] - room.minutes[index]).total_seconds()
        if gap_s > 150:
            continue
        minute = air.minute(Activity())
        ramp = np.linspace(0, 1, 60)
        minute[:, 0] = _between(room.co2_ppm, index, ramp) + rng.normal(0, 3, 60)
        minute[:, 3] = _between(room.temperature_c, index, ramp) + rng.normal(0, 0.03, 60)
        if np.isfinite(room.humidity_pct[index]):
            minute[:, 4] = _between(room.humidity_pct, index, ramp) + rng.normal(0, 0.15, 60)
        yield index, minute


def _between(values: NDArray[np.float32], index: int, ramp: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[index] * (1 - ramp) + values[index + 1] * ramp


def _lived_in_room(rng: Rng) -> RoomAir:
    air = RoomAir(rng, rng.uniform(15, 70))
    air.settle(Activity(int(rng.integers(0, 3))), int(rng.uniform(0, 7200)))
    return air


def _balanced(each: int, classes: tuple[str, ...], make: Callable[[str], NDArray[np.float32]]) -> Examples:
    return _stack([(make(label), index) for index, label in enumerate(classes) for _ in range(each)])


def _stack(pairs: list[tuple[NDArray[np.float32], int]]) -> Examples:
    if not pairs:
        return Examples(np.zeros((0, 0), np.float32), np.zeros(0, np.intp))
    return Examples(np.array([features for features, _ in pairs]), np.array([label for _, label in pairs]))
