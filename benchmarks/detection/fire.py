"""Fires: when the gateway's 1 Hz rules and the minute path alarm on NIST's, and when they are wrong.

The gateway's own rules see each place of a fire as recorded ("ideal") and as a home's sensor would follow
it ("lagged", by the response times of local.signals.air). The minute path is the product's: features of
a minute, the air model, the fusion of a home's scores. NIST's analysers and thermocouples give
temperature, CO and CO2; what they did not measure stays at rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import figures, nuisances, ordinary_rooms, plots
from benchmarks.detection.minute_path import MinutePath
from benchmarks.detection.page import table
from edge_client.clock import SECOND_US
from edge_client.hazards import AirHazards, AirSample
from local import recordings
from local.recordings import NIST_TESTED, NIST_TRAINED, Mount
from local.signals.air import LAG_S

MOUNTS: Final[tuple[Mount, ...]] = ("ceiling", "wall")
BEFORE_S: Final = 180  # the room at rest before ignition
PHASES: Final = range(0, 60, 10)  # when in a minute the fire begins
_CO2, _CO, _C = 0, 1, 3  # in AIR_CHANNELS
_SECONDS: Final = ("ion_s", "photo_s", "co2_rule_s", "lagged_s", "ideal_s", "cooking_s")
_DETECTORS: Final = {"lagged_s": "gateway", "minute_s": "minute path"}
_CHOSEN_ON, _HELD_OUT, _DELCO = "chosen on", "held out", "DelCo"


def measure() -> dict[str, Any]:
    """Every fire, every ordinary room, and the simulator's nuisances."""
    folder = recordings.recordings_folder()
    if folder is None:
        raise FileNotFoundError("fires are recordings: set HEARTHWATCH_RECORDINGS")
    path = MinutePath()
    places = [place for mount in MOUNTS for place in _places(folder, mount)]
    houses = [house for mount in MOUNTS for house in _houses(places, mount)]
    _minutes(folder, path, houses)
    rooms = [ordinary_rooms.measure(path, room) for room in recordings.rooms(folder)]
    found = nuisances.measure()
    return {
        "models": {"air": path.version},
        "places": places,
        "houses": houses,
        "rooms": rooms,
        "nuisances": found,
        "figures": [
            *_before_photo(houses),
            *_alarmed(houses),
            *ordinary_rooms.figures_of(rooms),
            *nuisances.figures_of(found),
        ],
    }


def gateway_s(
    air: NDArray[np.float32], *, lagged: bool, near_cooking: bool = False
) -> tuple[int | None, str]:
    """float32[n, 6] since ignition → second of the gateway's first alarm and its code's name.

    None: no alarm until the recording ends.
    """
    at_rest = np.repeat(air[:1], BEFORE_S, axis=0)
    seen = np.concatenate([at_rest, air])
    if lagged:
        seen = lag(seen)
    rules = AirHazards(near_cooking=near_cooking)
    for second, row in enumerate(np.nan_to_num(seen, nan=0.0).tolist()):
        sample = AirSample(row[_CO], 100.0, row[_C])
        for change in rules.second((second + 1) * SECOND_US, sample):
            if change.active:
                return second - BEFORE_S, change.code.name.lower()
    return None, ""


def lag(air: NDArray[np.float32]) -> NDArray[np.float32]:
    """What sensors of first order make of float32[n, 6], a row a second; they start settled."""
    out = air.copy()
    for second in range(1, len(air)):
        out[second] = out[second - 1] + (air[second] - out[second - 1]) / np.maximum(LAG_S, 1.0)
    return out


