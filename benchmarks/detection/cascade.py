"""The cascade: what the small sound model selects for the large one, what that costs, and what it misses.

Ordinary minutes are simulated (synthetic); real ordinary clips, each as if it were the loudest of a
minute, are counted apart. Cost is measured here, one thread, in batches as the pipeline scores them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import figures
from benchmarks.detection import sound_clips as sc
from benchmarks.detection.page import table
from local import recordings
from local.signals import everyday, room, sound
from local.signals.sound import Rng
from local.training import sounds
from local.training.sound_corpus import corpus
from serving.interpreter import LoadedModel
from transforms.score_closely import SELECT_AT, WATCHED, selects

SEED: Final = 61
MINUTES: Final = 1_500  # of one home's one sound sensor
SOUNDING: Final = 0.25  # of ordinary minutes; in the others the room is quiet
HAZARD_EACH: Final = 150
SENSORS: Final = 2  # of sound in a home of about ten
BATCH: Final = 32
FAMILY: Final = "sound"
HEARD: Final = WATCHED[FAMILY]
_REPEATS: Final = 5


def measure() -> dict[str, Any]:
    """Share selected, recall kept, milliseconds a home and minute."""
    models = {tier: sc.shipped(tier) for tier in ("small", "large")}
    rng = np.random.default_rng(SEED)
    ordinary = np.array([_minute(rng) for _ in range(MINUTES)])
    hazards = {name: np.array([sounds.synthetic(rng, name) for _ in range(HAZARD_EACH)]) for name in HEARD}
    selected = int(_selects(models["small"], ordinary).sum())
    made: list[figures.Figure] = [
        figures.proportion(
            "ordinary minutes selected", selected, MINUTES, "synthetic", "simulated minutes of a home"
        )
    ]
    made += [
        figure
        for name, inputs in hazards.items()
        for figure in _kept(models, inputs, name, "synthetic", f"{HAZARD_EACH} synthetic clips")
    ]
    made += _real(models, rng)
    cost = {tier: _milliseconds(model, ordinary[:BATCH]) for tier, model in models.items()}
    share = selected / MINUTES
    cascade = SENSORS * (cost["small"] + share * cost["large"])
    return {
        "figures": made,
        "models": {tier: model.card.model_version for tier, model in models.items()},
        "select_at": SELECT_AT,
        "cost_ms": cost,
        "sensors": SENSORS,
        "cascade_ms": cascade,
        "all_large_ms": SENSORS * cost["large"],
        "times_less": SENSORS * cost["large"] / cascade,
    }


def _selects(small: LoadedModel, inputs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """By the pipeline's own rule."""
    said = small.probabilities(inputs).tolist()
    return np.array([selects(FAMILY, small.card.classes, row) for row in said], bool)


def _kept(
    models: Mapping[str, LoadedModel],
    inputs: NDArray[np.uint8],
    wanted: str,
    origin: figures.Origin,
    data: str,
) -> list[figures.Figure]:
    """Recall of the large model on everything, and of the cascade, on the same clips."""
    said = models["large"].probabilities(inputs)
    large = said[:, sounds.CLASSES.index(wanted)] >= sc.ALARM_AT
    cascade = large & _selects(models["small"], inputs)
    return [
        figures.proportion(f"{wanted} recalled, large on all", int(large.sum()), large.size, origin, data),
        figures.proportion(f"{wanted} recalled, cascade", int(cascade.sum()), cascade.size, origin, data),
    ]


def _real(models: Mapping[str, LoadedModel], rng: Rng) -> list[figures.Figure]:
    folder = recordings.recordings_folder()
    parts, made = corpus(folder), []
    fires = [r for r in parts.test_esc if sounds.class_of(r) == "fire_crackling"]
    if fires:
        inputs = sc.clean(rng, fires, windows=1).inputs
        made += _kept(models, inputs, "fire_crackling", "real", "ESC-10 fold 5")
    ordinary = [r for r in (*parts.test_esc, *parts.test_house) if sounds.class_of(r) not in HEARD]
    if ordinary:
        chosen = _selects(models["small"], sc.clean(rng, ordinary, windows=1).inputs)
        data = "ESC-10 fold 5 and household_cc's odd files but fires: each the loudest of its minute"
        made.append(
            figures.proportion("ordinary clips selected", int(chosen.sum()), chosen.size, "real", data)
        )
    return made


def _minute(rng: Rng) -> NDArray[np.uint8]:
    """The loudest 1.6 s of an ordinary minute."""
    clips = []
    if rng.random() < SOUNDING:
        makers = (*sound.HOUSEHOLD, *everyday.NOT_ALARMS, sound.speech, sound.dog_bark)
        for _ in range(rng.integers(1, 4)):
            maker = makers[int(rng.integers(len(makers)))]
            clips.append(room.Clip(float(rng.uniform(0, 57)), maker(rng, 2.0), float(rng.uniform(40, 80))))
    return room.minute_sound(rng, clips)[0]


def _milliseconds(model: LoadedModel, inputs: NDArray[np.uint8]) -> float:
    """Of one score, the best of some repeats: other work on the machine only ever adds."""
    model.probabilities(inputs)
    spent = []
    for _ in range(_REPEATS):
        began = time.process_time()
        model.probabilities(inputs)
        spent.append((time.process_time() - began) / len(inputs))
    return 1e3 * min(spent)


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Cost beside "everything through the large", and what is selected and kept."""
    rows = [
        [f["origin"], f["data"], f["name"].replace("_", " "), figures.percent(f)] for f in found["figures"]
    ]
    cost = [
        ["a score, small", f"{found['cost_ms']['small']:.2f} ms"],
        ["a score, large", f"{found['cost_ms']['large']:.2f} ms"],
        [
            f"a home and minute ({found['sensors']} sound sensors), all through the large",
            f"{found['all_large_ms']:.2f} ms",
        ],
        ["a home and minute, cascade", f"{found['cascade_ms']:.2f} ms"],
        ["times less", f"{found['times_less']:.1f}"],
    ]
    return {"kept": table(["clips", "data", "", "share"], rows), "cost": table(["CPU time", ""], cost)}
