"""Erasing a home from files: it is gone everywhere, the others are as they were, and it stays gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import erasure
from pipelines.erase import main
from schemas.compacted import tombstone
from tests.archives import files_of, minute_message, write_landing
from tests.pipelines.test_compact import DAY, Place, everything, place
from tests.transforms.test_resend_dead_letters import write_letters
from transforms.compacted import manifests
from transforms.home_search import HomeSearch

__all__ = ["place"]  # the fixture
pytestmark = pytest.mark.system  # starts nothing, but runs many pipelines in process: about 15 s

HOME = "home-0001"


@pytest.fixture
def full(place: Place, tmp_path: Path) -> Place:
    """Two homes in landing, parts, ledger, training table, dead letters, bulk objects and staged rows."""
    first, second = place.fleet.gateway(1), place.fleet.gateway(2)
    write_landing(place.archive, everything(first, second), "0")
    assert place.compact("--training", "--sample=1") == 0
    write_landing(place.archive, [minute_message(first, 9), minute_message(second, 9)], "late")
    letters = [(minute_message(gateway, 1), "reading", "co is 3", 0) for gateway in (first, second)]
    write_letters(tmp_path / "dead_letters", *letters)
    for home in (HOME, "home-0002"):
        name = tmp_path / "bulk" / home / "gw" / "1.hwb"
        name.parent.mkdir(parents=True)
        name.write_bytes(b"payload")
    (tmp_path / "staging").mkdir()
    rows = [json.dumps({"home_id": home}) for home in (HOME, "home-0002", "home-00010")]
    (tmp_path / "staging" / "rows.jsonl").write_text("\n".join(rows) + "\n")
    return place


def erase(place: Place, *more: str, home: str = HOME) -> int:
    folder = place.output.parent
    folders = [place.archive, *(str(folder / name) for name in ("dead_letters", "bulk", "staging"))]
    return main([f"--home={home}", "--folders", *folders, "--compacted", str(place.output), *more])


def signed(place: Place) -> list[str]:
    return [f"--report={place.output.parent / 'report.json'}", "--signed-off-by=privacy@example.com"]


def holders(place: Place) -> list[str]:
    """Files that still hold the home, found without the code under test but for its unfolding."""
    search = HomeSearch(HOME)
    found = []
    for name, data in files_of(place.output.parent).items():
        if HOME.encode() in data and search.in_bytes(data):
            found.append(name)
    return found


def others(place: Place) -> list[bytes]:
    return sorted(row["envelope"] for row in place.rows() if row["home_id"] != HOME)


def test_a_home_is_gone_and_the_others_are_as_they_were(full: Place, capsys: Any) -> None:
    before = others(full)
    assert holders(full)
    assert erase(full, *signed(full)) == 0

    assert holders(full) == []
    assert others(full) == before
    staged = full.output.parent / "staging" / "rows.jsonl"
    assert [json.loads(line)["home_id"] for line in staged.read_text().splitlines()] == [
        "home-0002",
        "home-00010",
    ]
    report = json.loads((full.output.parent / "report.json").read_text())
    assert report["proven"] is True
    assert report["home_sha256"] == tombstone(HOME)
    assert report["signed_off_by"] == "privacy@example.com"
    assert all(place["before"] > 0 and place["after"] == 0 for place in report["places"])
    assert "compacted: parts: 7 → 0 of 1 looked at" in capsys.readouterr().out


def test_it_stays_gone_when_more_of_it_comes_and_nothing_is_compacted_twice(full: Place) -> None:
    assert erase(full, *signed(full)) == 0
    first = full.fleet.gateway(1)
    write_landing(full.archive, [minute_message(first, 10)], "redelivered")
    assert full.compact() == 0
    assert [row for row in full.rows() if row["home_id"] == HOME] == []
    assert manifests(str(full.output))[DAY].counts.erased == 8
    assert manifests(str(full.output))[DAY].counts.copies == 1  # rewritten objects are not read again
    assert erase(full, *signed(full)) == 0
    assert holders(full) == []


def test_erasing_again_changes_nothing(full: Place) -> None:
    assert erase(full, *signed(full)) == 0
    before = files_of(full.output.parent)
    assert erase(full, *signed(full)) == 0
    after = files_of(full.output.parent)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"report.json"}


def test_a_run_that_was_cut_off_is_finished_by_the_next(full: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = others(full)
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "commit", _cut)
        with pytest.raises(RuntimeError, match="cut off"):
            erase(full, *signed(full))
    assert holders(full)
    assert erase(full, *signed(full)) == 0
    assert holders(full) == []
    assert others(full) == before


def _cut(*_: object) -> None:
    raise RuntimeError("cut off")


def test_a_dry_run_counts_and_touches_nothing(full: Place, capsys: Any) -> None:
    before = files_of(full.output.parent)
    assert erase(full, "--dry-run") == 0
    assert files_of(full.output.parent) == before
    assert "compacted: parts: 7 of 1 looked at\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("home", "more", "complaint"),
    [
        ("home-7777", ["--dry-run"], "--home: nothing is known of it anywhere (given: home-7777)"),
        (HOME, [], "report and signed-off-by are wanted unless dry-run"),
        (HOME, ["--dry-run", "--alarms=here"], "alarms is 'here', wanted firestore://PROJECT"),
    ],
)
def test_a_mistake_is_named(place: Place, capsys: Any, home: str, more: list[str], complaint: str) -> None:
    assert erase(place, *more, home=home) == 2
    assert complaint in capsys.readouterr().err
