"""Ways into a home, and what looks like one: scripts for judging detection, with the truth of each.

`scenarios` shows a demo what an alarm is; these vary what a burglar does and what a family does that a
system must not take for one. Times and levels are drawn, so that no two scripts of a kind are alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from local.simulator import devices
from local.simulator.devices import BEDROOM, HALL, KITCHEN, LIVING
from local.simulator.scenarios import (
    Effect,
    Jolt,
    Leaves,
    Noise,
    Opens,
    Script,
    Signal,
    Walks,
    co_leak,
    kitchen_fire,
    panic,
)
from schemas.events import AlarmKind

ARMED_S: Final = 70.0  # after the exit delay of 60 s, since the keypad at second 1
Rng = np.random.Generator


class Entry(NamedTuple):
    """A kind of script.

    Attributes:
        level: The ANSI/TMA-AVS-01 level that the truth deserves: 4 for a threat to life, 2 for a person
            inside who should not be, 1 for an attempt, 0 for no call.
        makes: (rng, when it begins) → the script.
        kind: Of the alarm that it is about.
    """

    name: str
    level: int
    makes: Callable[[Rng, float], Script]
    kind: AlarmKind = AlarmKind.BURGLARY

    @property
    def intrusion(self) -> bool:
        """Whether an alarm must open."""
        return self.level > 0


def _leave() -> tuple[Effect, ...]:
    """Everybody goes, as the gateway is told."""
    away = Signal(1.0, devices.KEYPAD, {"action": "arm_away", "action_code": "of the home"})
    return Leaves(0.0), away, Opens(4.0, devices.FRONT_DOOR, 6.0)


def _wander(rng: Rng, at_s: float, first: str) -> tuple[Effect, ...]:
    """Somebody goes through the rooms, the first one first."""
    rooms = [first, *rng.permutation([room for room in (LIVING, HALL, BEDROOM) if room != first])]
    walks = []
    for room in rooms:
        seconds = float(rng.uniform(4, 25))
        walks.append(Walks(at_s, str(room), seconds))
        at_s += seconds + float(rng.uniform(1, 8))
    return tuple(walks)


def _window(rng: Rng, at_s: float) -> Script:
    window = str(rng.choice([devices.KITCHEN_WINDOW, devices.BEDROOM_WINDOW]))
    levered = Jolt(at_s, window, "forced")
    inside = at_s + float(rng.uniform(4, 15))
    effects = (*_leave(), levered, Opens(inside, window, 3600.0), *_wander(rng, inside + 4, LIVING))
    return Script("window levered", effects, lasts_s=at_s + 150)


def _glass(rng: Rng, at_s: float) -> Script:
    broken = Noise(at_s, str(rng.choice([KITCHEN, LIVING])), "glass_break", float(rng.uniform(82, 96)))
    effects = (*_leave(), broken, *_wander(rng, at_s + float(rng.uniform(8, 30)), LIVING))
    return Script("through the glass", effects, lasts_s=at_s + 150)


def _door(rng: Rng, at_s: float) -> Script:
    effects = (
        *_leave(),
        Opens(at_s, devices.FRONT_DOOR, float(rng.uniform(3, 60))),
        *_wander(rng, at_s + float(rng.uniform(2, 6)), HALL),
    )
    return Script("by the front door, no code", effects, lasts_s=at_s + 150)


def _unseen(rng: Rng, at_s: float) -> Script:
    effects = (*_leave(), *_wander(rng, at_s, str(rng.choice([LIVING, BEDROOM]))))
    return Script("by a way without a sensor", effects, lasts_s=at_s + 150)


def _attempt(rng: Rng, at_s: float) -> Script:
    window = str(rng.choice([devices.KITCHEN_WINDOW, devices.BEDROOM_WINDOW]))
    effects = (
        *_leave(),
        Jolt(at_s, window, "forced"),
        Jolt(at_s + float(rng.uniform(8, 25)), window, "forced"),
    )
    return Script("lever that does not open", effects, lasts_s=at_s + 120)


def _home_again(rng: Rng, at_s: float) -> Script:
    code = Signal(
        at_s + float(rng.uniform(8, 25)), devices.KEYPAD, {"action": "disarm", "action_code": "of the home"}
    )
    effects = (*_leave(), Opens(at_s, devices.FRONT_DOOR, 6.0), Walks(at_s + 4, HALL, 8.0), code)
    return Script("family comes home", effects, lasts_s=at_s + 120)


def _slow_code(rng: Rng, at_s: float) -> Script:
    late = Signal(
        at_s + float(rng.uniform(33, 55)), devices.KEYPAD, {"action": "disarm", "action_code": "of the home"}
    )
    effects = (*_leave(), Opens(at_s, devices.FRONT_DOOR, 6.0), Walks(at_s + 4, HALL, 30.0), late)
    return Script("family finds its code too late", effects, lasts_s=at_s + 150)


def _knock(rng: Rng, at_s: float) -> Script:
    effects = (
        *_leave(),
        Jolt(at_s, devices.FRONT_DOOR, "knock"),
        Jolt(
            at_s + float(rng.uniform(10, 50)),
            str(rng.choice([devices.KITCHEN_WINDOW, devices.BEDROOM_WINDOW])),
            "wind",
        ),
        Noise(
            at_s + 30,
            str(rng.choice([KITCHEN, LIVING])),
            str(rng.choice(["door_slam", "dog_bark", "speech"])),
            62.0,
        ),
    )
    return Script("knock, wind and noise outside", effects, lasts_s=at_s + 120)


def _nothing(_: Rng, at_s: float) -> Script:
    return Script("empty home", _leave(), lasts_s=at_s + 120)


ENTRIES: Final = (
    Entry("window levered and opened", 2, _window),
    Entry("through the glass, no contact opens", 2, _glass),
    Entry("front door without a code", 2, _door),
    Entry("by a way without a sensor", 2, _unseen),
    Entry("window levered, does not open", 1, _attempt),
    Entry("family comes home", 0, _home_again),
    Entry("family finds its code too late", 0, _slow_code),
    Entry("knock, wind and noise", 0, _knock),
    Entry("empty home", 0, _nothing),
)
HAZARDS: Final = (
    Entry("kitchen fire", 4, lambda _, at_s: kitchen_fire(at_s), AlarmKind.FIRE),
    Entry("carbon monoxide", 4, lambda _, at_s: co_leak(at_s), AlarmKind.CO),
    Entry("panic button", 4, lambda _, at_s: panic(at_s), AlarmKind.PANIC),
)
