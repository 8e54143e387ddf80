"""The hourly object: every kept minute, once, whatever ends suddenly in between."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client.config import ObjectsConfig
from edge_client.hourly import HourlyObjects, due, own_delay_us
from edge_client.object_store import QUANTUM, SessionLost, UploadFailed
from edge_client.outbox import Change, Draft, OutboxUnavailable
from edge_client.raw_rows import RawMinute
from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from tests.edge_client.fakes import GATEWAY, HOME, MINUTE, START_US, ManualClock, make_identity, opened
from tests.edge_client.outboxes import open_outbox
from tests.fakes import SENSORS, reading

HOUR = 60 * MINUTE
FIRST_US = START_US // HOUR * HOUR
ARMING = pb.Arming(mode=pb.ARMING_MODE_AWAY)
IDENTITY = make_identity()


class FakeStore:
    """A resumable service in memory. `fail` holds what the next calls raise."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.sessions: dict[str, tuple[str, bytes, bytes]] = {}
        self.fail: list[Exception | None] = []
        self.sent = 0

    def begin(self, name: str, size: int, md5: bytes) -> str | None:
        self._maybe_fail()
        assert size > 0
        if name in self.objects:
            return None
        session = f"session-{len(self.sessions)}"
        self.sessions[session] = (name, b"", md5)
        return session

    def received(self, session: str, size: int) -> int:
        self._maybe_fail()
        if session not in self.sessions:
            raise SessionLost("404")
        name, data, _ = self.sessions[session]
        return size if name in self.objects else len(data)

    def send(self, session: str, chunk: bytes, first: int, size: int) -> int:
        self._maybe_fail()
        name, data, md5 = self.sessions[session]
        assert first == len(data)
        assert len(chunk) == QUANTUM or first + len(chunk) == size
        data += chunk
        self.sent += len(chunk)
        self.sessions[session] = (name, data, md5)
        if len(data) == size:
            assert hashlib.md5(data, usedforsecurity=False).digest() == md5
            self.objects[name] = data
        return len(data)

    def _maybe_fail(self) -> None:
        error = self.fail.pop(0) if self.fail else None
        if error is not None:
            raise error


class Rig:
    """An outbox with kept minutes and what uploads them; `reopen` is a sudden end."""

    def __init__(self, folder, store: FakeStore | None = None) -> None:
        self.folder, self.store, self.clock = folder, store or FakeStore(), ManualClock(FIRST_US)
        self.woken: list[int] = []
        self.open()

    def open(self) -> None:
        self.outbox = open_outbox(self.folder, max_bytes=64 << 20)
        self.objects = HourlyObjects(
            self.outbox,
            self.store,
            home_id=HOME,
            gateway_id=GATEWAY,
            file=self.folder / "outbox.db.object",
            config=ObjectsConfig(bucket="b", delay_s=0, spread_s=0, bytes_per_s=1 << 30),
            clock=self.clock,
            arming=lambda: ARMING,
            committed=self.woken.append,
            rng=random.Random(1),
        )

    def reopen(self) -> None:
        self.outbox.close()
        self.open()

    def keep(self, *minutes: int) -> list[pb.Reading]:
        kept = []
        for minute in minutes:
            minute_us = FIRST_US + minute * MINUTE
            rng = np.random.default_rng(minute)
            readings = [reading(*s, minute_us, rng, gateway_id=GATEWAY) for s in SENSORS]
            self.outbox.commit(Change(self.clock.now_us(), ARMING, raw={minute_us: readings}))
            kept += readings
        return kept

    def steps(self, most: int = 20) -> None:
        for _ in range(most):
            if self.objects.step() > 0:
                return

    def notices(self) -> list[pb.BulkReference]:
        """Published and confirmed."""
        found = []
        while batch := self.outbox.take(pb.LANE_BULK):
            found += opened(batch.envelope)[1].bulk
            self.outbox.confirm(batch)
        return found


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: rig.outbox.close())
        yield rig


def content(store: FakeStore) -> list[bytes]:
    """Every reading in the store, once."""
    found = {r.reading_id: r for data in store.objects.values() for r in bulk.unpack_object(data)[1]}
    return sorted(r.SerializeToString(deterministic=True) for r in found.values())


def same(readings: list[pb.Reading]) -> list[bytes]:
    return sorted(r.SerializeToString(deterministic=True) for r in readings)


