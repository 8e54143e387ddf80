"""Ordinary rooms, in which nothing burns: what each detector of fire takes for one there.

UCI's logs have a row a minute or half a minute, of temperature, CO2 and mostly humidity.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.detection import figures
from benchmarks.detection.minute_path import MinutePath
from edge_client.clock import SECOND_US
from edge_client.hazards import AirHazards, AirSample
from local.recordings import RoomMinutes
from local.signals.air import NOISE

RULE_PPM: Final = 100.0  # the naive rule: CO2 stands so far above where it was
RULE_S: Final = 600  # in a room that is lived in "where it was" is the least of so long a past
_C: Final = 3  # in AIR_CHANNELS
_GAP_S: Final = 150.0  # in a log


def measure(path: MinutePath, room: RoomMinutes) -> dict[str, Any]:
    """False alarms of one log by each detector, and its days."""
    alarms, seconds = 0, 0
    for span in ordinary_seconds(room):
        rules = AirHazards()
        alarms += sum(change.active for at, sample in span for change in rules.second(at, sample))
        seconds += len(span)
    return {
        "source": room.source,
        "days": seconds / 86_400,
        "gateway": alarms,
        "co2_rule": co2_rule_alarms(room),
        **path.ordinary(room),
    }


def co2_rule_alarms(room: RoomMinutes) -> int:
    """How often the naive rule trips in a room's log: CO2 comes to stand 100 ppm above its last least."""
    at = np.array([minute.replace(tzinfo=dt.UTC).timestamp() for minute in room.minutes])
    above = [
        now - room.co2_ppm[(at > at[row] - RULE_S) & (at <= at[row])].min() > RULE_PPM
        for row, now in enumerate(room.co2_ppm)
    ]
    return int(np.count_nonzero(np.diff(np.array(above, int), prepend=0) > 0))


def ordinary_seconds(room: RoomMinutes, seed: int = 1) -> Iterator[list[tuple[int, AirSample]]]:
    """Each unbroken span of a room's log, interpolated to 1 Hz with the noise of a poor sensor.

    CO and VOC were not recorded and stay at rest.
    """
    rng = np.random.default_rng(seed)
    at = np.array([minute.replace(tzinfo=dt.UTC).timestamp() for minute in room.minutes])
    cuts = np.flatnonzero(np.diff(at) > _GAP_S) + 1
    for part in np.split(np.arange(at.size), cuts):
        if part.size < 2:
            continue
        seconds = np.arange(int(at[part[0]]), int(at[part[-1]]) + 1)
        celsius = np.interp(seconds, at[part], room.temperature_c[part])
        celsius += rng.normal(0, 1.5 * NOISE[_C], seconds.size)
        yield [(int(s) * SECOND_US, AirSample(0.5, 100.0, c)) for s, c in zip(seconds, celsius, strict=True)]


def figures_of(rooms: Sequence[dict[str, Any]]) -> list[figures.Figure]:
    """All logs together: alarms a day."""
    days = sum(room["days"] for room in rooms)
    where = f"{len(rooms)} logs of UCI's rooms"
    note = "temperature (for the model CO2 and humidity too) was recorded; the rest stays at rest"
    made = [
        figures.rate("gateway, 1 Hz", sum(r["gateway"] for r in rooms), days, "day", "real", where, note=note)
    ]
    for key, name in (
        ("fused", "minute path"),
        ("model", "air model alone, minutes that it calls fire"),
        ("co2_rule", f"CO2 +{RULE_PPM:.0f} ppm within {RULE_S // 60} minutes"),
    ):
        made.append(figures.rate(name, sum(r[key] for r in rooms), days, "day", "real", where, note=note))
    return made
