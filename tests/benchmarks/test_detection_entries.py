"""Each part of `make detection` runs from its entry to its tables and plots, on a few tiny recordings."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import pytest

from benchmarks.detection import __main__ as detection
from benchmarks.detection import (
    armed_time,
    cascade,
    co,
    figures,
    fire,
    home,
    nuisances,
    occupancy,
    page,
    recorded_home,
    sound,
    sound_corpora,
    sound_robust,
    speed,
)
from local.recordings import RECORDINGS_VARIABLE
from local.simulator.entries import ENTRIES, HAZARDS
from local.training import nets, yamnet
from tests.benchmarks import tiny_recordings

# What takes minutes is a number in these modules.
TINY: dict[Any, dict[str, Any]] = {
    figures: {"RESAMPLES": 20},
    fire: {"PHASES": (0,)},
    nuisances: {"DRAWS": 1},
    co: {"NOISY_SENSORS": 1, "QUIET_DAYS": 1},
    occupancy: {"SYNTHETIC_EACH": 4},
    home: {
        "DRAWS_BY_PERSON": 1,
        "DRAWS": 1,
        "_BY_PERSON": ENTRIES[1:2],
        "ENTRIES": (ENTRIES[1], ENTRIES[5]),
        "HAZARDS": HAZARDS[2:],
    },
    armed_time: {"RULES_HOMES": 1, "RULES_DAYS": 1, "SCORED_HOMES": 2, "SCORED_MINUTES": 1},
    recorded_home: {"BURSTS": 1},
    speed: {"READINGS": 64, "RUNS": 1, "FAMILIES": ("sound",), "_HOMES": 1, "_MINUTES": 1},
    sound: {"SYNTHETIC_EACH": 1},
    sound_robust: {
        "CONDITIONS": {
            name: (unit, levels[:2], spoil) for name, (unit, levels, spoil) in sound_robust.CONDITIONS.items()
        }
    },
    sound_corpora: {
        "WINDOWS": {"esc10": 1, "household_cc": 1, "sesa": 1},
        "SYNTHETIC_EACH": 1,
        "SIREN_TESTS": 2,
        "SPLITS": {"ESC-10, synthesis": (("esc10", "synthetic"), ("sesa",))},
    },
    cascade: {"MINUTES": 4, "HAZARD_EACH": 2},
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small numbers, the recordings, no trunk and no training → a copy of the page and of its results."""
    for module, numbers in TINY.items():
        for name, value in numbers.items():
            monkeypatch.setattr(module, name, value)
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    monkeypatch.setenv(RECORDINGS_VARIABLE, str(tiny_recordings.write(recordings)))
    monkeypatch.setattr(yamnet, "fetch", lambda: b"")
    monkeypatch.setattr(yamnet, "trunk", lambda _: _trunk())
    monkeypatch.setattr(nets, "fit", lambda *_, **__: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # Keras ran in this process: it must not be forked
    results = tmp_path / "detection"
    shutil.copytree(page.RESULTS, results)
    monkeypatch.setattr(page, "PAGE", Path(shutil.copy(page.PAGE, tmp_path)))
    monkeypatch.setattr(page, "RESULTS", results)
    return page.PAGE


def _trunk() -> keras.Model:
    inputs = keras.Input((160, 64), dtype="uint8")
    return keras.Model(inputs, keras.ops.mean(keras.ops.cast(inputs, "float32"), axis=1))


@pytest.mark.parametrize("name", detection.PARTS)
def test_a_part_measures_and_renews_its_tables_and_plots(
    name: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, results = tiny.read_text(), page.results(page.RESULTS)
    assert detection.main(["--part", name, "--docs"]) == 0
    assert f'"benchmark": "detection/{name}"' in capsys.readouterr().out
    assert _renewed(results) == [name]
    before, after = _sections(text), _sections(tiny.read_text())
    assert name in {mark.partition(".")[0] for mark in before if after[mark] != before[mark]}


@pytest.mark.usefixtures("tiny")
def test_a_part_that_breaks_off_takes_nothing_back_from_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> dict[str, Any]:
        raise OSError("no recording")

    results = page.results(page.RESULTS)
    monkeypatch.setattr(cascade, "measure", breaks)
    with pytest.raises(OSError, match="no recording"):
        detection.main(["--part", "co", "--part", "cascade", "--docs"])
    assert _renewed(results) == ["co"]


def _renewed(before: dict[str, Any]) -> list[str]:
    return [name for name, result in page.results(page.RESULTS).items() if result != before[name]]


def _sections(text: str) -> dict[str, str]:
    return dict(re.findall(r"<!-- ([a-z0-9_.-]+) -->\n(.*?)<!-- /", text, re.DOTALL))
