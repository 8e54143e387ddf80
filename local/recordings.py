"""Real recordings, read from the folder that HEARTHWATCH_RECORDINGS names; nothing is copied from it.

The folder holds `esc10/`, `sesa/`, `household_cc/`, `nist_fires/`, `uci_room_occupancy/` and
`uci_occupancy/` (README: where the originals are). A missing part yields an empty list. Which corpora
may enter weights is said per recording: ESC-10 but for CC-Sampling+ clips, and household_cc; SESA's
licence is second-hand, so it is evaluated on and never trained on.
"""

from __future__ import annotations

import csv
import datetime as dt
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Final, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from schemas.features import SAMPLE_HZ

RECORDINGS_VARIABLE: Final = "HEARTHWATCH_RECORDINGS"
_LOG = logging.getLogger(__name__)
# NIST's gas columns: 1 is CO, 3 is CO2, in vol % (inferred from their range).
PPM_PER_VOL_PCT: Final = 1e4
_BAD_GAS_B: Final = ("SDC02", "SDC05", "SDC07", "SDC10")  # analyser B is off scale from the start
# NIST's thermocouple trees: 1 hangs just under the ceiling, as smoke alarms do, 3 of seven about where
# one screws a sensor to a wall. DelCo's: eight, 1 under the ceiling.
Mount = Literal["ceiling", "wall"]
_THERMOCOUPLE: Final[dict[Mount, int]] = {"ceiling": 1, "wall": 3}
_DELCO_THERMOCOUPLE: Final[dict[Mount, int]] = {"ceiling": 1, "wall": 5}
# What may shape weights and rules, and what only judges them; DelCo's houses only judge too.
NIST_TRAINED: Final = ("SDC02", "SDC05", "SDC07", "SDC10")
NIST_TESTED: Final = ("SDC35", "SDC39")
_MEDIAN_S: Final = 15  # of the analysers, over the past only


