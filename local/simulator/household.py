"""Who lives in a home and what they do: a day as a pure function of (seed, home, day).

All times here are local seconds of a day, 0 to 86,400; days count from 1970-01-01 (a Thursday).
Habits are drawn once a home, each day varies about them. The distributions are ours, shaped by
ordinary working life in Central Europe; they carry no claim beyond variety and plausibility.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from local.simulator.devices import BEDROOM, BEDROOM_WINDOW, HALL, KITCHEN, KITCHEN_WINDOW, LIVING

DAY_S: Final = 86_400
AWAY: Final = ""  # place of a person who is out

# Streams of randomness: one number each, so that a change in one part of a home moves no other.
HABITS, DAY, MOVES, SOUNDS, FRAMES, WEATHER, CODE, NAMES, FIRE = range(9)

_ROOM_MINUTES: Final = {HALL: 1.0, LIVING: 35.0, BEDROOM: 12.0, KITCHEN: 14.0}  # mean length of a stay
_EXIT_S, _DISARM_S = 20, 12  # arm, walk out; walk in, disarm (entry delays are 30 s and more)


class Pet(StrEnum):
    """Lives at home all day. Cats and small dogs: a pet-immune lens ignores them, its waveform does not."""

    NONE = "none"
    CAT = "cat"
    DOG = "dog"


class Habits(NamedTuple):
    """What stays the same from day to day.

    Attributes:
        workers: For each person, whether weekdays are spent at work.
        wake_s, bed_s: Each person's usual times.
    """

    workers: tuple[bool, ...]
    wake_s: tuple[float, ...]
    bed_s: tuple[float, ...]
    pet: Pet
    dinner_s: float
    cooks_minutes: float
    airs_minutes: float
    arms_at_night: bool


class Stay(NamedTuple):
    """One person in one place from `start_s` up to `end_s`."""

    start_s: float
    end_s: float
    place: str
    asleep: bool = False


class Span(NamedTuple):
    """Something that lasts, `what` being a sensor id or an activity."""

    start_s: float
    end_s: float
    what: str


class DayPlan(NamedTuple):
    """One day of a home.

    Attributes:
        people: Each person's stays, without gaps from 0 to 86,400 s.
        cooking: When the stove is on.
        open: When which contact is open.
        keypad: (second, action) pressed, in order.
        armed: Mode in force from the second on, in order, starting at 0.
    """

    people: tuple[tuple[Stay, ...], ...]
    cooking: tuple[Span, ...]
    open: tuple[Span, ...]
    keypad: tuple[tuple[float, str], ...]
    armed: tuple[tuple[float, str], ...]


def rng_of(seed: int, home: int, stream: int, *rest: int) -> np.random.Generator:
    """The random numbers of one purpose of one home: independent of every other and of call order."""
    return np.random.default_rng([seed, home, stream, *rest])


@lru_cache(maxsize=4096)
def habits(seed: int, home: int) -> Habits:
    """Draw a home's people.

    >>> habits(1, 1) == habits(1, 1)
    True
    """
    rng = rng_of(seed, home, HABITS)
    count = int(rng.choice([1, 2, 3, 4], p=[0.3, 0.4, 0.17, 0.13]))
    return Habits(
        workers=tuple(bool(rng.random() < 0.65) for _ in range(count)),
        wake_s=tuple(float(rng.normal(6.8, 0.7) * 3600) for _ in range(count)),
        bed_s=tuple(float(np.clip(rng.normal(22.7, 0.5), 21.3, 23.8) * 3600) for _ in range(count)),
        pet=Pet(str(rng.choice(list(Pet), p=[0.55, 0.27, 0.18]))),
        dinner_s=float(rng.normal(18.6, 0.6) * 3600),
        cooks_minutes=float(rng.uniform(15, 40)),
        airs_minutes=float(rng.uniform(5, 15)),
        arms_at_night=bool(rng.random() < 0.6),
    )


def keypad_code(seed: int, home: int) -> str:
    """The family's code for the keypad: four digits.

    >>> len(keypad_code(1, 1))
    4
    """
    return f"{rng_of(seed, home, CODE).integers(1000, 10_000)}"


@lru_cache(maxsize=4096)
def day_plan(seed: int, home: int, day: int) -> DayPlan:
    """What happens in a home on a day, nothing depending on another day but its end state.

    Everybody sleeps over midnight, so days join without a seam.
    """
    habit, rng = habits(seed, home), rng_of(seed, home, DAY, day)
    people, outings = [], []
    for index in range(len(habit.workers)):
        stays, out = _person_day(habit, index, day, rng)
        people.append(stays)
        outings.append(out)
    first_up = min(stays[0].end_s for stays in people)
    last_to_bed = max(stays[-1].start_s for stays in people)
    cooking = _cooking(habit, people, rng)
    doors = [Span(moment, moment + rng.uniform(3, 9), "contact-front-door") for moment in _crossings(outings)]
    windows = _airing(habit, people, first_up, cooking, rng)
    keypad = _keypad(habit, people, first_up, last_to_bed)
    armed = [(0.0, "stay" if habit.arms_at_night else "disarmed")]
    armed += [
        (moment, action.removeprefix("arm_").replace("disarm", "disarmed")) for moment, action in keypad
    ]
    return DayPlan(
        people=tuple(people),
        cooking=cooking,
        open=tuple(sorted([*doors, *windows])),
        keypad=tuple(keypad),
        armed=tuple(armed),
    )


def stay_at(stays: tuple[Stay, ...], second: float) -> Stay:
    """A person's whereabouts at a second of the day."""
    for stay in stays:
        if second < stay.end_s:
            return stay
    return stays[-1]


