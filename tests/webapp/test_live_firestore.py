"""The live queue on a real listener whose database goes away and comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.events import Code
from tests.webapp import emulators, seed
from webapp.app import firestore_client, now_us
from webapp.live import LiveQueue
from webapp.repository import AlarmRepository

pytestmark = pytest.mark.system
PROJECT = "demo-webapp-outage"


def within(limit_s: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def known(queue: LiveQueue) -> set[str]:
    """What a browser that comes now is shown."""
    return {alarm["alarm_id"] for alarm in json.loads(next(queue.follow("")).data)["alarms"]}


def test_queue_says_not_live_without_its_database_and_is_right_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = emulators.free_port()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{port}")
    client = firestore_client(PROJECT)
    queue = LiveQueue(AlarmRepository(client), now_us, "boot", probe_s=0.3, compare_s=1.0)
    before = seed.make_alarm("home-0001", Code.SMOKE, now_us(), 1)
    after = seed.make_alarm("home-0002", Code.PERIMETER, now_us(), 1)
    with emulators.firestore_emulator(tmp_path, port):
        queue.start()
        seed.write(client, [(before, [])])
        assert within(10, lambda: queue.live and known(queue) == {before.alarm_id})
    assert within(10, lambda: not queue.live), "the database is gone"
    assert known(queue) == {before.alarm_id}, "greyed, not emptied"
    with emulators.firestore_emulator(tmp_path, port):  # comes back empty: the emulator keeps nothing
        seed.write(client, [(after, [])])
        assert within(20, lambda: queue.live and known(queue) == {after.alarm_id})
        began = time.monotonic()
        queue.stop()
        assert time.monotonic() - began < 3