@dataclass(frozen=True)
class SoundRecording:
    """A sound file.

    Attributes:
        corpus: "esc10", "sesa" or "household_cc".
        label: As the corpus says it ("crackling_fire", "siren"; household_cc: the file's name).
        fold: ESC's fold, never to be re-shuffled; 0 where the corpus has none.
        trainable: Its licence lets it shape weights that are given away.
    """

    corpus: str
    label: str
    fold: int
    path: Path
    licence: str
    trainable: bool

    def audio(self) -> NDArray[np.float32]:
        """float32 mono at 16 kHz, the whole file."""
        samples, hertz = soundfile.read(self.path, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)
        if hertz == SAMPLE_HZ:
            return mono.astype(np.float32)
        common = gcd(hertz, SAMPLE_HZ)
        return signal.resample_poly(mono, SAMPLE_HZ // common, hertz // common).astype(np.float32)


@dataclass(frozen=True)
class FireCurve:
    """One place of a real fire, each second since ignition.

    Attributes:
        test: "SDC02", "Test_2". room: NIST's letter of the place.
        air: float32[n, 6], schemas.readings.AIR_CHANNELS; NaN: not measured (VOC, humidity, pressure).
        optical_density: float32[n] in 1/m, NaN where not measured.
        ion_s, photo_s: When the first real ionisation and photoelectric alarm of that place went off;
            None: none did, or it was not recorded.
    """

    test: str
    room: str
    air: NDArray[np.float32]
    optical_density: NDArray[np.float32]
    ion_s: float | None = None
    photo_s: float | None = None

    @property
    def alarm_s(self) -> float | None:
        """When the first real smoke alarm of that place went off."""
        return min((s for s in (self.ion_s, self.photo_s) if s is not None), default=None)


@dataclass(frozen=True)
class RoomMinutes:
    """A recorded room, one row a minute.

    Attributes:
        minutes: Start of each, as the log writes it (local time).
        co2_ppm, temperature_c, humidity_pct: float32[n]; humidity may be all NaN.
        motion: bool[n], a PIR fired; people: int16[n] heads, or 0 and 1 for "occupied".
    """

    source: str
    minutes: list[dt.datetime]
    co2_ppm: NDArray[np.float32]
    temperature_c: NDArray[np.float32]
    humidity_pct: NDArray[np.float32]
    motion: NDArray[np.bool_]
    people: NDArray[np.int16]


def recordings_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder of HEARTHWATCH_RECORDINGS, or None, said in one line."""
    value = environment.get(RECORDINGS_VARIABLE, "")
    if value and Path(value).is_dir():
        return Path(value)
    reason = f"{value} is no folder" if value else "it is not set"
    _LOG.warning("%s: %s; using the simulator's own signals only", RECORDINGS_VARIABLE, reason)
    return None


def sounds(folder: Path | None) -> list[SoundRecording]:
    """Every sound of ESC-10, SESA and household_cc that is there."""
    if folder is None:
        return []
    found = []
    for row in _rows(folder / "esc10" / "meta.csv"):
        licence = row["clip_licence"]
        path = folder / "esc10" / "audio" / row["filename"]
        usable = licence in ("CC0", "CC-BY")
        found.append(SoundRecording("esc10", row["category"], int(row["fold"]), path, licence, usable))
    for row in _rows(folder / "sesa" / "meta.csv"):
        path = folder / "sesa" / row["path"]
        found.append(SoundRecording("sesa", row["label"], 0, path, "CC BY 4.0 (second-hand)", False))
    licences = _household_licences(folder / "household_cc" / "SOURCES.md")
    for path in sorted((folder / "household_cc" / "audio").glob("*.*")):
        licence = licences.get(path.name, "not listed")
        usable = licence in ("CC0 1.0", "CC BY 4.0")
        found.append(SoundRecording("household_cc", path.stem, 0, path, licence, usable))
    return [recording for recording in found if recording.path.is_file()]


def fires(folder: Path | None, mount: Mount = "wall") -> list[FireCurve]:
    """NIST's home smoke-alarm fires and the DelCo house fires, by test and place, at 1 Hz.

    Args:
        mount: Where the sensor hangs: which thermocouple of a place is taken. Gas was taken in one spot.
    """
    if folder is None:
        return []
    base = folder / "nist_fires"
    alarms = _first_alarms(base / "NIST_Smoke_Alarms" / "Activation_Times.csv")
    curves = []
    for path in sorted((base / "NIST_Smoke_Alarms").glob("NIST_Smoke_Alarms_SDC*.csv")):
        test = path.stem.rsplit("_", 1)[1]
        table = _Table(_rows(path), "TIME")
        for room in "ABCDEF":
            bad_gas = room == "B" and test in _BAD_GAS_B
            co2, co = ("", "") if bad_gas else (f"GAS{room}_3", f"GAS{room}_1")
            curve = _curve(table, f"TC{room}_{_THERMOCOUPLE[mount]}", co2, co, PPM_PER_VOL_PCT)
            if curve is not None:
                smoke = table.column(f"SM{room}_1")
                ion_s, photo_s = (alarms.get((test, room, kind)) for kind in ("Ion", "Pho"))
                curves.append(FireCurve(test, room, curve, smoke, ion_s, photo_s))
    for path in sorted((base / "DelCo_Trainers").glob("Test_*.csv")):
        table = _Table(_rows(path)[1:], "Time")  # the first row holds units
        for room, tree in (("A", "TC_A7"), ("B", "TC_A8")):
            thermocouple = f"{tree}_{_DELCO_THERMOCOUPLE[mount]}"
            curve = _curve(table, thermocouple, f"CO2_{room}", f"CO_{room}", 1e6)  # mol/mol
            if curve is not None:
                curves.append(FireCurve(path.stem, room, curve, table.column("")))
    return curves


def rooms(folder: Path | None) -> list[RoomMinutes]:
    """The UCI rooms: negatives for fire and CO, and occupancy."""
    if folder is None:
        return []
    found = []
    rows = _rows(folder / "uci_room_occupancy" / "occupancy.csv")[::2]  # every 30 s → a minute
    if rows:
        stamps = [dt.datetime.strptime(f"{r['Date']} {r['Time']}", "%Y/%m/%d %H:%M:%S") for r in rows]
        found.append(
            RoomMinutes(
                "uci_room_occupancy",
                stamps,
                _floats(rows, "S5_CO2"),
                _floats(rows, "S1_Temp"),
                np.full(len(rows), np.nan, np.float32),
                (_floats(rows, "S6_PIR") + _floats(rows, "S7_PIR")) > 0,
                _floats(rows, "Room_Occupancy_Count").astype(np.int16),
            )
        )
    for name in ("datatraining", "datatest"):
        path = folder / "uci_occupancy" / f"{name}.txt"
        # The header lacks the row number's column.
        if path.is_file():
            found.append(_office(name, path))
    return found


def _office(name: str, path: Path) -> RoomMinutes:
    header, *lines = csv.reader(path.read_text().splitlines())
    rows = [dict(zip(["row", *header], line, strict=True)) for line in lines]
    return RoomMinutes(
        f"uci_occupancy/{name}",
        [dt.datetime.fromisoformat(row["date"]) for row in rows],
        _floats(rows, "CO2"),
        _floats(rows, "Temperature"),
        _floats(rows, "Humidity"),
        np.zeros(len(rows), bool),
        _floats(rows, "Occupancy").astype(np.int16),
    )


class _Table:
    """Columns of a log, interpolated to 1 Hz."""

    def __init__(self, rows: list[dict[str, str]], time: str) -> None:
        self._rows = rows
        self._at = _floats(rows, time)
        self.seconds = np.arange(0, int(self._at[-1]) + 1)

    def column(self, name: str) -> NDArray[np.float32]:
        if not self._rows or name not in self._rows[0]:
            return np.full(self.seconds.size, np.nan, np.float32)
        values = _floats(self._rows, name)
        known = np.isfinite(values)
        if known.sum() < 2:
            return np.full(self.seconds.size, np.nan, np.float32)
        return np.interp(self.seconds, self._at[known], values[known]).astype(np.float32)


def _curve(table: _Table, temperature: str, co2: str, co: str, ppm: float) -> NDArray[np.float32] | None:
    """float32[n, 6]; None without a temperature. CO and CO2 are the rise above the analyser's noise."""
    celsius = table.column(temperature)
    if np.isnan(celsius).all():
        return None
    air = np.full((celsius.size, 6), np.nan, np.float32)
    air[:, 3] = celsius
    quiet = max(int(np.argmax(celsius > celsius[0] + 1.0)), 20)  # before the fire reaches the place
    for index, name, outdoors in ((0, co2, 420.0), (1, co, 0.0)):
        air[:, index] = outdoors + _above_noise(table.column(name) * np.float32(ppm), quiet)
    return air


def _above_noise(values: NDArray[np.float32], quiet: int) -> NDArray[np.float32]:
    """Analysers of vol % wander by 100 ppm: count only what exceeds the wandering before the fire.

    The median looks back only: a reading must not know what comes.
    """
    if np.isnan(values).any():
        return values
    past = np.concatenate([np.full(_MEDIAN_S - 1, values[0]), values])
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(past, _MEDIAN_S), axis=1)
    return np.maximum(smooth - smooth[:quiet].max(), 0).astype(np.float32)


def _first_alarms(path: Path) -> dict[tuple[str, str, str], float]:
    """(test, room, "Ion" or "Pho") → seconds after ignition of its first smoke alarm of that kind."""
    first: dict[tuple[str, str, str], float] = {}
    for row in _rows(path):
        for name, seconds in row.items():
            test, _, alarm = name.partition("-")
            if alarm:
                key = (test, alarm[-1], alarm[:3])
                first[key] = min(first.get(key, np.inf), float(seconds))
    return first


def _household_licences(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.is_file() else []
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|"))
    return {cell[1].strip("`"): cell[-2] for cell in cells if len(cell) >= 5}


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _floats(rows: list[dict[str, str]], name: str) -> NDArray[np.float32]:
    return np.array([float(row[name] or "nan") for row in rows], np.float32)
