"""Plots as SVG that are the same for the same result, so that a new run shows as a small difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

OURS, THEIRS, LIMIT = "#0b6e99", "#b35900", "#8a8a8a"  # told apart also without colour vision
MAX_BYTES: Final = 200_000
_STYLE: Final[Any] = {
    "svg.hashsalt": "hearthwatch",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def canvas(columns: int = 1, rows: int = 1, *, width: float = 7.0, height: float = 3.2) -> tuple[Canvas, Any]:
    """A figure and its axes (an array where there are several), without a window system."""
    with mpl.rc_context(_STYLE):
        figure = Canvas(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns)


def save(figure: Canvas, path: Path) -> None:
    """Write it.

    Raises:
        ValueError: Larger than `MAX_BYTES`: thin the curve out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} is {path.stat().st_size} bytes, limit {MAX_BYTES}")
