"""A fire in a room: what the air sensor, the smoke alarm and the microphones get of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from local import recordings
from local.recordings import FireCurve
from local.signals.air import HEAT_OF_COMBUSTION_KJ_G, T_SQUARED, RoomAir
from local.simulator.life import Heard, next_door
from schemas.readings import SECONDS

GROWTH: Final = "fast"  # burning oil on a stove
# Soot yield of mixed flaming furnishings, g/g, and the soot's specific extinction, m²/g (SFPE
# handbook; Mulholland).
SOOT_YIELD: Final = 0.05
EXTINCTION_M2_G: Final = 8.7
# Optical density at which most smoke alarms have answered (Geiman and Gottuk 2003).
ALARM_OD_PER_M: Final = 0.14
VOLUME_M3: Final = 28.0
_NEAR_ALARM_S: Final = 60.0  # of NIST's places, those as near to the fire as a kitchen's own sensor
_CRACKLE_DBA, _ALARM_DBA = 66.0, 88.0  # UL 217: 85 dB(A) at 3 m


def optical_density(seconds: float) -> float:
    """Optical density in 1/m of a closed room, `seconds` after a t² fire began.

    >>> optical_density(0.0)
    0.0
    >>> 0.1 < optical_density(30.0) < 0.3
    True
    """
    burnt_g = T_SQUARED[GROWTH] * max(seconds, 0.0) ** 3 / 3 / HEAT_OF_COMBUSTION_KJ_G
    return float(EXTINCTION_M2_G * SOOT_YIELD * burnt_g / VOLUME_M3 / np.log(10))


def smoke_alarm_s() -> float:
    """Seconds after ignition at which the smoke alarm of that room answers, from `optical_density`."""
    burnt_g = ALARM_OD_PER_M * np.log(10) * VOLUME_M3 / EXTINCTION_M2_G / SOOT_YIELD
    return float((3 * burnt_g * HEAT_OF_COMBUSTION_KJ_G / T_SQUARED[GROWTH]) ** (1 / 3))


class Fire:
    """One fire, t² or, given a recorded curve, a real one with its real alarm time.

    Args:
        at_s: When it begins, seconds of the simulation.
        curve: A curve whose `alarm_s` is known; None: t² growth.
    """

    def __init__(self, at_s: float, curve: FireCurve | None = None) -> None:
        self.began, self.curve = int(at_s), curve
        after_s = smoke_alarm_s() if curve is None or curve.alarm_s is None else curve.alarm_s
        self.alarm = self.began + int(after_s)  # second in which the smoke alarm goes off

    def ignite(self, air: RoomAir) -> None:
        """What the air of its room gets from now on."""
        if self.curve is None:
            air.ignite(GROWTH)
        else:
            air.play(self.curve.air)

    def sounds(self, same_room: bool, minute: int) -> list[Heard]:
        """What a microphone hears in the minute that starts at a second of the simulation."""
        found = []
        for begins, name, dba in (
            (self.began + 10, "fire_crackling", _CRACKLE_DBA),
            (self.alarm, "smoke_alarm", _ALARM_DBA),
        ):
            start = float(max(begins - minute, 0))
            if start < SECONDS:
                found.append(Heard(start, SECONDS - start, name, dba if same_room else next_door(dba)))
        return found


def recorded_fire(folder: Path | None, rng: np.random.Generator) -> FireCurve | None:
    """One of the real fires whose alarm hung near the sensor, None without recordings."""
    near = [c for c in recordings.fires(folder) if c.alarm_s is not None and c.alarm_s <= _NEAR_ALARM_S]
    return near[int(rng.integers(len(near)))] if near else None
