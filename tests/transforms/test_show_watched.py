"""ShowWatched: who is looked at is shown every minute, nobody else, and nothing here stops a bundle."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from pathlib import Path

import apache_beam as beam
import pytest
from google.api_core.exceptions import DeadlineExceeded

from schemas.owners import LiveSensor
from tests.transforms.homes import MINUTE0
from tests.transforms.runs import run_batch
from tests.webapp import emulators
from transforms.elements import Score
from transforms.show_watched import PAUSE_S, REFRESH_S, ShowWatched, _PutLive, firestore_live, live_sensor


class MemoryLive:
    """Watched homes as given; `down` makes every call fail."""

    def __init__(self, *watched: str) -> None:
        self.homes, self.down = frozenset(watched), False
        self.asked = self.tried = 0
        self.shown: dict[str, dict[str, LiveSensor]] = {}

    def watched(self, now_us: int) -> frozenset[str]:
        assert now_us > 0
        self.asked += 1
        self._reach()
        return self.homes

    def put(self, homes: Mapping[str, Mapping[str, LiveSensor]]) -> None:
        self.tried += 1
        self._reach()
        for home_id, sensors in homes.items():
            self.shown.setdefault(home_id, {}).update(sensors)

    def close(self) -> None:
        """Nothing to close."""

    def _reach(self) -> None:
        if self.down:
            raise DeadlineExceeded("told to be down")


class Worker:
    """The DoFn on a store, its clock in our hands."""

    def __init__(self, store: MemoryLive) -> None:
        self.now_s = 1_790_000_000.0
        self.dofn = _PutLive(lambda: store, lambda: self.now_s)
        self.dofn.setup()

    def bundle(self, *scores: Score) -> None:
        self.dofn.start_bundle()
        for one in scores:
            self.dofn.process(one)
        self.dofn.finish_bundle()


def reading(home: str = "home-1", sensor: str = "air-1", minute: int = 0) -> Score:
    at_us = (MINUTE0 + minute) * 60_000_000
    return Score(
        home, "gw-1", "b", f"{sensor}{minute}", sensor, "kitchen", "air", at_us, at_us + 61_000_000,
        "away", "normal", 0.9, ["normal"], [0.9], [640.0, math.nan, 90.0, 21.44449], "air-1",
    )  # fmt: skip


def test_only_watched_homes_are_shown() -> None:
    store = MemoryLive("home-1")
    Worker(store).bundle(reading("home-1"), reading("home-2"))
    assert store.shown.keys() == {"home-1"}


def test_the_newest_minute_of_each_sensor_is_shown_whatever_the_order() -> None:
    store = MemoryLive("home-1")
    Worker(store).bundle(reading(minute=2), reading(minute=1), reading(sensor="air-2"))
    assert store.shown["home-1"]["air-1"].minute_us == (MINUTE0 + 2) * 60_000_000
    assert store.shown["home-1"].keys() == {"air-1", "air-2"}


def test_an_hour_that_comes_late_is_history_and_not_live() -> None:
    store = MemoryLive("home-1")
    late = reading()
    Worker(store).bundle(late._replace(publish_us=late.minute_us + 3600 * 1_000_000))
    assert store.shown == {}


def test_what_was_not_measured_is_left_out() -> None:
    shown = live_sensor(reading())
    assert shown.quantities == {"co2_ppm": 640.0, "voc_index": 90.0, "temperature_c": 21.444}
    assert (shown.kind, shown.room, shown.label) == ("air", "kitchen", "normal")


def test_who_is_watched_is_asked_for_every_few_seconds() -> None:
    store = MemoryLive()
    worker = Worker(store)
    worker.bundle(reading())
    store.homes = frozenset({"home-1"})
    worker.bundle(reading())
    assert (store.asked, store.shown) == (1, {})
    worker.now_s += REFRESH_S
    worker.bundle(reading())
    assert store.shown.keys() == {"home-1"}


def test_a_database_that_hangs_is_called_once_a_minute_and_then_shows_again() -> None:
    store = MemoryLive("home-1")
    worker = Worker(store)
    worker.bundle(reading())
    store.down = True
    worker.now_s += REFRESH_S
    for minute in range(1, 4):
        worker.bundle(reading(minute=minute))
        worker.now_s += REFRESH_S
    assert (store.asked, store.tried) == (2, 1), "nobody is watched while nobody can be asked who is"
    store.down = False
    worker.now_s += PAUSE_S
    worker.bundle(reading(minute=5))
    assert store.shown["home-1"]["air-1"].minute_us == (MINUTE0 + 5) * 60_000_000


def test_a_bundle_calls_once_for_all_its_watched_homes_and_not_again_after_a_failure() -> None:
    store = MemoryLive("home-1", "home-2")
    worker = Worker(store)
    worker.bundle(reading("home-1"), reading("home-2"))
    assert (store.tried, store.shown.keys()) == (1, {"home-1", "home-2"})
    store.down = True
    for _ in range(3):
        worker.bundle(reading("home-1", minute=1), reading("home-2", minute=1))
    assert (store.asked, store.tried) == (1, 2)


_SHARED = MemoryLive("home-1")


def _shared() -> MemoryLive:
    return _SHARED


def test_it_runs_in_a_pipeline() -> None:
    def build(scores: beam.PCollection) -> dict[str, beam.PCollection]:
        return {"nothing": scores | "ShowWatched" >> ShowWatched(_shared)}

    assert run_batch([reading(), reading("home-2")], build) == {"nothing": []}
    assert _SHARED.shown.keys() == {"home-1"}


@pytest.mark.system
def test_firestore_tells_who_is_watched_and_replaces_each_sensor_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulators.firestore_emulator(tmp_path) as host:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
        _judge_firestore()


def _judge_firestore() -> None:
    store = firestore_live("demo-live-tests")
    now = dt.datetime.now(dt.UTC)
    watching = store._client.collection("watching")
    watching.document("home-1").set({"home_id": "home-1", "renewed_at": now})
    watching.document("home-9").set({"home_id": "home-9", "renewed_at": now - dt.timedelta(minutes=10)})
    now_us = int(now.timestamp() * 1e6)
    assert store.watched(now_us) == {"home-1"}
    watching.document("home-2").set({"home_id": "home-2", "renewed_at": now + dt.timedelta(seconds=5)})
    assert store.watched(now_us + 5_000_000) == {"home-1", "home-2"}
    assert store.watched(now_us + 181_000_000) == {"home-2"}, "nobody has looked at it for three minutes"
    first, second = live_sensor(reading()), live_sensor(reading(sensor="air-2"))
    nothing = first.model_copy(update={"quantities": {"co2_ppm": 640.0}})
    store.put({"home-1": {"air-1": first}})
    store.put({"home-1": {"air-1": nothing, "air-2": second}, "home-2": {"air-1": first}})
    shown = store._client.document("homes/home-1/live/sensors").get().to_dict()
    assert shown["sensors"].keys() == {"air-1", "air-2"}
    assert shown["sensors"]["air-1"]["quantities"] == {"co2_ppm": 640.0}, "what was measured before is gone"
    assert (shown["home_id"], shown["schema_version"]) == ("home-1", 1)
    store.close()
