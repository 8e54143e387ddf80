"""The table of docs/no-loss.md is made of what tests recorded, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.report import BEGIN, DOCUMENT, END, read_rows, table, write_into
from tests.faults.results import FOLDER_VARIABLE, record


def test_recorded_rows_come_out_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    record("cut", acknowledged=12_345, lost=0, duplicated=6, declared=7, recovery_s=1.25, note="seed 8")
    record("kill", acknowledged=1, lost=1, duplicated=0, declared=0, recovery_s=None)
    made = table(read_rows(tmp_path), "abc1234", "A run.")
    assert made.startswith("- `abc1234`: A run.\n\n| fault |")
    assert "| cut | 12,345 | 0 | 6 | 7 | 1.2 s | abc1234 | seed 8 |\n" in made
    assert "| kill | 1 | 1 | 0 | 0 |  | abc1234 |  |\n" in made


def row(fault: str, seed: int) -> dict[str, object]:
    counts = dict.fromkeys(("acknowledged", "lost", "duplicated", "declared"), 0)
    return {"fault": fault, **counts, "recovery_s": None, "note": f"seed {seed}"}


def test_rows_that_were_not_renewed_stay_with_their_commit() -> None:
    first = table([row("`cut`", 1), row("kill", 1)], "aaa", "The first run.")
    both = table([row("kill", 2), row("kill", 3)], "bbb", "The second run.", first)
    assert both.startswith("- `aaa`: The first run.\n- `bbb`: The second run.\n\n| fault |")
    assert [line.split(" | ")[6:] for line in both.splitlines() if "seed" in line] == [
        ["aaa", "seed 1 |"],
        ["bbb", "seed 2 |"],
        ["bbb", "seed 3 |"],
    ]
    last = table([row("`cut`", 4)], "ccc", "The third run.", both)
    assert "aaa" not in last
    assert last.count("\n| ") == 1 + 3


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert write_into(document, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="must hold"):
        write_into("no markers", "new\n")


def test_the_document_has_its_markers() -> None:
    assert write_into(DOCUMENT.read_text(), "x\n").count("\nx\n") == 1