def test_an_hour_becomes_one_object_and_a_signed_notice_and_is_then_forgotten(rig):
    kept = rig.keep(0, 1, 59)
    rig.clock.set(FIRST_US + HOUR - 1)
    rig.steps()
    assert rig.store.objects == {}
    rig.clock.set(FIRST_US + HOUR)
    rig.steps()
    (name,) = rig.store.objects
    data = rig.store.objects[name]
    assert name == bulk.object_name(HOME, GATEWAY, FIRST_US, bulk.sha256(data))
    assert content(rig.store) == same(kept)
    assert rig.woken == [pb.LANE_BULK]
    batch = rig.outbox.take(pb.LANE_BULK)
    header, body = opened(batch.envelope)
    (notice,) = body.bulk
    assert (header.lane, header.seq, header.arming) == (pb.LANE_BULK, 1, ARMING)
    assert (notice.object, notice.sha256, notice.size) == (name, bulk.sha256(data), len(data))
    assert (notice.first_minute_us, notice.last_minute_us) == (FIRST_US, FIRST_US + 59 * MINUTE)
    assert notice.readings == 30
    assert rig.outbox.kept.read(1) is not None  # kept until the notice is confirmed
    rig.outbox.confirm(batch)
    assert rig.outbox.kept.read(1) is None
    assert not (rig.folder / "outbox.db.object").exists()


def test_each_hour_has_an_object_of_its_own_oldest_first(rig):
    rig.keep(61, 0)
    rig.clock.set(FIRST_US + 2 * HOUR)
    rig.steps()
    assert [n.first_minute_us - FIRST_US for n in rig.notices()] == [0, 61 * MINUTE]


def test_a_minute_that_comes_late_goes_into_a_further_object(rig):
    kept = rig.keep(0)
    rig.clock.set(FIRST_US + HOUR)
    rig.steps()
    kept += rig.keep(1)
    rig.steps()
    assert len(rig.store.objects) == 2
    assert content(rig.store) == same(kept)


def test_after_an_interruption_only_the_rest_is_sent(rig):
    rig.keep(*range(12))
    rig.clock.set(FIRST_US + HOUR)
    rig.store.fail = [None, None, None, UploadFailed("cut")]  # begin, received, one chunk
    rig.steps()
    assert rig.store.sent == QUANTUM
    rig.reopen()  # kill -9
    rig.steps()
    (data,) = rig.store.objects.values()
    assert rig.store.sent == len(data)
    assert len(rig.notices()) == 1


def test_a_lost_session_is_begun_again(rig):
    kept = rig.keep(0)
    rig.clock.set(FIRST_US + HOUR)
    rig.store.fail = [None, SessionLost("410")]
    rig.steps()
    assert rig.store.objects == {}
    rig.steps()
    assert content(rig.store) == same(kept)


def test_an_object_uploaded_before_a_sudden_end_is_announced_and_not_sent_again(rig, monkeypatch):
    def no_power(_progress):
        raise OutboxUnavailable("power")

    rig.keep(0)
    rig.clock.set(FIRST_US + HOUR)
    monkeypatch.setattr(rig.objects, "_announce", no_power)
    rig.steps()
    (data,) = rig.store.objects.values()
    rig.reopen()
    rig.steps()
    assert rig.store.sent == len(data)
    assert len(rig.notices()) == 1


def test_a_damaged_or_missing_file_is_built_again(rig):
    kept = rig.keep(0)
    rig.clock.set(FIRST_US + HOUR)
    rig.objects.step()  # built
    (rig.folder / "outbox.db.object").write_bytes(b"torn")
    rig.steps()
    assert content(rig.store) == same(kept)


def test_bulk_waits_while_alarms_minutes_or_backlog_wait(rig):
    rig.keep(0)
    rig.clock.set(FIRST_US + HOUR)
    rig.outbox.commit(Change(FIRST_US, ARMING, drafts=[Draft(pb.LANE_MINUTES, pb.Body())]))
    rig.steps()
    assert rig.store.sessions == {}
    rig.outbox.confirm(rig.outbox.take(pb.LANE_MINUTES))
    rig.steps()
    assert len(rig.store.objects) == 1


def test_a_damaged_minute_is_declared_and_the_others_follow(rig):
    rig.keep(0, 1)
    rig.outbox.close()
    with contextlib.closing(sqlite3.connect(rig.folder / "outbox.db")) as db:
        db.execute("UPDATE raw SET body = zeroblob(10) WHERE number = 1")
        db.commit()
    rig.open()
    rig.clock.set(FIRST_US + HOUR)
    rig.steps()
    (data,) = rig.store.objects.values()
    assert {r.minute_us for r in bulk.unpack_object(data)[1]} == {FIRST_US + MINUTE}
    batch = rig.outbox.take(pb.LANE_BULK)
    (gap,) = opened(batch.envelope)[0].gaps
    assert (gap.reason, gap.first_us, gap.first_seq) == (pb.GAP_REASON_CORRUPT_ROW, FIRST_US, 1)


