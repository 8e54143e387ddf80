"""Trained on some corpora, tested on another, beside a plain random forest on the same clips.

Only the head is trained here (a few seconds); the trunk is the large model's. The forest gets mean and
spread of each band and the library's own settings. SESA takes part here and nowhere else in training:
none of these models is shipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from benchmarks.detection import figures
from benchmarks.detection.sound_clips import ALARM_AT, Clips, clean, curve, recall_at
from local.recordings import SoundRecording
from local.training import nets, sound_models, sounds, yamnet
from local.training.examples import Examples
from local.training.sound_models import Pool

SEED: Final = 31
WINDOWS: Final = {"esc10": 5, "household_cc": 12, "sesa": 3}
SYNTHETIC_EACH: Final = 130
HELD_OUT_FOLD: Final = 3
SIREN_TESTS: Final = 100
FALSE_AIM: Final = 0.02
# What it is trained on, and on which corpora it is tested.
SPLITS: Final = {
    "SESA, household_cc, synthesis": (("sesa", "household_cc", "synthetic"), ("esc10",)),
    "SESA, ESC-10, synthesis": (("sesa", "esc10", "synthetic"), ("household_cc",)),
    "ESC-10, household_cc, synthesis": (("esc10", "household_cc", "synthetic"), ("sesa",)),
    "SESA alone": (("sesa",), ("esc10", "household_cc")),
}


class Bench(NamedTuple):
    """Everything that is trained and tested on, by corpus."""

    recordings: list[SoundRecording]
    pools: dict[str, Pool]
    clips: Clips
    features: NDArray[np.float32]
    sirens: Examples
    siren_features: NDArray[np.float32]
    trunk: keras.Model


def bench(found: Sequence[SoundRecording]) -> Bench:
    """Draw all examples (source: places in `found`) and let the trunk hear them."""
    rng, processes = np.random.default_rng(SEED), os.cpu_count() or 1
    recordings = list(found)
    drawn: dict[str, tuple[Examples, NDArray[np.intp]]] = {}
    for name, windows in WINDOWS.items():
        places = np.array([i for i, r in enumerate(recordings) if r.corpus == name], np.intp)
        chosen = [recordings[i] for i in places]
        examples, source = sounds.real_examples(rng, chosen, windows, True, processes)
        drawn[name] = examples, places[source]
    made = sounds.synthetic_examples(rng, SYNTHETIC_EACH, processes)
    drawn["synthetic"] = made, np.full(len(made.labels), -1)
    clips = clean(rng, recordings, windows=1, processes=processes)
    fresh = [sounds.synthetic(np.random.default_rng([SEED, 1, n]), "siren") for n in range(SIREN_TESTS)]
    sirens = Examples(np.array(fresh), np.full(SIREN_TESTS, sounds.CLASSES.index("siren")))
    trunk = yamnet.trunk(yamnet.fetch())
    pools = {name: sound_models.pool(trunk, *part) for name, part in drawn.items()}
    hear = nets.probabilities
    return Bench(
        recordings, pools, clips, hear(trunk, clips.inputs), sirens, hear(trunk, sirens.inputs), trunk
    )


def across(bench: Bench) -> list[dict[str, Any]]:
    """Each split: figures of our model, of the forest on the same examples, and of both on the same clips."""
    return [_split(bench, name, *parts) for name, parts in SPLITS.items()]


def esc10_by_fold(bench: Bench) -> dict[str, Any]:
    """ESC-10's ten classes, each fold tested by a head that learnt from the others; folds as published."""
    esc = [i for i, r in enumerate(bench.recordings) if r.corpus == "esc10"]
    names = sorted({bench.recordings[i].label for i in esc})
    truth = np.full(len(bench.recordings), -1)
    truth[esc] = [names.index(bench.recordings[i].label) for i in esc]
    folds = np.array([r.fold for r in bench.recordings])
    pool = bench.pools["esc10"]
    found: dict[str, Any] = {"classes": names, "folds": [], "right": {"ours": [], "forest": []}}
    group: list[int] = []
    for fold in sorted(set(folds[esc])):
        learnt = pool.part(folds[pool.source] != fold)
        labels = truth[learnt.source]
        tested = (truth[bench.clips.group] >= 0) & (folds[bench.clips.group] == fold)
        wanted = truth[bench.clips.group[tested]]
        top = _head(learnt.features, labels, len(names))
        ours = nets.probabilities(top, bench.features[tested]).argmax(axis=1) == wanted
        forest = _forest(learnt.examples.inputs, labels)(bench.clips.inputs[tested]).argmax(axis=1) == wanted
        found["folds"].append({"fold": int(fold), "n": len(wanted), "ours": int(ours.sum())})
        found["folds"][-1]["forest"] = int(forest.sum())
        found["right"]["ours"] += ours.tolist()
        found["right"]["forest"] += forest.tolist()
        group += bench.clips.group[tested].tolist()
    ours, forest = (np.array(found["right"].pop(name)) for name in ("ours", "forest"))
    del found["right"]
    data = "ESC-10, folds 1, 2, 3 and 5 in turn, one window of 1.6 s a clip"
    found["figures"] = [
        figures.proportion("accuracy on ten classes, large net", int(ours.sum()), ours.size, "real", data),
        figures.proportion("accuracy on ten classes, forest", int(forest.sum()), forest.size, "real", data),
        figures.paired("accuracy, net less forest", ours, forest, np.array(group), "real", data),
    ]
    return found


