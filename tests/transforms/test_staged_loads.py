"""Staged objects are loaded until they are, each once, and BigQuery's absence holds nobody."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, ServiceUnavailable

from schemas.warehouse import BATCHES, WINDOW_SCORES
from transforms.staged_loads import LEFT_AFTER_S, StagedLoads
from transforms.warehouse_loads import LoadTarget, staged_name

NOW = time.time()


class FakeBigQuery:
    """Jobs by id, as the service keeps them.

    Attributes:
        away: Every call fails. refused: Parts of object names that cannot be loaded.
    """

    project = "p"

    def __init__(self) -> None:
        self.jobs: dict[str, list[str]] = {}
        self.away = False
        self.refused = "nothing"
        self.calls = 0

    def create_dataset(self, *_: Any, **__: Any) -> None:
        """There is one."""

    def load_table_from_uri(self, names: list[str], table: str, *, job_id: str, **_: Any) -> FakeBigQuery:
        self.calls += 1
        if self.away:
            raise ServiceUnavailable("away")
        if any(self.refused in name for name in names):
            raise BadRequest("no such column")
        if job_id in self.jobs:
            raise Conflict(job_id)
        self.jobs[job_id] = [table, *map(os.path.basename, names)]
        return self

    def get_job(self, job_id: str, **_: Any) -> FakeBigQuery:
        assert job_id in self.jobs
        return self

    error_result = None

    def result(self, **_: Any) -> None:
        """Done."""


@pytest.fixture
def service() -> FakeBigQuery:
    return FakeBigQuery()


@pytest.fixture
def loads(service: FakeBigQuery, tmp_path: Path) -> StagedLoads:
    return StagedLoads(LoadTarget("p", "d", str(tmp_path), lambda _: service))


def _stage(folder: Path, data: bytes, age_s: float, table: str = "batches") -> str:
    path = Path(staged_name(str(folder), table, data))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (NOW - age_s, NOW - age_s))
    return str(path)


def _left(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.rglob("*.jsonl"))]


def test_what_a_dead_worker_staged_is_found_and_loaded_once(
    loads: StagedLoads, service: FakeBigQuery, tmp_path: Path
) -> None:
    name = _stage(tmp_path, b"1", LEFT_AFTER_S + 1)
    assert loads.sweep(NOW) == 1
    assert list(service.jobs.values()) == [["p.d.batches", os.path.basename(name)]]
    assert _left(tmp_path) == []
    _stage(tmp_path, b"1", LEFT_AFTER_S + 1)  # its worker died between the load and the removal
    assert loads.sweep(NOW) == 1
    assert len(service.jobs) == 1
    assert _left(tmp_path) == []


def test_what_is_being_loaded_by_its_own_worker_is_left_alone(loads: StagedLoads, tmp_path: Path) -> None:
    _stage(tmp_path, b"1", LEFT_AFTER_S - 10)
    assert loads.sweep(NOW) == 0
    assert _left(tmp_path) == [b"1"]


def test_after_an_outage_every_object_is_loaded_and_during_it_one_try_a_sweep_is_made(
    loads: StagedLoads, service: FakeBigQuery, tmp_path: Path
) -> None:
    service.away = True
    for number in range(20):
        loads.add(BATCHES, _stage(tmp_path, b"%d" % number, LEFT_AFTER_S + number))
    loads.load_waiting(0.0)
    assert loads.take_counts().failed == 20
    service.calls = 0
    assert loads.sweep(NOW) == 0
    assert service.calls == 1
    service.away = False
    assert loads.sweep(NOW + 1) == 20
    assert _left(tmp_path) == []
    assert loads.take_counts().loads == 20


def test_one_object_that_cannot_be_loaded_does_not_hold_the_others(
    loads: StagedLoads, service: FakeBigQuery, tmp_path: Path
) -> None:
    service.refused = os.path.basename(_stage(tmp_path, b"bad", LEFT_AFTER_S + 99))
    _stage(tmp_path, b"good", LEFT_AFTER_S + 1)
    _stage(tmp_path, b"other", LEFT_AFTER_S + 1, WINDOW_SCORES.name)
    assert loads.sweep(NOW) == 2
    assert _left(tmp_path) == [b"bad"]


def test_a_bundle_waits_for_its_loads_but_not_for_a_service_that_is_away(
    loads: StagedLoads, service: FakeBigQuery, tmp_path: Path
) -> None:
    service.away = True
    loads.start()
    loads.add(BATCHES, _stage(tmp_path, b"1", 0))
    loads.wait(5.0)
    loads.add(BATCHES, _stage(tmp_path, b"2", 0))
    began = time.monotonic()
    loads.wait(60.0)
    assert time.monotonic() - began < 30
    assert len(_left(tmp_path)) == 2
