"""What every report carries: where it was measured, on which commit, and whether targets were met."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import psutil

from local.config import ROOT

_LIBRARIES: Final = (
    "apache-beam",
    "ai-edge-litert",
    "cryptography",
    "fastavro",
    "numpy",
    "protobuf",
    "zstandard",
)
_GIT_TIMEOUT_S: Final = 10


class Target(NamedTuple):
    """A figure that was promised. `sense`: whether the value must stay below or reach the limit."""

    name: str
    value: float | None
    sense: Literal["at most", "at least"]
    limit: float
    unit: str

    @property
    def met(self) -> bool:
        """False also where nothing was measured.

        >>> Target("p95", 0.8, "at most", 1.0, "s").met, Target("p95", None, "at most", 1.0, "s").met
        (True, False)
        """
        if self.value is None or not math.isfinite(self.value):
            return False
        return self.value <= self.limit if self.sense == "at most" else self.value >= self.limit

    def document(self) -> dict[str, Any]:
        """As the report has it."""
        return {**self._asdict(), "met": self.met}

    def line(self) -> str:
        """For a person."""
        value = "not measured" if self.value is None else f"{self.value:.3g} {self.unit}"
        verdict = "met" if self.met else "MISSED"
        return f"{self.name}: {value}, {self.sense} {self.limit:g} {self.unit}: {verdict}"


def percentiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """Values → their number, p50, p95, p99 and greatest, by nearest rank: each is one that occurred.

    >>> percentiles([3.0, 1.0, 2.0])
    {'n': 3, 'p50': 2.0, 'p95': 3.0, 'p99': 3.0, 'max': 3.0}
    >>> percentiles([])["p95"] is None
    True
    """
    ordered = sorted(values)
    found: dict[str, float | int | None] = {"n": len(ordered)}
    for percent in (50, 95, 99):
        rank = max(1, math.ceil(percent / 100 * len(ordered)))
        found[f"p{percent}"] = round(ordered[rank - 1], 4) if ordered else None
    found["max"] = round(ordered[-1], 4) if ordered else None
    return found


def document(
    name: str, figures: dict[str, Any], targets: Sequence[Target], load_before: float
) -> dict[str, Any]:
    """A whole report.

    Args:
        load_before: Load average of the last minute when the run began: above the share of this run it
            means that somebody else was working, and wall-clock figures are pessimistic.
    """
    return {
        "benchmark": name,
        "measured_utc": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit(ROOT),
        "machine": machine() | {"load_1min_before": round(load_before, 2)},
        "versions": versions(),
        **figures,
        "targets": [target.document() for target in targets],
    }


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def load_1min() -> float:
    """Load average of the last minute."""
    return os.getloadavg()[0]


def versions() -> dict[str, str]:
    """Python's and those of the libraries in which the time is spent."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}}


def commit(folder: Path) -> dict[str, Any]:
    """What was measured: commit and whether the tree differs from it; "" outside of a repository."""
    head = _git(folder, "rev-parse", "HEAD")
    return {"head": head, "dirty": bool(_git(folder, "status", "--porcelain")) if head else None}


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON; NaN, which is none, is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