def test_a_full_outbox_lets_kept_minutes_go_first_and_declares_them(tmp_path):
    with contextlib.closing(open_outbox(tmp_path, max_bytes=1 << 20)) as outbox:
        readings = [pb.Reading(reading_id=np.random.default_rng(i).bytes(200_000)) for i in range(5)]
        outbox.commit(Change(START_US, ARMING, drafts=[Draft(pb.LANE_MINUTES, pb.Body())]))
        for minute, made in enumerate(readings):
            outbox.commit(Change(START_US, ARMING, raw={minute * MINUTE: [made]}))
        assert len(outbox.kept.waiting()) == 5
        outbox.commit(
            Change(START_US, ARMING, drafts=[Draft(pb.LANE_URGENT, pb.Body(readings=readings[:2]))])
        )
        assert [m.minute_us for m in outbox.kept.waiting()] == [2 * MINUTE, 3 * MINUTE, 4 * MINUTE]
        assert outbox.pending(pb.LANE_MINUTES) == outbox.pending(pb.LANE_URGENT) == 1
        (gap,) = opened(outbox.take(pb.LANE_URGENT).envelope)[0].gaps
        assert (gap.first_us, gap.last_us, gap.reason) == (0, MINUTE, pb.GAP_REASON_OUTBOX_FULL)


def test_kept_minutes_survive_a_corrupt_file(rig):
    kept = rig.keep(0, 1)
    rig.outbox.close()
    path = rig.folder / "outbox.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'gaps'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(data)
    rig.open()
    rig.outbox.commit(Change(FIRST_US, ARMING, drafts=[Draft(pb.LANE_MINUTES, pb.Body())]))
    rig.outbox.confirm(rig.outbox.take(pb.LANE_MINUTES))
    assert rig.outbox.set_aside is not None
    rig.clock.set(FIRST_US + HOUR)
    rig.steps()
    assert content(rig.store) == same(kept)


def test_a_file_of_version_1_is_taken_over_with_all_that_lies_in_it(rig):
    rig.outbox.commit(Change(FIRST_US, ARMING, drafts=[Draft(pb.LANE_MINUTES, pb.Body())]))
    rig.outbox.close()
    with contextlib.closing(sqlite3.connect(rig.folder / "outbox.db")) as db:
        db.execute("DROP TABLE raw")
        db.execute("PRAGMA user_version=1")
        db.commit()
    rig.open()
    assert rig.outbox.pending(pb.LANE_MINUTES) == 1
    rig.keep(0)
    assert len(rig.outbox.kept.waiting()) == 1


def test_a_notice_that_the_disk_damaged_is_made_again(rig):
    kept = rig.keep(0)
    rig.clock.set(FIRST_US + HOUR)
    rig.steps()
    rig.outbox.close()
    with contextlib.closing(sqlite3.connect(rig.folder / "outbox.db")) as db:
        db.execute("UPDATE outbox SET envelope = zeroblob(10)")
        db.commit()
    rig.open()
    assert rig.outbox.take(pb.LANE_BULK) is None  # lost and declared
    rig.steps()
    (notice,) = rig.notices()
    assert notice.object in rig.store.objects
    assert content(rig.store) == same(kept)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_fails_or_ends_every_minute_arrives_and_is_announced(data, tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("rig"))
    kept = rig.keep(0, 1, 2, 60)
    rig.clock.set(FIRST_US + 2 * HOUR)
    announced: set[str] = set()
    errors = [UploadFailed("cut"), SessionLost("404"), None, None]
    for _ in range(30):
        action = data.draw(st.sampled_from(["step", "fail", "kill", "notices", "torn"]))
        if action == "fail":
            rig.store.fail = data.draw(st.lists(st.sampled_from(errors), max_size=3))
        elif action == "kill":
            rig.reopen()
        elif action == "notices":
            announced |= {n.object for n in rig.notices()}
        elif action == "torn":
            (rig.folder / "outbox.db.object").unlink(missing_ok=True)
        rig.objects.step()
    rig.store.fail = []
    for _ in range(30):
        rig.objects.step()
    announced |= {n.object for n in rig.notices()}
    assert content(rig.store) == same(kept)
    assert announced == set(rig.store.objects)
    assert rig.outbox.kept.waiting() == []
    rig.outbox.close()


def test_an_object_is_no_larger_than_may_be_built_in_memory():
    minutes = [RawMinute(n, n * MINUTE, 5 << 20, 0) for n in range(10)]
    assert [m.number for m in due(minutes, 2 * HOUR, HOUR, 0)] == [0, 1, 2]
    assert due(minutes[:1], HOUR - 1, HOUR, 0) == []
    assert due([], HOUR, HOUR, 0) == []


def test_a_fleet_spreads_over_the_time_it_has():
    delays = [own_delay_us(f"gw-{n}", 600, 1_000_000) for n in range(2000)]
    assert min(delays) >= 600
    assert max(delays) < 600 + 1_000_000
    counts, _ = np.histogram(delays, bins=10)
    assert counts.min() > 120
