"""What a fault test found, one JSON line each, for the table of docs/no-loss.md."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "HEARTHWATCH_FAULTS_OUT"


def record(
    fault: str,
    *,
    acknowledged: int,
    lost: int,
    duplicated: int,
    declared: int,
    recovery_s: float | None,
    note: str = "",
) -> None:
    """Append a row to a file of this process in the folder that HEARTHWATCH_FAULTS_OUT names, if it is set.

    Args:
        fault: What was injected, in words of the table.
        acknowledged: Readings or events that were acknowledged to who sent them.
        lost: Of them, neither there nor declared.
        duplicated: Seen more than once before dedupe: allowed.
        declared: Not there, but in a declared gap.
        recovery_s: Seconds from the end of the fault until nothing waited; None: not measured.
        note: How often, with which seed, what a broken build lost.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return
    row = {
        "fault": fault,
        "acknowledged": acknowledged,
        "lost": lost,
        "duplicated": duplicated,
        "declared": declared,
        "recovery_s": None if recovery_s is None else round(recovery_s, 2),
        "note": note,
    }
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with (path / f"rows-{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
