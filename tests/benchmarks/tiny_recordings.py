"""A folder as HEARTHWATCH_RECORDINGS names it, with a little of all that `benchmarks.detection` reads."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

FIRE_S = 90
BURNS_FROM_S = 30


def write(folder: Path) -> Path:
    """Fill the folder; its sounds are noise, its fires one curve."""
    _sounds(folder)
    _fires(folder / "nist_fires")
    _room(folder / "uci_room_occupancy" / "occupancy.csv")
    _home(folder / "uci_adl_binary")
    return folder


def _sounds(folder: Path) -> None:
    esc = [
        {"filename": f"{fold}-{label}-{take}.wav", "fold": fold, "category": label, "clip_licence": "CC0"}
        for fold in (3, 5)
        for label in ("crackling_fire", "dog")
        for take in (1, 2)
    ]
    _table(folder / "esc10" / "meta.csv", esc)
    sesa = [
        {"path": f"train/{label}_{number:03d}.wav", "label": label}
        for label in ("siren", "casual")
        for number in range(6)
    ]
    _table(folder / "sesa" / "meta.csv", sesa)
    house = ["a-dog-barks.wav", "b-door.wav", "c-kettle.wav", "d-talking.wav"]
    (folder / "household_cc").mkdir()
    (folder / "household_cc" / "SOURCES.md").write_text(
        "".join(f"| x | `{name}` | title | CC0 1.0 | somebody |\n" for name in house)
    )
    rng = np.random.default_rng(1)
    for path in (
        *(folder / "esc10" / "audio" / row["filename"] for row in esc),
        *(folder / "sesa" / row["path"] for row in sesa),
        *(folder / "household_cc" / "audio" / name for name in house),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, 3 * 16_000), 16_000)


def _fires(base: Path) -> None:
    def rows(names: dict[str, str]) -> list[dict[str, float]]:
        burns = [max(second - BURNS_FROM_S, 0) for second in range(0, FIRE_S, 2)]
        return [
            {
                names["time"]: 2 * n,
                names["ceiling"]: 20 + 2 * since,
                names["wall"]: 20 + since,
                names["co"]: 1e-6 * since,
                names["co2"]: 1e-4 * since,
            }
            for n, since in enumerate(burns)
        ]

    nist = {"time": "TIME", "ceiling": "TCA_1", "wall": "TCA_3", "co": "GASA_1", "co2": "GASA_3"}
    alarms = {"Act": -1}
    for test in ("SDC02", "SDC35"):
        _table(base / "NIST_Smoke_Alarms" / f"NIST_Smoke_Alarms_{test}.csv", rows(nist))
        alarms |= {f"{test}-Ion1A": 40, f"{test}-Pho1A": 60}
    _table(base / "NIST_Smoke_Alarms" / "Activation_Times.csv", [alarms])
    delco = {"time": "Time", "ceiling": "TC_A7_1", "wall": "TC_A7_5", "co": "CO_A", "co2": "CO2_A"}
    units = dict.fromkeys(delco.values(), "unit")
    _table(base / "DelCo_Trainers" / "Test_2.csv", [units, *rows(delco)])


def _room(path: Path) -> None:
    """Two days of six hours each: somebody is in for the first half of either."""
    rows = []
    for day in (22, 23):
        for n in range(720):
            at, there = 30 * n, n < 360
            rows.append(
                {
                    "Date": f"2017/12/{day}",
                    "Time": f"{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}",
                    "S1_Temp": 21.0,
                    **{f"S{place}_Sound": 0.5 if there and n % 3 == 0 else 0.07 for place in (1, 2, 3, 4)},
                    "S5_CO2": 500,
                    "S6_PIR": int(there and n % 4 == 0),
                    "S7_PIR": 0,
                    "Room_Occupancy_Count": int(there),
                }
            )
    _table(path, rows)


def _home(folder: Path) -> None:
    head, day = "Start time\tEnd time\tWhat\n----\t----\t----\n", "2011-11-28 "
    folder.mkdir()
    (folder / "OrdonezA_Sensors.txt").write_text(
        head
        + f"{day}13:09:31\t\t{day}13:09:35\t\tMaindoor\tMagnetic\tEntrance\n"
        + f"{day}13:28:59\t\t{day}13:29:09\t\tMaindoor\tMagnetic\tEntrance\n"
    )
    (folder / "OrdonezA_ADLs.txt").write_text(
        head
        + f"{day}02:27:59\t\t{day}10:18:11\t\tSleeping\t\n"
        + f"{day}13:09:31\t\t{day}13:29:09\t\tLeaving\t\n"
    )


def _table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
