"""The live queue: resume, silence, and a listener that dies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.alarms import LaneProof
from schemas.events import Code
from tests.webapp import acting
from tests.webapp.fakes import Clock, MemoryAlarms
from tests.webapp.seed import directory, make_alarm
from webapp.lifecycle import Actor
from webapp.live import RING, LiveQueue, Message

FIRE = Code.SMOKE


class Desk:
    """A queue whose clock and probes the test moves by hand."""

    def __init__(self) -> None:
        self.clock, self.alarms = Clock(), MemoryAlarms()
        self.queue = LiveQueue(self.alarms, self.clock, "boot")
        self.queue.tick()

    def put(self, home: str = "home-0001", code: Code = FIRE, **fields: Any) -> str:
        alarm = make_alarm(home, code, self.clock.now_us, 1, **fields)
        self.alarms.put(alarm)
        return alarm.alarm_id

    def tick(self, seconds: float = 2.0) -> None:
        self.clock.pass_s(seconds)
        self.queue.tick()

    def read(self, last_id: str = "") -> list[Message]:
        """Everything up to the first beat."""
        found: list[Message] = []
        for message in self.queue.follow(last_id, beat_s=0.001):
            if message.event == "beat":
                return found
            found.append(message)
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def data(message: Message) -> Any:
    return json.loads(message.data)


def test_new_reader_gets_a_snapshot_with_all_open_alarms(desk: Desk) -> None:
    first = desk.put()
    [snapshot] = desk.read()
    assert snapshot.event == "snapshot"
    assert [a["alarm_id"] for a in data(snapshot)["alarms"]] == [first]
    assert data(snapshot)["live"] is True


def test_reader_resumes_after_the_last_event_it_saw(desk: Desk) -> None:
    desk.put()
    [snapshot] = desk.read()
    second = desk.put("home-0002")
    desk.put("home-0003")
    deltas = desk.read(snapshot.id)
    assert [m.event for m in deltas] == ["delta", "delta"]
    assert data(deltas[0])["upserts"][0]["alarm_id"] == second
    assert [m.id for m in desk.read(deltas[0].id)] == [deltas[1].id]


@pytest.mark.parametrize("unknown", ["earlier-3", "boot-999999", "boot-x", "nonsense"])
def test_reader_from_elsewhere_gets_a_snapshot(desk: Desk, unknown: str) -> None:
    desk.put()
    assert [m.event for m in desk.read(unknown)] == ["snapshot"]


def test_reader_that_fell_behind_the_ring_gets_a_snapshot(desk: Desk) -> None:
    desk.put()
    [snapshot] = desk.read()
    for number in range(RING + 1):
        desk.put(evidence_count=number + 2)
    assert [m.event for m in desk.read(snapshot.id)] == ["snapshot"]


def test_closed_alarm_leaves_the_queue(desk: Desk) -> None:
    key = desk.put()
    [snapshot] = desk.read()
    actor = Actor("u", "Anna")
    acting.claim(desk.alarms, key, actor, desk.clock())
    acting.close(desk.alarms, key, actor, 1, "real", "", desk.clock())
    assert data(desk.read(snapshot.id)[-1]) == {
        "upserts": [],
        "removed": [key],
        "server_us": desk.clock(),
    }


def test_alarm_goes_out_before_its_address_is_known(desk: Desk) -> None:
    desk.alarms.add_home(directory()[0])
    [before] = desk.read()
    desk.put()
    desk.tick()
    rows = [data(m)["upserts"][0] for m in desk.read(before.id)]
    assert [row["address"] for row in rows] == [None, "Lindenstraße 14, 3rd floor"]


def test_path_proof_reaches_the_readers(desk: Desk) -> None:
    [before] = desk.read()
    desk.alarms.path = {"urgent": LaneProof(proven_us=5, sent_us=4)}
    desk.tick()
    [message] = desk.read(before.id)
    assert message.event == "path"
    assert data(message)["urgent"] == {"proven_us": 5, "sent_us": 4}


def test_unreachable_database_is_announced_and_keeps_the_list(desk: Desk) -> None:
    key = desk.put()
    [before] = desk.read()
    desk.alarms.down = True
    desk.tick()
    [message] = desk.read(before.id)
    assert message.event == "live"
    assert data(message)["live"] is False
    assert data(message)["since_us"] == desk.clock()
    assert [a["alarm_id"] for a in data(desk.read()[0])["alarms"]] == [key]


def test_after_an_outage_the_queue_is_right_and_live_again(desk: Desk) -> None:
    gone = desk.put()
    [before] = desk.read()
    desk.alarms.down = True
    desk.tick()
    desk.alarms.alarms.pop(gone)
    new = desk.put("home-0002")
    desk.alarms.down = False
    desk.tick()
    after = desk.read(before.id)
    assert [m.event for m in after] == ["live", "delta", "live"]
    assert data(after[1])["removed"] == [gone]
    assert [a["alarm_id"] for a in data(after[1])["upserts"]] == [new]
    assert desk.queue.live


def test_listener_that_missed_an_alarm_is_found_out_and_replaced(desk: Desk) -> None:
    desk.alarms.deaf = True
    missed = desk.put()
    desk.tick(11)
    desk.alarms.deaf = False
    assert desk.alarms.watches == 1, "once seen could be a race"
    desk.tick(11)
    assert desk.alarms.watches == 2
    assert [a["alarm_id"] for a in data(desk.read()[0])["alarms"]] == [missed]
    assert desk.queue.live


def test_listener_that_never_speaks_is_not_called_live(desk: Desk) -> None:
    silent = MemoryAlarms()
    silent.deaf = True
    queue = LiveQueue(silent, desk.clock, "boot")
    queue.tick()
    assert not queue.live
    desk.clock.pass_s(11)
    queue.tick()
    assert silent.watches == 2


def test_queue_whose_own_thread_breaks_is_not_called_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    alarms = MemoryAlarms()
    queue = LiveQueue(alarms, Clock(), "boot", probe_s=0.01)
    queue.tick()
    assert queue.live
    monkeypatch.setattr(alarms, "path_proofs", lambda: 1 / 0)
    queue.start()
    queue.stop()
    assert not queue.live


def test_stop_ends_a_waiting_stream_at_once() -> None:
    queue = LiveQueue(MemoryAlarms(), Clock(), "boot", probe_s=0.01)
    queue.start()
    read: list[Message] = []

    def follow(messages: Iterator[Message]) -> None:
        read.extend(messages)

    reader = threading.Thread(target=follow, args=(queue.follow("", beat_s=60),))
    reader.start()
    deadline = time.monotonic() + 5
    while not read and time.monotonic() < deadline:
        time.sleep(0.01)
    queue.stop()
    reader.join(2)
    assert not reader.is_alive()
    assert read[0].event == "snapshot"


def test_of_twenty_pages_that_show_a_row_one_is_stamped_and_again_if_that_failed(desk: Desk) -> None:
    key = desk.put()
    assert [desk.queue.first_shown([key, key]) for _ in range(20)] == [[key]] + [[]] * 19
    desk.clock.pass_s(11)
    assert desk.queue.first_shown([key]) == [key], "nobody stamped it"
    desk.alarms.presented([key], desk.clock())
    desk.clock.pass_s(11)
    assert desk.queue.first_shown([key]) == []
