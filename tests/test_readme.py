"""The README says what the code says."""

from __future__ import annotations

import re

from local.config import ROOT
from pipelines.options import MonitorConfig

README = (ROOT / "README.md").read_text()


def test_every_option_of_the_monitor_is_listed_and_nothing_else() -> None:
    listed = set(re.findall(r"^\| `(--[a-z-]+)` \|", README, re.MULTILINE))
    assert listed == {f"--{name.replace('_', '-')}" for name in MonitorConfig.model_fields}


def test_every_folder_is_listed() -> None:
    listed = set(re.findall(r"^\| `([a-z_]+)/` \|", README, re.MULTILINE))
    tracked = {"schemas", "edge_client", "transforms", "pipelines", "serving", "webapp", "local", "deploy"}
    assert listed == tracked | {"benchmarks", "notebooks", "docs", "tests"}


def test_labels_in_the_diagram_are_labels_of_the_graph() -> None:
    labels = set((ROOT / "tests" / "pipelines" / "labels.txt").read_text().split())
    diagram = README.split("```")[1]
    named = set(re.findall(r"\b(?:Read|Archive|Decode|Score|Track|Raise|Write)[A-Z]\w+", diagram))
    assert named <= labels
    assert len(named) >= 10
