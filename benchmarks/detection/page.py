"""docs/detection.md: tables between marks, made from docs/detection/PART.json; the words are by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from benchmarks import report
from local.config import ROOT

PAGE: Final = ROOT / "docs" / "detection.md"
RESULTS: Final = ROOT / "docs" / "detection"
GLANCE: Final = "glance"
_MARKED: Final = re.compile(r"<!-- (?P<name>[a-z0-9_.-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)


def part(name: str) -> ModuleType:
    """The module of a part."""
    return import_module(f"benchmarks.detection.{name}")


def results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The committed result of each part that has one."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def tables(found: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Results → Markdown by mark, "fire.alarms"."""
    made: dict[str, str] = {}
    for name, result in found.items():
        make = getattr(part(name), "tables", None)
        if make is not None:
            made |= {f"{name}.{table}": text for table, text in make(result).items()}
        made[f"{name}.run"] = _run(result)
    return made | {GLANCE: import_module("benchmarks.detection.glance").table_of(found)}


def filled(text: str, made: Mapping[str, str]) -> str:
    """The page with what stands between its marks replaced.

    >>> filled("<!-- a.b -->\\nold\\n<!-- /a.b -->", {"a.b": "new"})
    '<!-- a.b -->\\nnew\\n<!-- /a.b -->'

    Raises:
        KeyError: A mark that no part fills.
    """
    return _MARKED.sub(
        lambda found: f"<!-- {found['name']} -->\n{made[found['name']].strip()}\n<!-- /{found['name']} -->",
        text,
    )


def renew(name: str, result: dict[str, Any], file: Path, folder: Path) -> None:
    """Write a part's result and plots into the folder, and its tables into the page."""
    report.write(folder / f"{name}.json", result)
    draw = getattr(part(name), "draw", None)
    if draw is not None:
        draw(result, folder)
    file.write_text(filled(file.read_text(), tables(results(folder))))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"|{'|'.join(line)}|" if line[0] == "---" else f"| {' | '.join(line)} |" for line in lines
    )


def _run(result: Mapping[str, Any]) -> str:
    commit = result["commit"]["head"][:10] or "no commit"
    changed = " with changes" if result["commit"]["dirty"] else ""
    machine = result["machine"]
    return (
        f"*Measured {result['measured_utc'][:10]} on commit {commit}{changed}, "
        f"{machine['cores']} cores of {machine['cpu']}.*"
    )
