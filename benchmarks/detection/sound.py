"""Sound: the shipped models on what they never learnt from: classes, calibration, SESA, disturbance.

Intervals are by recording. Needs HEARTHWATCH_RECORDINGS. Corpora in turn: benchmarks.detection.corpora.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import figures, sound_robust
from benchmarks.detection import sound_clips as sc
from benchmarks.detection.sound_clips import Clips
from benchmarks.detection.sound_page import MODELS, draw, tables
from local import recordings
from local.recordings import SoundRecording
from local.training import sounds
from local.training.sound_corpus import corpus
from serving.interpreter import LoadedModel

__all__ = ["draw", "measure", "tables"]
SEED: Final = 23
SYNTHETIC_EACH: Final = 60


def measure() -> dict[str, Any]:
    """Some minutes of one core.

    Raises:
        RuntimeError: No recordings.
    """
    folder = recordings.recordings_folder()
    if not recordings.sounds(folder):
        raise RuntimeError(f"{recordings.RECORDINGS_VARIABLE} names no sounds")
    parts = corpus(folder)
    models = {tier: sc.shipped(tier) for tier in MODELS}
    rng = np.random.default_rng(SEED)
    in_corpus = [*parts.test_esc, *parts.test_house]
    real = sc.clean(rng, in_corpus)
    made = _synthetic(rng)
    result: dict[str, Any] = {
        "models": {tier: model.card.model_version for tier, model in models.items()},
        "classes": list(sounds.CLASSES),
        "in_corpus": {tier: _in_corpus(model, real, len(in_corpus)) for tier, model in models.items()},
        "synthetic": {tier: _synthetic_classes(model, made) for tier, model in models.items()},
        "sesa": _sesa(models, parts.sesa, rng),
        "robustness": sound_robust.robustness(
            models, [r for r in sc.sesa_half(parts.sesa, odd=False) if r.label == "siren"], in_corpus
        ),
    }
    result["figures"] = [
        *(
            f
            for part in ("in_corpus", "synthetic")
            for tier in MODELS
            for f in result[part][tier].pop("figures")
        ),
        *result["sesa"].pop("figures"),
        *result["robustness"].pop("figures"),
    ]
    return result


def _in_corpus(model: LoadedModel, clips: Clips, recordings_: int) -> dict[str, Any]:
    """Precision and recall by class on the loudest window, calibration over all windows by recording."""
    tier, data = model.card.tier, "ESC-10 fold 5, household_cc's odd files"
    said = model.probabilities(clips.inputs)
    first = said[clips.first]
    made = _by_class(first, clips.labels[clips.first], "real", data, tier)
    parts = [(said[clips.group == g], clips.labels[clips.group == g]) for g in range(recordings_)]
    made.append(
        figures.bootstrapped(
            f"calibration error, {tier}",
            parts,
            _error_of_all,
            "real",
            data,
            observations=len(clips.labels),
            note="ten bins; with few clips it reads high",
        )
    )
    return {
        "figures": made,
        "reliability": sc.reliability(said, clips.labels),
        "calibrated_reads": sc.calibrated_reads(said, clips.group),
        "best_temperature": sc.best_temperature(said, clips.labels),
        "curves": _curves(first, clips.labels[clips.first]),
    }


def _synthetic_classes(model: LoadedModel, made: Clips) -> dict[str, Any]:
    tier, data = model.card.tier, f"{SYNTHETIC_EACH} fresh synthetic clips of a class"
    said = model.probabilities(made.inputs)
    parts = [(said[i : i + 1], made.labels[i : i + 1]) for i in range(len(said))]
    error = figures.bootstrapped(f"calibration error, {tier}", parts, _error_of_all, "synthetic", data)
    return {
        "figures": [*_by_class(said, made.labels, "synthetic", data, tier), error],
        "reliability": sc.reliability(said, made.labels),
        "calibrated_reads": sc.calibrated_reads(said, made.group),
        "curves": _curves(said, made.labels),
    }


def _sesa(
    models: dict[str, LoadedModel], recordings_: Sequence[SoundRecording], rng: np.random.Generator
) -> dict[str, Any]:
    """The shipped models, which never learnt from SESA; its even files, unseen, apart from the odd."""
    found: dict[str, Any] = {"figures": []}
    for half, odd in (("even", False), ("odd", True)):
        chosen = sc.sesa_half(recordings_, odd)
        clips = sc.clean(rng, chosen, windows=1)
        label = np.array([r.label for r in chosen])
        for tier, model in models.items():
            said = model.probabilities(clips.inputs)
            scores, siren = sounds.alarm_probability(said), label == "siren"
            found[f"{half}, {tier}"] = sc.curve(scores, siren)
            found["figures"] += _sesa_figures(f"SESA, {half} files", tier, said, label)
    return found


def _sesa_figures(
    data: str, tier: str, said: NDArray[np.float32], label: NDArray[np.str_]
) -> list[figures.Figure]:
    scores, siren = sounds.alarm_probability(said), label == "siren"
    alarm, best = scores >= sc.ALARM_AT, said.argmax(axis=1)
    glass = best == sounds.CLASSES.index("glass_break")
    named = (
        ("siren recalled", alarm[siren]),
        ("false siren or alarm", alarm[~siren]),
        ("false siren or alarm among casual sounds", alarm[label == "casual"]),
        ("false glass_break", glass),
    )
    made = [
        figures.proportion(
            f"{name}, {tier}", int(hits.sum()), hits.size, "real", data, interval="clopper-pearson"
        )
        for name, hits in named
    ]
    for share in (0.02, 0.05):
        hits = round(sc.recall_at(scores, siren, share) * int(siren.sum()))
        name = f"siren recalled at {share:.0%} false, {tier}"
        note = "the threshold is read off this very curve"
        made.append(figures.proportion(name, hits, int(siren.sum()), "real", data, note=note))
    return made


def _by_class(
    said: NDArray[np.float32], labels: NDArray[np.intp], origin: figures.Origin, data: str, tier: str
) -> list[figures.Figure]:
    best = said.argmax(axis=1)
    made = [figures.proportion(f"accuracy, {tier}", int((best == labels).sum()), labels.size, origin, data)]
    for place, name in enumerate(sounds.CLASSES):
        there, said_so = labels == place, best == place
        hits = int((there & said_so).sum())
        if there.any():
            made.append(figures.proportion(f"recall of {name}, {tier}", hits, int(there.sum()), origin, data))
        if there.any() and said_so.any():
            made.append(
                figures.proportion(f"precision of {name}, {tier}", hits, int(said_so.sum()), origin, data)
            )
    return made


def _curves(said: NDArray[np.float32], labels: NDArray[np.intp]) -> dict[str, Any]:
    return {
        name: sc.curve(said[:, place], labels == place, points=30)
        for place, name in enumerate(sounds.CLASSES)
        if (labels == place).any()
    }


def _error_of_all(parts: Sequence[tuple[NDArray[np.float32], NDArray[np.intp]]]) -> float:
    said, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sc.calibration_error(said, labels)


def _synthetic(rng: np.random.Generator) -> Clips:
    made = sounds.synthetic_examples(rng, SYNTHETIC_EACH)
    n = len(made.labels)
    return Clips(made.inputs, made.labels, np.arange(n), np.ones(n, bool))
