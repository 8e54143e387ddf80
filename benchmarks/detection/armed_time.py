"""Armed time of simulated homes, in which nothing is wrong: what raises all the same. Synthetic.

Two exposures, because they cost so differently: years of doors, keypad and movements through the
gateway's rules; and hours of empty homes in full (waveforms, sounds, models, fusion), half of them
with a pet.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from benchmarks.detection import figures
from benchmarks.detection.watched_home import WatchedHome
from edge_client.clock import SECOND_US
from local.simulator import devices, household
from local.simulator.enrol import gateway_sensors
from local.simulator.household import DAY_S, Pet
from local.simulator.life import Life
from local.simulator.scenarios import QUIET
from local.simulator.sensors import OCCUPANCY_HOLD_S, SimulatedHome
from schemas.events import AlarmKind
from schemas.readings import MINUTE_US, SECONDS
from serving.interpreter import LoadedModel

SEED: Final = 77
RULES_HOMES, RULES_DAYS = 6, 61  # a home-year
SCORED_HOMES, SCORED_MINUTES = 12, 60
FIRST_DAY: Final = 20_416  # since 1970
_DATA: Final = "local.simulator"
_WORK_S: Final = 10 * 3600  # when most homes with workers stand empty
DAYS_A_YEAR: Final = 365.25


class Said(NamedTuple):
    """A plain device's message, at a second of the simulation."""

    at_s: float
    sensor_id: str
    payload: dict[str, Any]


def measure(models: Mapping[str, LoadedModel]) -> dict[str, Any]:
    """Both exposures."""
    by_rules = [_by_rules(number) for number in range(1, RULES_HOMES + 1)]
    years = RULES_HOMES * RULES_DAYS / DAYS_A_YEAR
    scored = [_scored(number, models) for number in _empty_homes()]
    hours = sum(row["hours"] for row in scored)
    made = [
        figures.rate("the gateway's rules", sum(by_rules), years, "home-year", "synthetic", _DATA),
        figures.rate(
            "fusion, empty homes armed away",
            sum(row["windows"] for row in scored),
            hours,
            "hour",
            "synthetic",
            f"{_DATA}, {len(scored)} homes",
        ),
    ]
    return {"spans": scored, "figures": made}


def _by_rules(number: int) -> int:
    """Burglaries that the gateway's rules open in a home's weeks."""
    start_us = FIRST_DAY * DAY_S * SECOND_US
    watched = WatchedHome(gateway_sensors(), start_us, None)
    for said in sorted(_life(number), key=lambda s: s.at_s):
        watched.zigbee(said.sensor_id, said.payload, start_us + int(said.at_s * SECOND_US))
    return sum(alarm.kind is AlarmKind.BURGLARY for alarm in watched.alarms)


def _life(number: int) -> Iterator[Said]:
    """Keypad, doors, windows and movements of a home's days."""
    life = Life(SEED, number, FIRST_DAY * DAY_S, QUIET)
    for day in range(RULES_DAYS):
        plan, offset = household.day_plan(SEED, number, FIRST_DAY + day), day * DAY_S
        for at_s, action in plan.keypad:
            yield Said(offset + at_s, devices.KEYPAD, {"action": action, "action_code": "of the home"})
        for span in plan.open:
            yield Said(offset + span.start_s, span.what, {"contact": False})
            yield Said(offset + span.end_s, span.what, {"contact": True})
        modes = [*plan.armed, (float(DAY_S), "")]
        for (from_s, mode), (to_s, _) in itertools.pairwise(modes):
            if mode == "away":  # elsewhere movement means nothing to the rules
                yield from _movements(life, offset + from_s, offset + to_s)


def _movements(life: Life, from_s: float, to_s: float) -> Iterator[Said]:
    """As the simulated PIRs report them: occupied, and clear a minute after the last movement."""
    for device in devices.MOTION:
        clear_s: float | None = None
        for minute in range(int(from_s) // SECONDS * SECONDS, int(to_s), SECONDS):
            for movement in life.movements(device.room, minute):
                at_s = minute + movement.start_s
                if movement.who != "person" or not from_s <= at_s < to_s:
                    continue
                if clear_s is None or at_s >= clear_s:
                    if clear_s is not None:
                        yield Said(clear_s, device.sensor_id, {"occupancy": False})
                    yield Said(at_s, device.sensor_id, {"occupancy": True})
                    clear_s = at_s
                clear_s = max(clear_s, at_s + movement.duration_s + OCCUPANCY_HOLD_S)
        if clear_s is not None:
            yield Said(clear_s, device.sensor_id, {"occupancy": False})


def _empty_homes() -> list[int]:
    """Numbers of homes that stand empty over noon of the first day, every second one with a pet."""
    pets: list[int] = []
    none: list[int] = []
    half = SCORED_HOMES // 2
    for number in itertools.count(1):
        if min(len(pets), len(none)) >= half:
            break
        plan = household.day_plan(SEED, number, FIRST_DAY)
        modes = [*plan.armed, (float(DAY_S), "")]
        away = [(from_s, to_s) for (from_s, mode), (to_s, _) in itertools.pairwise(modes) if mode == "away"]
        if any(from_s < _WORK_S - 120 and to_s > _WORK_S + SCORED_MINUTES * SECONDS for from_s, to_s in away):
            (none if household.habits(SEED, number).pet is Pet.NONE else pets).append(number)
    return pets[:half] + none[:half]


def _scored(number: int, models: Mapping[str, LoadedModel]) -> dict[str, Any]:
    """An empty home's hours in full."""
    start_us = (FIRST_DAY * DAY_S + _WORK_S) * SECOND_US
    home = SimulatedHome(SEED, number, start_us, 0, QUIET)
    watched = WatchedHome(gateway_sensors(), start_us, models)
    for second in range(SCORED_MINUTES * SECONDS + 4):
        for message in home.second(second):
            watched.message(message.topic, message.payload, message.due_us)
        at_us = start_us + second * SECOND_US
        watched.tick(at_us + SECOND_US)
        if second > SECONDS and second % SECONDS == 3:
            watched.minute(at_us - at_us % MINUTE_US - MINUTE_US)
    opened = [a for a in watched.alarms if a.kind is AlarmKind.BURGLARY]
    return {
        "home": number,
        "pet": str(household.habits(SEED, number).pet),
        "hours": SCORED_MINUTES / 60,
        "mode": watched.mode,
        "windows": len(opened),
        "all_kinds": len(watched.alarms),
        "person": sum(label == "person" and p >= 0.5 for _, label, p, _ in watched.scores),
    }
