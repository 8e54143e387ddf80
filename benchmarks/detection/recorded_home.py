"""The real home of uci_adl_binary behind the product's rules: nights armed to stay, absences armed away.

The log says when the resident left and slept; the keypad is ours: armed 20 s before the door opens,
disarmed 12 s after the resident is back, as in the simulator. Its PIRs and front door speak as plain
devices; what they say is scored as the product scores such devices.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.detection import figures
from benchmarks.detection.watched_home import SEALED_LATE_US, WatchedHome
from schemas.events import AlarmKind
from schemas.readings import MINUTE_US

SENSORS: Final = (
    {"id": "contact-front-door", "kind": "contact", "room": "entrance", "role": "entry"},
    {"id": "motion-shower", "kind": "motion", "room": "bathroom"},
    {"id": "motion-basin", "kind": "motion", "room": "bathroom"},
    {"id": "motion-cooktop", "kind": "motion", "room": "kitchen"},
)
PLACES: Final = {
    "Maindoor": "contact-front-door",
    "Shower": "motion-shower",
    "Basin": "motion-basin",
    "Cooktop": "motion-cooktop",
}
ARMS_BEFORE_S, DISARMS_AFTER_S = 20, 12
BURSTS: Final = 10  # put into each absence
INJECTED: Final = "bursts of entry put into uci_adl_binary's absences"
_SPARE_S: Final = 150  # kept free at both ends of an absence
_SECOND_US: Final = 1_000_000
_KEYPAD: Final = {"id": "keypad", "kind": "keypad", "room": "entrance"}


class Span(NamedTuple):
    """An armed time, µs since 1970 by the home's clock."""

    mode: str
    from_us: int
    to_us: int


class Said(NamedTuple):
    """A device's message."""

    at_us: int
    sensor_id: str
    payload: dict[str, Any]


def measure(folder: Path) -> dict[str, Any]:
    """False alarms of the real armed time; recall of bursts put into it."""
    said, spans = read(folder)
    rows, totals = [], {"away": [0, 0.0, 0], "stay": [0, 0.0, 0]}
    for span in spans:
        watched = watch(said, span)
        count = len([a for a in watched.alarms if a.kind is AlarmKind.BURGLARY])
        hours = (span.to_us - span.from_us) / 3.6e9
        naive = sum(span.from_us <= s.at_us <= span.to_us and _wakes(s) for s in said)
        rows.append({"mode": span.mode, "hours": hours, "alarms": count, "would_wake": naive})
        for place, value in enumerate((count, hours, naive)):
            totals[span.mode][place] += value
    made = [
        figures.rate(f"armed {mode}: {who}", int(events), hours, "hour", "real", "uci_adl_binary, one home")
        for mode, (alarms, hours, naive) in totals.items()
        for who, events in (("the product", alarms), ("every opening and movement", naive))
    ]
    absences = [span for span in spans if span.mode == "away"]
    return {"spans": rows, "figures": [*made, *_injected(said, absences)]}


def read(folder: Path) -> tuple[list[Said], list[Span]]:
    """What door and PIRs said, in order; the armed times."""
    said = []
    for start_us, end_us, place, *_ in _rows(folder / "OrdonezA_Sensors.txt"):
        sensor = PLACES.get(place)
        if sensor is not None:
            for at_us, active in ((start_us, True), (end_us, False)):
                field = {"contact": not active} if sensor.startswith("contact") else {"occupancy": active}
                said.append(Said(at_us, sensor, field))
    said.sort(key=lambda s: s.at_us)
    opened = [s.at_us for s in said if s.payload.get("contact") is False]
    spans = []
    for start_us, end_us, activity, *_ in _rows(folder / "OrdonezA_ADLs.txt"):
        if activity == "Leaving":
            back_us = max(at for at in opened if start_us < at <= end_us)
            spans.append(
                Span("away", start_us - ARMS_BEFORE_S * _SECOND_US, back_us + DISARMS_AFTER_S * _SECOND_US)
            )
        elif activity == "Sleeping":
            spans.append(Span("stay", start_us, end_us))
    return said, spans