def co2_rule_s(air: NDArray[np.float32]) -> int | None:
    """The naive rule: CO2 stands 100 ppm above where it was."""
    above = air[:, _CO2] - air[0, _CO2] > ordinary_rooms.RULE_PPM
    return int(np.argmax(above)) if above.any() else None


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Houses, places, and what is false."""
    return {
        "houses": _house_table(found["houses"]),
        "places": _place_table(found["places"]),
        "false": table(
            ["where", "detector", "false fire alarms"],
            [[f["data"], f["name"], figures.per(f)] for f in found["figures"] if f["kind"] == "rate"],
        ),
        "summary": table(
            ["fires", "what", "share"],
            [
                [f["data"], f["name"], f"{f['events']} of {f['n']}, {figures.percent(f, 0)}"]
                for f in found["figures"]
                if f["kind"] == "proportion" and f["origin"] == "real"
            ],
        ),
        "nuisances": nuisances.table_of(found["nuisances"]),
    }


def draw(found: dict[str, Any], folder: Path) -> None:
    """Seconds from ignition to each alarm, by house."""
    houses = [h for h in found["houses"] if h["mount"] == "ceiling" and h["photo_s"] is not None]
    figure, axes = plots.canvas(height=2.6)
    marks = (
        ("ion_s", "real ionisation alarm", plots.LIMIT, "|"),
        ("photo_s", "real photoelectric alarm", plots.THEIRS, "s"),
        ("lagged_s", "gateway, 1 Hz, ceiling", plots.OURS, "o"),
        ("minute_s", "minute path (median)", plots.OURS, "x"),
    )
    for key, label, colour, marker in marks:
        points = [(h[key], row) for row, h in enumerate(houses) if h[key] is not None]
        axes.scatter(
            [at_s for at_s, _ in points],
            [row for _, row in points],
            label=label,
            color=colour,
            marker=marker,
            s=45,
        )
    axes.set_yticks(range(len(houses)), [f"{h['test']} ({h['split']})" for h in houses])
    axes.invert_yaxis()
    axes.set_xlabel("seconds after ignition")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    plots.save(figure, folder / "fire.svg")


def _places(folder: Path, mount: Mount) -> list[dict[str, Any]]:
    return [
        {
            "test": curve.test,
            "split": _split(curve.test),
            "room": curve.room,
            "mount": mount,
            "ion_s": curve.ion_s,
            "photo_s": curve.photo_s,
            "ideal_s": gateway_s(curve.air, lagged=False)[0],
            "lagged_s": gateway_s(curve.air, lagged=True)[0],
            "code": gateway_s(curve.air, lagged=True)[1],
            "cooking_s": gateway_s(curve.air, lagged=True, near_cooking=True)[0],
            "co2_rule_s": co2_rule_s(curve.air),
            "ends_s": len(curve.air) - 1,
        }
        for curve in recordings.fires(folder, mount)
    ]


def _split(test: str) -> str:
    if test in NIST_TRAINED:
        return _CHOSEN_ON
    return _HELD_OUT if test in NIST_TESTED else _DELCO


def _houses(places: list[dict[str, Any]], mount: Mount) -> list[dict[str, Any]]:
    """The first alarm anywhere in a house."""
    houses = []
    for test in dict.fromkeys(place["test"] for place in places):
        there = [p for p in places if p["test"] == test and p["mount"] == mount]
        first = {key: _first(place[key] for place in there) for key in _SECONDS}
        houses.append({"test": test, "split": _split(test), "mount": mount, **first, "minute_s": None})
    return houses


def _first(seconds: Iterator[float | None]) -> float | None:
    return min((s for s in seconds if s is not None), default=None)


def _minutes(folder: Path, path: MinutePath, houses: list[dict[str, Any]]) -> None:
    """Adds each house's minute path: median over phases, and how many phases alarmed at all."""
    for house in houses:
        curves = [c for c in recordings.fires(folder, house["mount"]) if c.test == house["test"]]
        seconds = [path.fire_s(curves, phase, seed=phase) for phase in PHASES]
        alarmed = [s for s in seconds if s is not None]
        house["minute_alarmed"], house["minute_phases"] = len(alarmed), len(seconds)
        house["minute_s"] = float(np.median(alarmed)) if 2 * len(alarmed) > len(seconds) else None


def _before_photo(houses: Sequence[dict[str, Any]]) -> list[figures.Figure]:
    made = []
    for split in (_CHOSEN_ON, _HELD_OUT):
        for key, name in _DETECTORS.items():
            for mount in MOUNTS:
                there = [h for h in houses if h["split"] == split and h["mount"] == mount]
                before = sum(h[key] is not None and h[key] < h["photo_s"] for h in there)
                made.append(
                    figures.proportion(
                        f"{name}, sensors at the {mount}: before the house's first photoelectric alarm",
                        before,
                        len(there),
                        "real",
                        f"NIST, {split}",
                        interval="clopper-pearson",
                    )
                )
    return made


def _alarmed(houses: Sequence[dict[str, Any]]) -> list[figures.Figure]:
    made = []
    for mount in MOUNTS:
        there = [h for h in houses if h["split"] == _DELCO and h["mount"] == mount]
        for key, name in (("lagged_s", "gateway"), ("minute_s", "minute path")):
            made.append(
                figures.proportion(
                    f"{name}, sensors at the {mount}: alarm within the recording",
                    sum(h[key] is not None for h in there),
                    len(there),
                    "real",
                    "NIST DelCo houses",
                    interval="clopper-pearson",
                )
            )
    return made


def _house_table(houses: Sequence[dict[str, Any]]) -> str:
    head = ["fire", "ion", "photo", "CO2 +100 ppm", "gateway, ceiling", "ideal sensor", "as near a stove"]
    head += ["gateway, wall", "minute path, ceiling"]
    by_mount = {(h["test"], h["mount"]): h for h in houses}
    rows = []
    for test in dict.fromkeys(h["test"] for h in houses):
        ceiling, wall = by_mount[test, "ceiling"], by_mount[test, "wall"]
        rows.append(
            [
                f"{test} ({ceiling['split']})",
                *(_s(ceiling[key]) for key in _SECONDS),
                _s(wall["lagged_s"]),
                _s(ceiling["minute_s"]),
            ]
        )
    return table(head, rows)


def _place_table(places: Sequence[dict[str, Any]]) -> str:
    by_mount = {(p["test"], p["room"], p["mount"]): p for p in places}
    rows = []
    for test, room, mount in by_mount:
        if mount != "ceiling":
            continue
        ceiling, wall = by_mount[test, room, "ceiling"], by_mount.get((test, room, "wall"), {})
        rows.append(
            [
                f"{test} {room}",
                *(_s(ceiling[key]) for key in ("ion_s", "photo_s", "co2_rule_s")),
                f"{_s(ceiling['lagged_s'])} {ceiling['code']}".strip(),
                f"{_s(wall.get('lagged_s'))} {wall.get('code', '')}".strip(),
                f"{ceiling['ends_s']}",
            ]
        )
    return table(
        ["place", "ion", "photo", "CO2 +100 ppm", "gateway, ceiling", "gateway, wall", "recording ends"], rows
    )


def _s(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.0f}"
