"""What looks like a fire to an air sensor and is none, simulated: synthetic, and by our own judgement.

No recording of these is known to us. Each is drawn many times in rooms of other sizes, with other
sensors; the gateway's rules watch as they would there. What counts is which kind of thing is false, not
how often it happens in a home: that the simulator cannot know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.detection import figures
from benchmarks.detection.page import table
from edge_client.clock import SECOND_US
from edge_client.hazards import AirHazards, AirSample
from local.signals.air import Activity, RoomAir

DRAWS: Final = 100
SECONDS: Final = 900
BEGINS_S: Final = 180
Rng = np.random.Generator


class Nuisance(NamedTuple):
    """A course of activity in a room.

    Attributes:
        near_cooking: Whether it happens where the sensor is configured as near a stove.
        course: rng → the activity of each second.
    """

    name: str
    near_cooking: bool
    course: Callable[[Rng], Iterator[Activity]]


def _plume(
    rng: Rng, celsius: tuple[float, float], lasts_s: tuple[float, float], *, cooking: bool = False
) -> Iterator[Activity]:
    """Warm air passes the sensor: rises within seconds, stays, fades."""
    peak, lasts = rng.uniform(*celsius), rng.uniform(*lasts_s)
    onset, fades = rng.uniform(5, 30), rng.uniform(20, 90)
    for second in range(SECONDS):
        after = second - BEGINS_S
        share = 0.0 if after < 0 else min(after / onset, 1.0)
        if after > lasts:
            share *= float(np.exp(-(after - lasts) / fades))
        yield Activity(people=1, cooking=cooking, plume_c=peak * share)


def _heater(rng: Rng) -> Iterator[Activity]:
    kilowatts, layered = rng.uniform(0.8, 2.5), rng.uniform(0.0, 3.0)  # °C more under the ceiling
    for second in range(SECONDS):
        on = second >= BEGINS_S
        layer = layered * min(max(second - BEGINS_S, 0) / 120, 1.0)
        yield Activity(people=1, heater_kw=kilowatts * on, plume_c=layer)


def _airing(rng: Rng) -> Iterator[Activity]:
    shuts = rng.uniform(300, 600)
    for second in range(SECONDS):
        yield Activity(people=1, airing=60 <= second < shuts)


def _cooking(rng: Rng) -> Iterator[Activity]:
    """A stove in use all the time, and its oven opened once."""
    return _plume(rng, (2.0, 12.0), (10, 60), cooking=True)


def _sun(rng: Rng) -> Iterator[Activity]:
    """Sun moves onto the sensor: some degrees within minutes."""
    peak, minutes = rng.uniform(1.0, 8.0), rng.uniform(2.0, 8.0)
    for second in range(SECONDS):
        yield Activity(people=1, plume_c=peak * min(max(second - BEGINS_S, 0) / 60 / minutes, 1.0))


NUISANCES: Final = (
    Nuisance("fan heater switched on", False, _heater),
    Nuisance("sun on the sensor", False, _sun),
    Nuisance("hair dryer or iron nearby, to 4 °C", False, lambda rng: _plume(rng, (0.5, 4.0), (20, 180))),
    Nuisance("hot air on the sensor, 4 to 10 °C", False, lambda rng: _plume(rng, (4.0, 10.0), (20, 180))),
    Nuisance("window aired and shut", False, _airing),
    Nuisance("oven opened while cooking, sensor near the stove", True, _cooking),
    Nuisance("oven opened while cooking, sensor not so configured", False, _cooking),
)


def measure() -> list[dict[str, Any]]:
    """Each nuisance's draws and how many of them alarmed."""
    return [
        {
            "name": nuisance.name,
            "near_cooking": nuisance.near_cooking,
            "draws": DRAWS,
            "alarmed": sum(_alarms(nuisance, np.random.default_rng([place, draw])) for draw in range(DRAWS)),
        }
        for place, nuisance in enumerate(NUISANCES)
    ]


def figures_of(found: list[dict[str, Any]]) -> list[figures.Figure]:
    """One proportion a nuisance."""
    return [
        figures.proportion(
            f"gateway alarms at: {row['name']}",
            row["alarmed"],
            row["draws"],
            "synthetic",
            "local.signals.air",
            interval="clopper-pearson",
        )
        for row in found
    ]


def table_of(found: list[dict[str, Any]]) -> str:
    """As the page shows them."""
    return table(
        ["simulated nuisance", "draws", "false alarms"],
        [
            [row["name"], str(row["draws"]), f"{row['alarmed']}: {figures.percent(figure)}"]
            for row, figure in zip(found, figures_of(found), strict=True)
        ],
    )


def _alarms(nuisance: Nuisance, rng: Rng) -> bool:
    air = RoomAir(rng, rng.uniform(12, 60))
    air.settle(Activity(people=1), 1_800)
    rules = AirHazards(near_cooking=nuisance.near_cooking)
    for second, activity in enumerate(nuisance.course(rng)):
        reading = air.step(activity)
        sample = AirSample(reading.co_ppm, reading.voc_index, reading.temperature_c)
        if any(change.active for change in rules.second((second + 1) * SECOND_US, sample)):
            return True
    return False