def watch(said: Sequence[Said], span: Span, burst: Sequence[Said] = (), until_us: int = 0) -> WatchedHome:
    """The home from a while before it is armed until it is disarmed, or until `until_us`."""
    start_us = (span.from_us - 5 * MINUTE_US) // MINUTE_US * MINUTE_US
    end_us = until_us or span.to_us + 2 * MINUTE_US
    keypad = [
        Said(span.from_us, "keypad", {"action": f"arm_{span.mode}"}),
        Said(span.to_us, "keypad", {"action": "disarm", "action_code": "of the home"}),
    ]
    heard = [s for s in [*said, *burst, *keypad] if start_us <= s.at_us < end_us]
    watched = WatchedHome([*SENSORS, _KEYPAD], start_us, {})
    minute_us = start_us
    for one in sorted(heard, key=lambda s: s.at_us):
        minute_us = _pass(watched, minute_us, one.at_us)
        watched.zigbee(one.sensor_id, one.payload, one.at_us)
    _pass(watched, minute_us, end_us)
    return watched


def _pass(watched: WatchedHome, minute_us: int, to_us: int) -> int:
    """Let whole minutes go by, sealing each; delays run out on the way."""
    while minute_us + MINUTE_US + SEALED_LATE_US <= to_us:
        watched.tick(minute_us + MINUTE_US)
        watched.minute(minute_us)
        minute_us += MINUTE_US
    return minute_us


def _injected(said: Sequence[Said], absences: Sequence[Span]) -> list[figures.Figure]:
    rng = np.random.default_rng(5)
    long = [s for s in absences if s.to_us - s.from_us > (3 * _SPARE_S) * _SECOND_US]
    made = []
    for name, by_door in (("by the front door", True), ("past the PIRs only", False)):
        found, delays = 0, []
        for span in long:
            for _ in range(BURSTS):
                first_us = int(
                    rng.uniform(span.from_us + _SPARE_S * _SECOND_US, span.to_us - _SPARE_S * _SECOND_US)
                )
                burst = list(_burst(rng, first_us, by_door))
                watched = watch(said, span, burst, until_us=first_us + 2 * MINUTE_US)
                alarms = [a for a in watched.alarms if a.kind is AlarmKind.BURGLARY]
                found += bool(alarms)
                delays += [(alarms[0].opened_us - first_us) / _SECOND_US] if alarms else []
        trials = len(long) * BURSTS
        note = f"after {np.median(delays):.0f} s (median), {max(delays):.0f} s at most" if delays else "never"
        made.append(figures.proportion(name, found, trials, "synthetic", INJECTED, note=note))
    return made


def _burst(rng: np.random.Generator, at_us: int, by_door: bool) -> Iterator[Said]:
    """Somebody comes in and passes the PIRs in some order."""
    if by_door:
        yield Said(at_us, "contact-front-door", {"contact": False})
        yield Said(at_us + 8 * _SECOND_US, "contact-front-door", {"contact": True})
        at_us += int(rng.uniform(5, 20) * _SECOND_US)
    for sensor in rng.permutation([s for s in PLACES.values() if s.startswith("motion")]):
        yield Said(at_us, str(sensor), {"occupancy": True})
        yield Said(at_us + 4 * _SECOND_US, str(sensor), {"occupancy": False})
        at_us += int(rng.uniform(5, 40) * _SECOND_US)


def _wakes(said: Said) -> bool:
    return said.payload in ({"contact": False}, {"occupancy": True})


def _rows(path: Path) -> Iterator[tuple[int, int, str]]:
    """(start µs, end µs, what) of a log; the first two lines are its head."""
    for line in path.read_text().splitlines()[2:]:
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        if len(cells) >= 3:
            start, end = (_us(cell) for cell in cells[:2])
            yield start, end, cells[2]


def _us(stamp: str) -> int:
    return int(dt.datetime.fromisoformat(stamp).replace(tzinfo=dt.UTC).timestamp()) * _SECOND_US
