"""Rows of a run of the fault matrix → the table between the markers of docs/no-loss.md.

Rows of faults that this run did not inject stay, with the commit that they are of.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from local.config import ROOT

DOCUMENT: Final = ROOT / "docs" / "no-loss.md"
BEGIN: Final = "<!-- written by `make faults` -->"
END: Final = "<!-- end of what `make faults` writes -->"
_HEAD: Final = (
    "| fault | acknowledged | lost | copies before dedupe | declared | recovery | commit | |\n"
    "|---|---:|---:|---:|---:|---:|---|---|\n"
)
_RUN: Final = re.compile(r"- `([0-9a-f]+)`: .*\n")
_ROW: Final = re.compile(r"\| (?P<fault>[^|]+) \|(?:[^|]*\|){5} (?P<commit>[0-9a-f]+) \|[^|]*\|\n")


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows that tests wrote into a folder, file by file in order of age."""
    files = sorted(folder.glob("*.jsonl"), key=lambda file: file.stat().st_mtime)
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def table(rows: Sequence[Mapping[str, Any]], commit: str, run: str, old: str = "") -> str:
    """Rows → Markdown, under a line for each commit that rows are of.

    Args:
        run: When and where the rows were found.
        old: The table so far.

    >>> row = dict(fault="cut", acknowledged=1200, lost=0, duplicated=3, declared=0, recovery_s=1.26, note="")
    >>> print(table([row], "5a334db", "One run.").splitlines()[-1])
    | cut | 1,200 | 0 | 3 | 0 | 1.3 s | 5a334db |  |
    """
    renewed = {row["fault"] for row in rows}
    kept = [found for found in _ROW.finditer(old) if found["fault"] not in renewed]
    commits = {found["commit"] for found in kept} - {commit}
    runs = [found[0] for found in _RUN.finditer(old) if found[1] in commits]
    lines = [found[0] for found in kept]
    for row in rows:
        recovery = "" if row["recovery_s"] is None else f"{row['recovery_s']:.1f} s"
        counts = (f"{row[name]:,}" for name in ("acknowledged", "lost", "duplicated", "declared"))
        lines.append(f"| {row['fault']} | {' | '.join(counts)} | {recovery} | {commit} | {row['note']} |\n")
    return f"{''.join(runs)}- `{commit}`: {run}\n\n{_HEAD}{''.join(lines)}"


def write_into(document: str, made: str) -> str:
    """Put a table in place of the one that a document has.

    Raises:
        ValueError: The document lacks a marker.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document must hold {BEGIN!r} and then {END!r}")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def run_line(now: dt.datetime) -> str:
    """When and on what machine: behind the commit's name."""
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{now:%Y-%m-%d}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, load average {os.getloadavg()[2]:.0f}."
    )


def _head() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """`python -m tests.faults.report FOLDER` → exit code: 1 if no test wrote a row."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.report")
    parser.add_argument("rows", type=Path, help="folder that HEARTHWATCH_FAULTS_OUT named")
    parser.add_argument("--commit", help="that the rows are of (default: what is checked out)")
    flags = parser.parse_args()
    rows = read_rows(flags.rows)
    if not rows:
        print("no test wrote a row", file=sys.stderr)
        return 1
    document = DOCUMENT.read_text()
    made = table(rows, flags.commit or _head(), run_line(dt.datetime.now(dt.UTC)), document)
    DOCUMENT.write_text(write_into(document, made))
    print(f"{len(rows)} rows written into {DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