def _split(
    bench: Bench, name: str, trained_on: tuple[str, ...], tested_on: tuple[str, ...]
) -> dict[str, Any]:
    held = np.array([_is_held_out(r) for r in bench.recordings] + [False])  # the last: synthetic, -1
    pooled = sound_models.joined([bench.pools[part] for part in trained_on])
    learnt, aside = pooled.part(~held[pooled.source]), pooled.part(held[pooled.source])
    classes = len(sounds.CLASSES)
    top = _head(learnt.features, learnt.examples.labels, classes)
    nets.cool(top, nets.temperature(nets.probabilities(top, aside.features), aside.examples.labels))
    forest = _forest(learnt.examples.inputs, learnt.examples.labels, classes)
    corpora = np.array([r.corpus for r in bench.recordings])
    tested = np.isin(corpora[bench.clips.group], tested_on)
    wanted = bench.clips.labels[tested] == sounds.CLASSES.index("siren")
    group = bench.clips.group[tested]
    ours = sounds.alarm_probability(nets.probabilities(top, bench.features[tested]))
    theirs = sounds.alarm_probability(forest(bench.clips.inputs[tested]))
    data = f"{', '.join(tested_on)}; trained on {name}"
    found: dict[str, Any] = {"trained_on": name, "tested_on": list(tested_on), "figures": []}
    for model, scores in (("large net", ours), ("forest", theirs)):
        found["figures"] += _siren_figures(model, scores, wanted, data)
        found[f"curve, {model}"] = curve(scores, wanted) if wanted.any() else None
        made = (
            nets.probabilities(top, bench.siren_features)
            if model == "large net"
            else forest(bench.sirens.inputs)
        )
        heard = sounds.alarm_probability(made) >= ALARM_AT
        about = f"fresh synthetic sirens; trained on {name}"
        found["figures"].append(
            figures.proportion(f"siren recalled, {model}", int(heard.sum()), heard.size, "synthetic", about)
        )
    for what, part in (("sirens", wanted), ("other sounds", ~wanted)):
        if part.any():
            first, second = ((scores[part] >= ALARM_AT) == wanted[part] for scores in (ours, theirs))
            found["figures"].append(
                figures.paired(f"right on {what}, net less forest", first, second, group[part], "real", data)
            )
    return found


def _siren_figures(
    model: str, scores: NDArray[np.floating], wanted: NDArray[np.bool_], data: str
) -> list[figures.Figure]:
    """Recall and false alarms at the fixed threshold, and the curve's best recall at the aim."""
    said, made = scores >= ALARM_AT, []
    if wanted.any():
        hits = int(said[wanted].sum())
        made.append(figures.proportion(f"siren recalled, {model}", hits, int(wanted.sum()), "real", data))
        best = round(recall_at(scores, wanted, FALSE_AIM) * int(wanted.sum()))
        made.append(
            figures.proportion(
                f"siren recalled at {FALSE_AIM:.0%} false, {model}",
                best,
                int(wanted.sum()),
                "real",
                data,
                note="the threshold is read off this very curve",
            )
        )
    false = int(said[~wanted].sum())
    made.append(
        figures.proportion(
            f"false siren or alarm, {model}",
            false,
            int((~wanted).sum()),
            "real",
            data,
            interval="clopper-pearson",
        )
    )
    return made


def _is_held_out(recording: SoundRecording) -> bool:
    """Sets the temperature: a fold of ESC-10, each fifth file of SESA."""
    if recording.corpus == "sesa":
        return int(recording.path.stem.rsplit("_", 1)[1]) % 5 == 0
    return recording.corpus == "esc10" and recording.fold == HELD_OUT_FOLD


def _head(features: NDArray[np.float32], labels: NDArray[np.intp], classes: int) -> keras.Model:
    keras.utils.set_random_seed(SEED)
    top = nets.head(features, classes)
    epochs, rate, decay = sound_models.HEAD_EPOCHS, sound_models.HEAD_RATE, sound_models.DECAY
    nets.fit(top, Examples(features, labels), epochs, SEED, rate=rate, decay=decay)
    return top


def _forest(
    inputs: NDArray[np.uint8], labels: NDArray[np.intp], classes: int = 0
) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """The library's forest, untuned → a function from inputs to float64[n, classes]."""
    forest = RandomForestClassifier(random_state=SEED, n_jobs=-1).fit(bands(inputs), labels)
    count = classes or len(forest.classes_)

    def said(tested: NDArray[np.uint8]) -> NDArray[np.float64]:
        whole = np.zeros((len(tested), count))
        whole[:, forest.classes_] = forest.predict_proba(bands(tested))
        return whole

    return said


def bands(inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8[n, 160, 64] → float32[n, 128]: mean and spread of each band over the clip."""
    mel = inputs.astype(np.float32)
    return np.concatenate([mel.mean(axis=1), mel.std(axis=1)], axis=1)
