"""Is somebody there? Two PIRs and microphones of a real room; and, apart, PIR waveforms from the simulator.

Real: uci_room_occupancy, split by date. A two-state filter (occupied or not, forward only: no reading
knows the next) over PIR and sound is fitted on the first day and judged on the four later ones beside
"a PIR fired within five minutes". Its few constants were chosen on the first day too. Light is left out:
homes have no such sensor. The filter is a measurement of what the sensors can tell; the product's
scores do not use it.

Synthetic: the package's motion model tells a person from a pet, a draught and nothing, beside what a
plain PIR says (anything moved).
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import figures
from benchmarks.detection.page import table
from local import recordings
from local.training.examples import MOTION_CLASSES, motion_examples
from schemas.features import MOTION_FEATURES
from serving import cards
from serving.handlers import label_scores
from serving.interpreter import LoadedModel, open_card

HOLD_S: Final = 300.0
FITTED_ON: Final = dt.date(2017, 12, 22)
SOUND_STEPS: Final = (0.09, 0.15, 0.4)  # volts; quiet is 0.07
STAY_S: Final = 7_200.0  # mean length of a stay and of an absence
TRUST: Final = 0.3  # neighbouring rows are alike: each counts as this part of a fresh one
BLOCK_S: Final = 3 * 3600  # drawn as a whole: days are too few, rows too alike
_MOST_GAP_S: Final = 600.0
SYNTHETIC_EACH: Final = 500
SYNTHETIC_SEED: Final = 4_242
_Bools = NDArray[np.bool_]


class Log(NamedTuple):
    """The room, one row in about 30 s.

    Attributes:
        at_s: float64[n] local time. days: [n]. pir, occupied: bool[n].
        sound: float64[n], the loudest of four microphones, volts.
    """

    at_s: NDArray[np.float64]
    days: NDArray[Any]
    pir: _Bools
    sound: NDArray[np.float64]
    occupied: _Bools


def measure() -> dict[str, Any]:
    """The real room, then the simulator."""
    folder = recordings.recordings_folder()
    if folder is None:
        raise FileNotFoundError("the room is a recording: set HEARTHWATCH_RECORDINGS")
    log = read(folder / "uci_room_occupancy" / "occupancy.csv")
    fitted = log.days == FITTED_ON
    held, ours = held_s(log, HOLD_S), filtered(log, fitted)
    tested = ~fitted
    block = np.floor(log.at_s / BLOCK_S)[tested]
    data = f"uci_room_occupancy, {len(set(log.days[tested]))} later days"
    truth = log.occupied[tested]
    made = []
    for name, says in (("PIR held five minutes", held[tested]), ("PIR and sound, filtered", ours[tested])):
        made += [_share(f"{name}: {what}", says, truth, what, block, data) for what in _WHAT]
    made.append(
        figures.paired(
            "accuracy of PIR and sound, filtered, less that of PIR held",
            ours[tested] == truth,
            held[tested] == truth,
            block,
            "real",
            data,
            note=f"blocks of {BLOCK_S // 3600} h were drawn; p takes rows as independent",
        )
    )
    days = [
        {
            "day": str(day),
            "rows": int((log.days == day).sum()),
            "occupied": int(log.occupied[log.days == day].sum()),
            "held_wrong": int((held != log.occupied)[log.days == day].sum()),
            "ours_wrong": int((ours != log.occupied)[log.days == day].sum()),
        }
        for day in sorted(set(log.days))
    ]
    motion = open_card(cards.find("motion"))
    return {
        "models": {"motion": motion.card.model_version},
        "days": days,
        "fitted_on": str(FITTED_ON),
        "figures": [*made, *_synthetic(motion)],
    }


def read(path: Path) -> Log:
    """The log as UCI wrote it."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    stamps = [dt.datetime.strptime(f"{r['Date']} {r['Time']}", "%Y/%m/%d %H:%M:%S") for r in rows]
    return Log(
        np.array([(stamp - dt.datetime(1970, 1, 1)).total_seconds() for stamp in stamps]),
        np.array([stamp.date() for stamp in stamps]),
        np.array([int(r["S6_PIR"]) + int(r["S7_PIR"]) > 0 for r in rows]),
        np.array([max(float(r[f"S{i}_Sound"]) for i in (1, 2, 3, 4)) for r in rows]),
        np.array([int(r["Room_Occupancy_Count"]) > 0 for r in rows]),
    )


