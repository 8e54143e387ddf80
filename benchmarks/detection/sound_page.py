"""The tables and plots of the shipped sound models, from their result alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from benchmarks.detection import figures, plots
from benchmarks.detection.page import table

MODELS: Final = ("small", "large")
_SIRENS: Final = "SESA's even sirens"
_OTHERS: Final = "ESC-10 fold 5, household_cc's odd files"


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Classes with calibration; SESA; disturbance."""
    known = {(f["name"], f["data"]): f for f in found["figures"]}
    return {
        "classes": _class_table(found, known),
        "sesa": _sesa_table(known),
        "disturbed": _disturbed_table(known, found["robustness"]),
    }


Known = dict[tuple[str, str], figures.Figure]


def share(known: Known, name: str, data: str) -> str:
    """A figure with its events, or a dash."""
    figure = known.get((name, data))
    if figure is None:
        return "–"
    if "events" not in figure:
        return figures.percent(figure)
    return f"{figure['events']}/{figure['n']}: {figures.percent(figure)}"


def _class_table(found: dict[str, Any], known: Known) -> str:
    rows = []
    for origin, part in (("real", "in_corpus"), ("synthetic", "synthetic")):
        where = _data(found, origin)
        names = [name for name in found["classes"] if (f"recall of {name}, small", where) in known]
        for what in [
            "accuracy",
            *(f"{kind} of {name}" for name in names for kind in ("precision", "recall")),
        ]:
            cells = [share(known, f"{what}, {tier}", where) for tier in MODELS]
            rows.append([origin, what.replace("_", " "), *cells])
        rows.append(
            [origin, "calibration error", *(share(known, f"calibration error, {t}", where) for t in MODELS)]
        )
        rows.append(
            [
                origin,
                "the same, were it calibrated",
                *(_reads(found[part][t]["calibrated_reads"]) for t in MODELS),
            ]
        )
    return table(["clips", "", *MODELS], rows)


def _reads(read: dict[str, float]) -> str:
    return f"{100 * read['mean']:.1f} % ({100 * read['low']:.1f}–{100 * read['high']:.1f})"


def _data(found: dict[str, Any], origin: str) -> str:
    return next(
        f["data"] for f in found["figures"] if f["origin"] == origin and f["name"] == "accuracy, small"
    )


def _sesa_table(known: Known) -> str:
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
            *(share(known, f"{name}, {tier}", f"SESA, {half} files") for tier in MODELS),
        ]
        for half in ("even", "odd")
        for name in names
    ]
    return table(["SESA's files", "", *MODELS], rows)


def _disturbed_table(known: Known, found: dict[str, Any]) -> str:
    """Each condition at its mildest, by the counts of the curves, and at its hardest, with intervals."""
    rows = []
    for curve in found["curves"]:
        mild, hard = (f"{curve['levels'][place]:g} {curve['unit']}" for place in (0, -1))
        for tier in MODELS:
            cells = [f"{curve[f'recalled, {tier}'][0]}/{found['n']['sirens']} at {mild}"]
            for what, data in (("siren recalled", _SIRENS), ("false alarm", _OTHERS)):
                cells.append(share(known, f"{what}, {curve['condition']} of {hard}, {tier}", data))
            first = tier == MODELS[0]
            rows.append([curve["condition"] if first else "", hard if first else "", tier, *cells])
    head = ["disturbance", "at its hardest", "model", "sirens recalled when mild", "when hard"]
    return table([*head, "false alarms when hard"], rows)


def draw(found: dict[str, Any], folder: Path) -> None:
    """Curves, calibration, robustness."""
    _draw_curves(found, folder / "sound-curves.svg")
    _draw_calibration(found, folder / "sound-calibration.svg")
    _draw_robustness(found["robustness"], folder / "sound-robustness.svg")


def _draw_curves(found: dict[str, Any], path: Path) -> None:
    figure, (left, right) = plots.canvas(2)
    for tier, colour in zip(MODELS, (plots.THEIRS, plots.OURS), strict=True):
        curve = found["sesa"][f"even, {tier}"]
        left.plot(
            [100 * f for f in curve["false"]], [100 * r for r in curve["recall"]], color=colour, label=tier
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
