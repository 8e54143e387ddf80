"""Manifests: which one counts when several want to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from schemas.compacted import Counts, Manifest
from transforms.compacted import commit, manifests

DAY = "2026-03-01"


def test_of_compactions_that_commit_the_same_number_at_once_one_succeeds(tmp_path: Path) -> None:
    def run(kept: int) -> int:
        manifest = Manifest(day=DAY, number=1, inputs=[], parts=[], counts=Counts(rows_in=kept, kept=kept))
        try:
            commit(str(tmp_path), manifest)
        except FileExistsError:
            return 0
        return kept

    with ThreadPoolExecutor(8) as pool:
        won = [kept for kept in pool.map(run, range(1, 41)) if kept]
    assert len(won) == 1
    assert manifests(str(tmp_path))[DAY].counts.kept == won[0]
