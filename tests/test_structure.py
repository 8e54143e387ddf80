"""Imports go one way, and small roles stay small (design.md, "Layout")."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.config import ROOT

PACKAGES = {"schemas", "transforms", "pipelines", "edge_client", "serving", "webapp", "local"}
MAY_IMPORT = {
    "schemas": set(),
    "transforms": {"schemas"},
    "serving": {"schemas"},
    "pipelines": {"schemas", "transforms", "serving"},
    "edge_client": {"schemas"},
    "webapp": {"schemas"},
    "local": PACKAGES,
}
HEAVY = {"apache_beam", "tensorflow", "tfx"}


def _modules(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if "node_modules" not in path.parts]


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_go_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in _modules(package)
        if (found := (_imported(path) & PACKAGES) - allowed)
    }
    assert wrong == {}


@pytest.mark.parametrize("package", ["schemas", "edge_client", "webapp"])
def test_neither_beam_nor_tensorflow_is_imported(package: str) -> None:
    assert {path.name for path in _modules(package) if _imported(path) & HEAVY} == set()


def test_a_gateway_process_loads_neither_beam_nor_tensorflow() -> None:
    script = "import sys, edge_client.main; print(sorted({'apache_beam', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_packages_are_listed_in_setup() -> None:
    """`setup.py` lists packages by hand: none may be forgotten."""
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
        if "node_modules" not in path.parts
    }
    listed = set(ast.literal_eval(_keyword("packages")))
    assert folders == listed


def _keyword(name: str) -> str:
    tree = ast.parse((ROOT / "setup.py").read_text())
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.keywords)
    return ast.unparse(next(keyword.value for keyword in call.keywords if keyword.arg == name))


def test_a_gateway_installs_neither_beam_nor_tensorflow() -> None:
    wanted = importlib.metadata.requires("hearthwatch") or []
    edge = [line for line in wanted if "extra ==" not in line or re.search(r"extra == .edge", line)]
    assert any(line.startswith("paho-mqtt") for line in edge)
    assert not [line for line in edge if re.match(r"apache-beam|tensorflow|tfx", line)]
