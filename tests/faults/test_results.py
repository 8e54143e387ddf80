"""Rows of the fault table."""

import json

from tests.faults.results import FOLDER_VARIABLE, record


def test_rows_are_appended_where_the_variable_says_and_nowhere_without_it(tmp_path, monkeypatch):
    row = {"acknowledged": 10, "lost": 0, "duplicated": 1, "declared": 2, "recovery_s": 0.5}
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    record("power cut", **row)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "out"))
    record("power cut", **row, note="seed 1")
    record("kill -9", **row)
    [file] = (tmp_path / "out").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == [
        {"fault": "power cut", **row, "note": "seed 1"},
        {"fault": "kill -9", **row, "note": ""},
    ]
