"""Sound, corpora in turn: models trained on some and tested on another, and ESC-10 by its folds.

The models of this part are trained here (benchmarks.detection.sound_corpora); it takes some minutes of
two cores and needs HEARTHWATCH_RECORDINGS.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from benchmarks.detection import figures, plots
from benchmarks.detection.page import table
from benchmarks.detection.sound_page import Known, share
from local import recordings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HUMAN_ESC10: Final = 0.957  # Piczak 2015
PUBLISHED_FOREST_ESC10: Final = 0.780  # this data's README: untuned, on whole clips


def measure() -> dict[str, Any]:
    """Train and test.

    Raises:
        RuntimeError: No recordings.
    """
    from benchmarks.detection import sound_corpora  # Keras: to read a result needs none

    found = recordings.sounds(recordings.recordings_folder())
    if not found:
        raise RuntimeError(f"{recordings.RECORDINGS_VARIABLE} names no sounds")
    bench = sound_corpora.bench(found)
    result: dict[str, Any] = {
        "across": sound_corpora.across(bench),
        "esc10": sound_corpora.esc10_by_fold(bench),
    }
    result["figures"] = [
        *(figure for split in result["across"] for figure in split.pop("figures")),
        *result["esc10"].pop("figures"),
    ]
    return result


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Each split; ESC-10 by fold."""
    known = {(f["name"], f["data"]): f for f in found["figures"]}
    return {"across": _across_table(found, known), "esc10": _esc_table(found["esc10"], known)}


def _across_table(found: dict[str, Any], known: Known) -> str:
    rows = []
    for split in found["across"]:
        data = f"{', '.join(split['tested_on'])}; trained on {split['trained_on']}"
        made = f"fresh synthetic sirens; trained on {split['trained_on']}"
        paired = [
            known[(name, data)]
            for name in ("right on sirens, net less forest", "right on other sounds, net less forest")
            if (name, data) in known
        ]
        against = "; ".join(
            f"{_what(f)} {f['only_first']}:{f['only_second']}, p {f['p']:.2g}" for f in paired
        )
        for model in ("large net", "forest"):
            cells = [
                share(known, f"siren recalled, {model}", data),
                share(known, f"siren recalled at 2% false, {model}", data),
                share(known, f"false siren or alarm, {model}", data),
                share(known, f"siren recalled, {model}", made),
            ]
            first = model == "large net"
            where = [split["trained_on"], ", ".join(split["tested_on"])] if first else ["", ""]
            rows.append([*where, model, *cells, against if first else ""])
    head = ["trained on", "tested on", "model", "real sirens recalled", "at 2 % false", "false, real clips"]
    return table([*head, "synthetic sirens recalled", "only net : only forest right"], rows)


def _what(figure: figures.Figure) -> str:
    return figure["name"].split(",")[0].removeprefix("right on ")


def _esc_table(esc: dict[str, Any], known: Known) -> str:
    rows = [
        [f"fold {f['fold']}", str(f["n"]), f"{f['ours'] / f['n']:.1%}", f"{f['forest'] / f['n']:.1%}"]
        for f in esc["folds"]
    ]
    data = next(data for name, data in known if name == "accuracy on ten classes, large net")
    whole = [share(known, f"accuracy on ten classes, {m}", data) for m in ("large net", "forest")]
    n = sum(f["n"] for f in esc["folds"])
    rows.append(["together", str(n), *whole])
    rows.append(["published", "whole clips", f"humans {HUMAN_ESC10:.1%}", f"{PUBLISHED_FOREST_ESC10:.1%}"])
    return table(["ESC-10", "clips", "large net", "forest"], rows)


def draw(found: dict[str, Any], folder: Path) -> None:
    """Sirens recalled against false ones where the test holds sirens."""
    figure, axis = plots.canvas(width=4.5, height=3.2)
    split = next(split for split in found["across"] if split["tested_on"] == ["sesa"])
    for model, colour in (("large net", plots.OURS), ("forest", plots.THEIRS)):
        curve = split[f"curve, {model}"]
        axis.plot(
            [100 * f for f in curve["false"]], [100 * r for r in curve["recall"]], color=colour, label=model
        )
    axis.axvline(2, color=plots.LIMIT, lw=0.8)
    axis.set(xlim=(0, 20), ylim=(0, 100), xlabel="false sirens, %", ylabel="sirens recalled, %")
    axis.legend()
    plots.save(figure, folder / "corpora.svg")