def held_s(log: Log, seconds: float) -> _Bools:
    """Occupied while a PIR fired within the last `seconds`."""
    found, last = np.zeros(len(log.pir), bool), -np.inf
    for row, (at, fired) in enumerate(zip(log.at_s, log.pir, strict=True)):
        last = at if fired else last
        found[row] = at - last <= seconds
    return found


def filtered(log: Log, fitted: _Bools) -> _Bools:
    """The two-state filter, its tables from the rows `fitted`."""
    sound = np.digitize(log.sound, SOUND_STEPS)
    evidence = sum(_log_odds(seen, log.occupied, fitted) for seen in (log.pir.astype(int), sound))
    found, odds, before = np.zeros(len(log.pir), bool), 0.0, log.at_s[0]
    for row, (at, says) in enumerate(zip(log.at_s, TRUST * np.asarray(evidence), strict=True)):
        leaves = 1 - np.exp(-min(at - before, _MOST_GAP_S) / STAY_S)
        p = 1 / (1 + np.exp(-odds))
        p = p * (1 - leaves) + (1 - p) * leaves
        odds = float(np.clip(np.log(p / (1 - p)) + says, -30, 30))
        found[row], before = odds > 0, at
    return found


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Both methods, days, and the simulator's."""
    real = [f for f in found["figures"] if f["origin"] == "real" and f["kind"] == "bootstrapped"]
    by_name = {f["name"]: figures.percent(f) for f in real}
    methods = list(dict.fromkeys(name.rpartition(": ")[0] for name in by_name))
    (pair,) = (f for f in found["figures"] if f["kind"] == "paired")
    rows = [[method, *(by_name[f"{method}: {what}"] for what in _WHAT)] for method in methods]
    rows.append(
        [
            f"difference of accuracy, {pair['n']} rows",
            f"{100 * pair['value']:+.2f} points ({100 * pair['low']:+.2f} to {100 * pair['high']:+.2f})",
            "",
            "",
        ]
    )
    return {
        "real": table(["on the later days", *_WHAT], rows),
        "days": table(
            ["day", "rows", "occupied", "wrong, PIR held", "wrong, filtered"],
            [
                [
                    d["day"] + (" (fitted on)" if d["day"] == found["fitted_on"] else ""),
                    str(d["rows"]),
                    str(d["occupied"]),
                    str(d["held_wrong"]),
                    str(d["ours_wrong"]),
                ]
                for d in found["days"]
            ],
        ),
        "synthetic": table(
            ["simulated minutes", "share"],
            [[f["name"], figures.percent(f)] for f in found["figures"] if f["origin"] == "synthetic"],
        ),
    }


_WHAT: Final = ("accuracy", "recall", "false")


def _share(name: str, says: _Bools, truth: _Bools, what: str, block: NDArray, data: str) -> figures.Figure:
    wanted = {"accuracy": np.ones(len(truth), bool), "recall": truth, "false": ~truth}[what]
    hits = says == truth if what == "accuracy" else says
    parts = [(hits & wanted)[block == b].sum() + 1j * wanted[block == b].sum() for b in np.unique(block)]
    return figures.bootstrapped(
        name, parts, _ratio, "real", data, observations=int(wanted.sum()), note="blocks of hours were drawn"
    )


def _ratio(parts: Sequence[complex]) -> float:
    total = complex(sum(parts))
    return total.real / total.imag if total.imag else float("nan")


def _log_odds(seen: NDArray[np.intp], occupied: _Bools, fitted: _Bools) -> NDArray[np.float64]:
    """How much more often each symbol is seen when occupied, with one row more of each than there were."""
    size = int(seen.max()) + 1
    counts = [
        np.bincount(seen[fitted & (occupied == state)], minlength=size) + 1.0 for state in (False, True)
    ]
    empty, full = (c / c.sum() for c in counts)
    return np.log(full / empty)[seen]


def _synthetic(model: LoadedModel) -> list[figures.Figure]:
    made = motion_examples(np.random.default_rng(SYNTHETIC_SEED), SYNTHETIC_EACH)
    says = np.array([score.label == "person" for score in label_scores(model, made.inputs)])
    moved = made.inputs[:, MOTION_FEATURES.index("active_fraction")] > 0
    data = "local.signals.pir, fresh minutes"
    found = []
    for label, index in zip(MOTION_CLASSES, range(len(MOTION_CLASSES)), strict=True):
        there = made.labels == index
        for who, said in (("motion model says person", says), ("plain PIR says moved", moved)):
            found.append(
                figures.proportion(
                    f"{who}: {label}", int(said[there].sum()), int(there.sum()), "synthetic", data
                )
            )
    return found
