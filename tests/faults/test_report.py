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
    made = table(read_rows(tmp_path), "A run.")
    assert made.startswith("A run.\n\n| fault |")
    assert "| cut | 12,345 | 0 | 6 | 7 | 1.2 s | seed 8 |\n" in made
    assert "| kill | 1 | 1 | 0 | 0 |  |  |\n" in made


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert write_into(document, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="must hold"):
        write_into("no markers", "new\n")


def test_the_document_has_its_markers() -> None:
    assert write_into(DOCUMENT.read_text(), "x\n").count("\nx\n") == 1