def _person_day(
    habit: Habits, index: int, day: int, rng: np.random.Generator
) -> tuple[tuple[Stay, ...], list[tuple[float, float]]]:
    """One person's stays and outings (leaves, returns)."""
    weekday = (day + 3) % 7 < 5  # 1970-01-01 was a Thursday: weekday 3
    wake = float(np.clip(habit.wake_s[index] + rng.normal(0, 900), 4.5 * 3600, 10 * 3600))
    wake += 0 if weekday else 3600
    bed = float(np.clip(habit.bed_s[index] + rng.normal(0, 900), 21 * 3600, 23.9 * 3600))
    outings = []
    if habit.workers[index] and weekday:
        leave = wake + rng.uniform(50, 90) * 60
        outings.append((leave, leave + rng.uniform(8.0, 9.8) * 3600))
    elif rng.random() < 0.7:
        leave = max(rng.uniform(10, 16) * 3600, wake + 3600)
        outings.append((leave, leave + rng.uniform(0.5, 3.5) * 3600))
    bed = min(max([bed, *(back + 1800 for _, back in outings)]), 23.9 * 3600)
    stays = [Stay(0.0, wake, BEDROOM, asleep=True)]
    moment = wake
    for leave, back in [*outings, (bed, DAY_S)]:
        stays += _wander(moment, leave - 60, rng)
        moment = back
        if leave != bed:
            stays += [Stay(leave - 60, leave, HALL), Stay(leave, back, AWAY), Stay(back, back + 90, HALL)]
            moment = back + 90
        else:
            stays.append(Stay(leave - 60, float(DAY_S), BEDROOM, asleep=True))
    return tuple(stays), outings


def _wander(start: float, end: float, rng: np.random.Generator) -> list[Stay]:
    """Stays in one room after the other, the kitchen more often about meals."""
    stays: list[Stay] = []
    place = BEDROOM
    while start < end:
        length = float(rng.exponential(_ROOM_MINUTES[place]) * 60 + 20)
        stays.append(Stay(start, min(start + length, end), place))
        start += length
        meal = any(abs(start / 3600 - hour) < 0.8 for hour in (7.3, 12.5, 18.7))
        odds = {HALL: 0.15, LIVING: 0.35 if meal else 0.55, BEDROOM: 0.15, KITCHEN: 0.35 if meal else 0.15}
        del odds[place]
        weights = np.array(list(odds.values()))
        place = str(rng.choice(list(odds), p=weights / weights.sum()))
    return stays


def _crossings(outings: list[list[tuple[float, float]]]) -> list[float]:
    """Seconds at which somebody walks through the front door."""
    return sorted(moment for person in outings for leave_and_back in person for moment in leave_and_back)


def _cooking(habit: Habits, people: list[tuple[Stay, ...]], rng: np.random.Generator) -> tuple[Span, ...]:
    """Breakfast and dinner, while somebody awake is at home to mind the stove."""
    spans = []
    breakfast = min(stays[0].end_s for stays in people) + rng.uniform(10, 25) * 60
    for start, minutes in ((breakfast, 6.0), (habit.dinner_s + rng.normal(0, 900), habit.cooks_minutes)):
        end = start + minutes * 60
        if _minded(people, start) and _minded(people, end):
            spans.append(Span(float(start), float(end), "cooking"))
    return tuple(spans)


def _airing(
    habit: Habits,
    people: list[tuple[Stay, ...]],
    first_up: float,
    cooking: tuple[Span, ...],
    rng: np.random.Generator,
) -> list[Span]:
    """Bedroom window after rising, kitchen window after cooking; shut before anybody arms."""
    wanted = [(first_up + 300 + rng.uniform(0, 600), BEDROOM_WINDOW)]
    wanted += [(span.end_s + rng.uniform(-120, 60), KITCHEN_WINDOW) for span in cooking]
    spans = []
    for start, window in wanted:
        end = start + habit.airs_minutes * 60 * rng.uniform(0.6, 1.4)
        if all(_minded(people, moment) for moment in np.arange(start - 60, end + 120, 30)):
            spans.append(Span(float(start), float(end), window))
    return spans


def _minded(people: list[tuple[Stay, ...]], second: float) -> bool:
    """Whether somebody is at home and awake."""
    return any(stay.place != AWAY and not stay.asleep for stay in (stay_at(p, second) for p in people))


def _keypad(
    habit: Habits, people: list[tuple[Stay, ...]], first_up: float, last_to_bed: float
) -> list[tuple[float, str]]:
    """Armed away when the last one leaves, stay when the last one lies down."""
    actions = []
    for moment, leaves in sorted(
        (moment, leaves)
        for stays in people
        for stay in stays
        if stay.place == AWAY
        for moment, leaves in ((stay.start_s, True), (stay.end_s, False))
    ):
        others_home = sum(stay_at(stays, moment).place != AWAY for stays in people)
        if leaves and others_home == 0:
            actions.append((moment - _EXIT_S, "arm_away"))
        elif not leaves and others_home == 1:  # the one who just came in
            actions.append((moment + _DISARM_S, "disarm"))
    if habit.arms_at_night:
        actions += [(first_up, "disarm"), (last_to_bed, "arm_stay")]
    return sorted(actions)
