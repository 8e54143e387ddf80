"""A disk that refuses, hangs or was put back: nothing is forgotten, events leave at once."""

import contextlib
import threading
import time

import pytest

from edge_client.outbox import OutboxUnavailable
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from tests.edge_client.bench import NEW, PANIC, RESTORE, STORAGE_BACK, STORAGE_FAILS, HurriedBench
from tests.edge_client.fakes import MINUTE, START_US, air_frame, motion_frame


@pytest.fixture
def refusing(bench, monkeypatch):
    """The disk takes nothing until `undo()`."""

    def refuse(_change):
        raise OutboxUnavailable("disk full")

    monkeypatch.setattr(bench.outbox, "commit", refuse)
    return monkeypatch


def test_disk_that_refuses_means_no_acknowledgement_and_nothing_is_forgotten(bench, refusing):
    bench.rich(air_frame(START_US))
    bench.pass_time(3)
    assert bench.acked == []
    refusing.undo()
    bench.pass_time(2)
    assert len(bench.acked) == 1
    assert len(bench.outbox.kept_frames()) == 1


def test_event_leaves_at_once_although_the_disk_refuses(bench, refusing):
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    assert bench.woken == [pb.LANE_URGENT]
    assert bench.acked == [], "memory is not durable"
    batches = bench.sent(pb.LANE_URGENT)
    assert [body.events[0].code for _, body in batches] == [Code.PANIC, Code.STORAGE]
    assert {header.epoch for header, _ in batches} != {bench.outbox.epoch}
    assert [header.seq for header, _ in batches] == [1, 2]
    start = batches[0][0].epoch_start
    assert (start.reason, start.previous_epoch) == (pb.EPOCH_REASON_EMERGENCY, bench.outbox.epoch)
    refusing.undo()
    bench.pass_time(2)
    assert len(bench.acked) == 1
    assert bench.told() == [STORAGE_BACK], "what was published is not sent again"


def test_event_that_did_not_get_through_from_memory_is_kept_under_the_same_id(bench, refusing):
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    refusing.undo()
    bench.pass_time(2)
    events = bench.events()
    assert {(event.code, event.qualifier, event.sensor_id) for event in events} == {
        PANIC, STORAGE_FAILS, STORAGE_BACK,
    }  # fmt: skip
    assert len({event.event_id for event in events}) == 3
    assert len(events) == 5


def test_event_leaves_although_the_disk_hangs(tmp_path):
    """No error, no answer: the hazards of what comes meanwhile are seen, and all of it goes out."""
    with contextlib.ExitStack() as stack:
        bench = HurriedBench(tmp_path)
        stack.callback(lambda: bench.outbox.close())
        answers = threading.Event()
        write = bench.outbox._journal.transaction
        bench.outbox._journal.transaction = lambda work: answers.wait(30) and write(work)
        bench.zigbee("panic-bedroom", {"action": "panic"})
        began_s = time.monotonic()
        bench.core.step()
        bench.zigbee("smoke-kitchen", {"smoke": True})
        bench.pass_time(5)
        assert time.monotonic() - began_s < 5
        told = bench.told()
        assert PANIC in told
        assert (Code.SMOKE, NEW, "smoke-kitchen") in told
        assert bench.acked == []
        answers.set()
        time.sleep(0.5)
        bench.pass_time(5)
        assert len(bench.acked) == 2
        assert STORAGE_BACK in bench.told()


def test_memory_is_bounded_while_the_disk_refuses_and_the_broker_keeps_the_rest(bench, refusing):
    for _ in range(10):
        for minute in range(150):
            bench.rich(motion_frame(START_US - minute * MINUTE))
    bench.zigbee("panic-bedroom", {"action": "panic"})
    bench.core.step()
    assert PANIC in bench.told(), "an event always has room"
    refusing.undo()
    assert bench.redelivered == []
    bench.pass_time(2)
    assert len(bench.acked) == 1_001
    assert bench.redelivered == [True]


def test_gateway_that_starts_without_its_disk_watches_and_then_goes_on_where_it_was(bench):
    bench.arm()
    bench.rich(motion_frame(START_US))
    bench.pass_time(1)
    bench.kill()
    path = bench.config.outbox.path
    path.rename(path.with_name("away"))
    path.mkdir()  # cannot be opened
    bench.open()
    bench.zigbee("smoke-kitchen", {"smoke": True})
    bench.core.step()
    assert bench.told() == [(Code.SMOKE, NEW, "smoke-kitchen"), STORAGE_FAILS]
    path.rmdir()
    path.with_name("away").rename(path)
    bench.pass_time(70)
    assert bench.core.rules.arming.state.mode == "away"
    assert len(bench.acked) == 1
    readings = [r for _, body in bench.sent(pb.LANE_MINUTES) for r in body.readings]
    assert START_US in {r.minute_us for r in readings}
    bench.zigbee("smoke-kitchen", {"smoke": False})
    bench.core.step()
    assert (Code.SMOKE, RESTORE, "smoke-kitchen") in bench.told()


@pytest.mark.parametrize("damage", ["corrupt", "restored"])
def test_damaged_outbox_is_a_trouble_that_an_operator_sees(bench, damage):
    path = bench.config.outbox.path
    bench.pass_time(61)
    bench.kill()
    if damage == "corrupt":
        path.write_bytes(b"garbage" * 1000)
    else:
        copy = path.read_bytes()
        bench.open()
        bench.pass_time(61)
        bench.kill()
        path.write_bytes(copy)
    bench.open()
    bench.pass_time(1)
    assert bench.told() == [STORAGE_FAILS, STORAGE_BACK]
    bench.kill()
    bench.open()
    bench.pass_time(1)
    assert bench.told() == [], "once"
