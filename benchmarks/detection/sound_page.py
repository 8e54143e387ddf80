"""The tables and plots of sound, from its result alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from benchmarks.detection import figures, plots
from benchmarks.detection.page import table

MODELS: Final = ("small", "large")
HUMAN_ESC10: Final = 0.957  # Piczak 2015
PUBLISHED_FOREST_ESC10: Final = 0.780  # this data's README: untuned, on whole clips


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Classes, corpora, ESC-10 by fold, calibration."""
    known = {(f["name"], f["data"]): f for f in found["figures"]}
    return {
        "classes": _class_table(found, known),
        "sesa": _sesa_table(known),
        "across": _across_table(found, known),
        "esc10": _esc_table(found["esc10"], known),
    }


_Known = dict[tuple[str, str], figures.Figure]


def _share(known: _Known, name: str, data: str) -> str:
    """A figure with its events, or a dash."""
    figure = known.get((name, data))
    if figure is None:
        return "–"
    if "events" not in figure:
        return figures.percent(figure)
    return f"{figure['events']}/{figure['n']}: {figures.percent(figure)}"


def _class_table(found: dict[str, Any], known: _Known) -> str:
    rows = []
    for origin, where in (("real", _data(found, "real")), ("synthetic", _data(found, "synthetic"))):
        names = [name for name in found["classes"] if (f"recall of {name}, small", where) in known]
        for what in [
            "accuracy",
            *(f"{kind} of {name}" for name in names for kind in ("precision", "recall")),
        ]:
            cells = [_share(known, f"{what}, {tier}", where) for tier in MODELS]
            rows.append([origin, what.replace("_", " "), *cells])
        rows.append(
            [origin, "calibration error", *(_share(known, f"calibration error, {t}", where) for t in MODELS)]
        )
    return table(["clips", "", *MODELS], rows)


def _data(found: dict[str, Any], origin: str) -> str:
    return next(
        f["data"] for f in found["figures"] if f["origin"] == origin and f["name"] == "accuracy, small"
    )


def _sesa_table(known: _Known) -> str:
    names = (
        "siren recalled",
        "false siren or alarm",
        "false siren or alarm among casual sounds",
        "siren recalled at 2% false",
        "siren recalled at 5% false",
        "false glass_break",
    )
    rows = [
        [
            half,
            name.replace("_", " "),
            *(_share(known, f"{name}, {tier}", f"SESA, {half} files") for tier in MODELS),
        ]
        for half in ("even", "odd")
        for name in names
    ]
    return table(["SESA's files", "", *MODELS], rows)


def _across_table(found: dict[str, Any], known: _Known) -> str:
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
                _share(known, f"siren recalled, {model}", data),
                _share(known, f"siren recalled at 2% false, {model}", data),
                _share(known, f"false siren or alarm, {model}", data),
                _share(known, f"siren recalled, {model}", made),
            ]
            first = model == "large net"
            where = [split["trained_on"], ", ".join(split["tested_on"])] if first else ["", ""]
            rows.append([*where, model, *cells, against if first else ""])
    head = ["trained on", "tested on", "model", "real sirens recalled", "at 2 % false", "false, real clips"]
    return table([*head, "synthetic sirens recalled", "only net : only forest right"], rows)


def _what(figure: figures.Figure) -> str:
    return figure["name"].split(",")[0].removeprefix("right on ")


def _esc_table(esc: dict[str, Any], known: _Known) -> str:
    rows = [
        [f"fold {f['fold']}", str(f["n"]), f"{f['ours'] / f['n']:.1%}", f"{f['forest'] / f['n']:.1%}"]
        for f in esc["folds"]
    ]
    data = next(data for name, data in known if name == "accuracy on ten classes, large net")
    whole = [_share(known, f"accuracy on ten classes, {m}", data) for m in ("large net", "forest")]
    n = sum(f["n"] for f in esc["folds"])
    rows.append(["together", str(n), *whole])
    rows.append(["published", "whole clips", f"humans {HUMAN_ESC10:.1%}", f"{PUBLISHED_FOREST_ESC10:.1%}"])
    return table(["ESC-10", "clips", "large net", "forest"], rows)


def draw(found: dict[str, Any], folder: Path) -> None:
    """Curves across corpora, calibration, robustness."""
    _draw_across(found, folder / "sound-corpora.svg")
    _draw_calibration(found, folder / "sound-calibration.svg")
    _draw_robustness(found["robustness"], folder / "sound-robustness.svg")


def _draw_across(found: dict[str, Any], path: Path) -> None:
    figure, (left, right) = plots.canvas(2)
    for tier, colour in zip(MODELS, (plots.THEIRS, plots.OURS), strict=True):
        curve = found["sesa"][f"even, {tier}"]
        left.plot(
            [100 * f for f in curve["false"]], [100 * r for r in curve["recall"]], color=colour, label=tier
        )
    for split in found["across"]:
        if split["tested_on"] == ["sesa"]:
            curve = split["curve, forest"]
            left.plot(
                [100 * f for f in curve["false"]],
                [100 * r for r in curve["recall"]],
                color=plots.LIMIT,
                ls="--",
                label="forest",
            )
    left.axvline(2, color=plots.LIMIT, lw=0.8)
    left.set(xlim=(0, 20), ylim=(0, 100), xlabel="false sirens, %", ylabel="sirens recalled, %")
    left.set_title("SESA, never trained on")
    left.legend()
    for name, curve in found["in_corpus"]["large"]["curves"].items():
        right.plot(
            [100 * r for r in curve["recall"]], [100 * p for p in curve["precision"]], label=name, lw=1
        )
    right.set(xlim=(0, 102), ylim=(0, 102), xlabel="recall, %", ylabel="precision, %")
    right.set_title("in corpus, large")
    right.legend(fontsize=7)
    plots.save(figure, path)


def _draw_calibration(found: dict[str, Any], path: Path) -> None:
    figure, axes = plots.canvas(2, width=6.0, height=3.0)
    for axis, part, title in zip(axes, ("in_corpus", "synthetic"), ("real", "synthetic"), strict=True):
        axis.plot([0, 100], [0, 100], color=plots.LIMIT, lw=0.8)
        for tier, colour in zip(MODELS, (plots.THEIRS, plots.OURS), strict=True):
            bins = found[part][tier]["reliability"]
            axis.plot(
                [100 * b[0] for b in bins], [100 * b[1] for b in bins], "o-", color=colour, label=tier, ms=3
            )
        axis.set(xlabel="said, %", ylabel="right, %", title=title)
        axis.legend()
    plots.save(figure, path)


def _draw_robustness(found: dict[str, Any], path: Path) -> None:
    figure, axes = plots.canvas(3, 2, height=4.6)
    for axis, curve in zip(axes.flat, found["curves"], strict=True):
        places = range(len(curve["levels"]))
        for tier, colour in zip(MODELS, (plots.THEIRS, plots.OURS), strict=True):
            for key, n, style in (("recalled", "sirens", "-"), ("false", "others", ":")):
                shares = [100 * hits / found["n"][n] for hits in curve[f"{key}, {tier}"]]
                axis.plot(places, shares, style, color=colour, label=f"{key}, {tier}")
        axis.set_xticks(list(places), [f"{level:g}" for level in curve["levels"]])
        axis.set(ylim=(0, 100), xlabel=curve["unit"], title=curve["condition"])
    axes[0, 0].legend(fontsize=6)
    plots.save(figure, path)
