"""What happens in a home, minute by minute: household and script together.

Pure functions of (seed, home, local minute, script): asking twice, or in another order, gives the
same minute. The sensors only look.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from local.signals.pir import Movement
from local.simulator import household
from local.simulator.devices import (
    BEDROOM,
    BEDROOM_WINDOW,
    FRONT_DOOR,
    HALL,
    KITCHEN,
    KITCHEN_WINDOW,
    LIVING,
    ROOMS,
)
from local.simulator.household import DAY_S, Pet, Stay
from local.simulator.scenarios import Leaves, Noise, Opens, Script, Signal, Walks
from schemas.readings import SECONDS

# Seconds between two movements that a lens sees of a person awake, by room; asleep; and of a pet.
_STILL_S: Final = {HALL: 7.0, LIVING: 70.0, BEDROOM: 50.0, KITCHEN: 20.0}
_ASLEEP_S, _PET_S = 1200.0, 900.0
VOICE_DBA, DOOR_DBA, BARK_DBA, PANS_DBA, MUSIC_DBA = 60.0, 68.0, 82.0, 62.0, 58.0
_WALL_DB: Final = 18.0  # what a closed inner door takes from a sound next door

WINDOWS: Final = {KITCHEN: (KITCHEN_WINDOW,), BEDROOM: (BEDROOM_WINDOW,)}


class Occupied(NamedTuple):
    """Who is in a room at a moment."""

    awake: int
    asleep: int


class Heard(NamedTuple):
    """A sound in a minute at one microphone.

    Attributes:
        start_s: In the minute. seconds: how long; 0: as long as the sound itself.
    """

    start_s: float
    seconds: float
    name: str
    level_dba: float


class Life:
    """One home's life. `second` counts from the start of the simulation, `local_s` is where it starts.

    Args:
        local_s: Local time at second 0, seconds since 1970 local; whole seconds.
    """

    def __init__(self, seed: int, home: int, local_s: int, script: Script) -> None:
        self.seed, self.home, self.local_s, self.script = seed, home, local_s, script
        self.pet = household.habits(seed, home).pet
        self._latest: dict[str, tuple[int, list[Movement]]] = {}
        self._leaves_s = min((e.at_s for e in script.effects if isinstance(e, Leaves)), default=np.inf)

    def day_second(self, second: float) -> tuple[int, float]:
        """Second of the simulation → (day, second of that day)."""
        day, rest = divmod(self.local_s + second, DAY_S)
        return int(day), rest

    def plan(self, second: float) -> household.DayPlan:
        """The plan of the day in which a second lies."""
        return household.day_plan(self.seed, self.home, self.day_second(second)[0])

    def routine(self, second: float) -> bool:
        """Whether the household still does what it does every day."""
        return second < self._leaves_s

    def occupied(self, room: str, second: float) -> Occupied:
        """People in a room."""
        if not self.routine(second):
            return Occupied(0, 0)
        moment = self.day_second(second)[1]
        stays = [household.stay_at(stays, moment) for stays in self.plan(second).people]
        here = [stay for stay in stays if stay.place == room]
        return Occupied(sum(not s.asleep for s in here), sum(s.asleep for s in here))

    def cooks(self, second: float) -> bool:
        """Whether the hob is on."""
        moment = self.day_second(second)[1]
        return self.routine(second) and any(s.start_s <= moment < s.end_s for s in self.plan(second).cooking)

    def is_open(self, sensor_id: str, second: float) -> bool:
        """Whether a door or window stands open."""
        moment = self.day_second(second)[1]
        if self.routine(second) and any(
            s.what == sensor_id and s.start_s <= moment < s.end_s for s in self.plan(second).open
        ):
            return True
        return any(
            isinstance(e, Opens) and e.sensor_id == sensor_id and e.at_s <= second < e.at_s + e.seconds
            for e in self.script.effects
        )

    def flips(self, sensor_id: str, minute_s: int) -> list[int]:
        """Seconds of the minute that starts at `minute_s` at which a door or window opened or shut."""
        states = [self.is_open(sensor_id, minute_s + second) for second in range(-1, SECONDS)]
        return [s for s, (before, after) in enumerate(pairwise(states)) if before != after]

    def keypad(self, second: int) -> Iterator[str]:
        """Actions that the household presses within this second."""
        day, moment = self.day_second(second)
        if self.routine(second):
            for at_s, action in household.day_plan(self.seed, self.home, day).keypad:
                if moment <= at_s < moment + 1:
                    yield action

    def armed(self, second: float) -> str:
        """Mode in which the household has the home at a second: "disarmed", "stay" or "away"."""
        moment = self.day_second(second)[1]
        return [mode for at_s, mode in self.plan(second).armed if at_s <= moment][-1]

    def signals(self, second: int) -> Iterator[Signal]:
        """What the script's devices send within this second."""
        for effect in self.script.effects:
            if isinstance(effect, Signal) and second <= effect.at_s < second + 1:
                yield effect

    def movements(self, room: str, minute_s: int) -> list[Movement]:
        """What crosses a room's lens in the minute that starts at a second; sorted by time."""
        if self._latest.get(room, (None,))[0] != minute_s:  # asked again every second
            self._latest[room] = (minute_s, self._movements(room, minute_s))
        return self._latest[room][1]

    def _movements(self, room: str, minute_s: int) -> list[Movement]:
        day, moment = self.day_second(minute_s)
        rng = household.rng_of(self.seed, self.home, household.MOVES, day, int(moment), ROOMS.index(room))
        found = []
        for stays in household.day_plan(self.seed, self.home, day).people:
            for stay in stays:
                first, last = max(stay.start_s - moment, 0.0), min(stay.end_s - moment, SECONDS)
                last = min(last, self._leaves_s - minute_s)
                if stay.place == room and first < last:
                    found += _fidget(rng, stay, first, last)
        if self.pet is not Pet.NONE and rng.random() < SECONDS / _PET_S:
            found.append(Movement(float(rng.uniform(0, 55)), float(rng.uniform(1, 6)), "pet"))
        if any(self.is_open(s, minute_s + 30) for s in WINDOWS.get(room, ())) and rng.random() < 0.5:
            found.append(Movement(float(rng.uniform(0, 40)), float(rng.uniform(8, 20)), "draught"))
        for effect in self.script.effects:
            if isinstance(effect, Walks) and effect.room == room:
                first = max(effect.at_s - minute_s, 0.0)
                last = min(effect.at_s + effect.seconds - minute_s, SECONDS)
                if first < last:
                    found.append(Movement(first, last - first, "person"))
        return sorted(found, key=lambda movement: movement.start_s)

    def sounds(self, room: str, minute_s: int) -> list[Heard]:
        """What the microphone of a room hears in the minute that starts at a second."""
        day, moment = self.day_second(minute_s)
        rng = household.rng_of(self.seed, self.home, household.SOUNDS, day, int(moment), ROOMS.index(room))
        awake = self.occupied(room, minute_s + 30).awake
        heard = []
        if awake >= 2 and rng.random() < 0.6:
            heard.append(Heard(float(rng.uniform(0, 40)), float(rng.uniform(3, 15)), "speech", VOICE_DBA))
        if awake >= 1 and room == LIVING and rng.random() < 0.4:
            heard.append(Heard(0.0, float(SECONDS), "music", MUSIC_DBA))
        if room == KITCHEN and self.cooks(minute_s + 30):
            heard.append(Heard(0.0, float(SECONDS), "cooking", PANS_DBA))
        if self.pet is Pet.DOG and rng.random() < 0.01:
            heard.append(Heard(float(rng.uniform(0, 55)), 0.0, "dog_bark", BARK_DBA))
        heard += [
            Heard(at_s, 0.0, "door_slam", DOOR_DBA + float(rng.normal(0, 4)))
            for at_s in self.flips(FRONT_DOOR, minute_s)
            if not self.is_open(FRONT_DOOR, minute_s + at_s)
        ]
        for effect in self.script.effects:
            if isinstance(effect, Noise) and 0 <= effect.at_s - minute_s < SECONDS:
                level = effect.level_dba - (0.0 if effect.room == room else _WALL_DB)
                heard.append(Heard(effect.at_s - minute_s, 0.0, effect.name, level))
        return heard


def next_door(level_dba: float) -> float:
    """Level in the room beside the one that a sound is in.

    >>> next_door(90.0)
    72.0
    """
    return level_dba - _WALL_DB


def _fidget(rng: np.random.Generator, stay: Stay, first: float, last: float) -> list[Movement]:
    """Movements of a person who stays in a room from `first` to `last` of the minute."""
    gap = _ASLEEP_S if stay.asleep else _STILL_S[stay.place]
    found, at_s = [], first + float(rng.exponential(gap / 3))
    while at_s < last:
        seconds = min(float(rng.uniform(1, 5)), last - at_s)
        found.append(Movement(at_s, seconds, "person"))
        at_s += seconds + float(rng.exponential(gap))
    return found


def _windows(room: str) -> tuple[str, ...]:
    return {KITCHEN: ("contact-kitchen-window",), BEDROOM: ("contact-bedroom-window",)}.get(room, ())
