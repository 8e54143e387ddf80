"""Damaged rows and files, and a disk that is full."""

import contextlib
import os

import pytest

from edge_client import store
from edge_client.outbox import IntakeRow, OutboxUnavailable
from edge_client.store import meta_crc
from schemas import hearthwatch_v1_pb2 as pb
from tests.edge_client.fakes import START_US
from tests.edge_client.outboxes import URGENT, change, drain, event_draft, minutes_draft, open_outbox, poke


def test_damaged_message_is_declared_with_its_minute(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as first:
        first.commit(change(frames=[IntakeRow(m, "rich", "s", START_US, b"x") for m in (60, 120)]))
    poke(tmp_path / "outbox.db", "UPDATE intake SET payload = x'00' WHERE minute_us = 60")
    with contextlib.closing(open_outbox(tmp_path)) as second:
        assert [row.minute_us for row in second.kept_frames()] == [120]
        second.commit(change(event_draft()))
        [header] = drain(second)
        [gap] = header.gaps
        assert (header.seq, gap.first_seq, gap.last_seq) == (2, 1, 1)
        assert (gap.first_us, gap.last_us, gap.reason) == (60, 60, pb.GAP_REASON_CORRUPT_ROW)


def test_end_between_building_a_new_file_and_moving_it_in_loses_nothing(tmp_path, used, monkeypatch):
    path = tmp_path / "outbox.db"
    poke(path, "UPDATE meta SET value = x'ff' WHERE key = 'epoch'")

    def die(_path):
        raise OSError("power cut")

    monkeypatch.setattr(store, "_swap", die)
    with contextlib.closing(open_outbox(tmp_path)) as outbox, pytest.raises(OutboxUnavailable):
        outbox.commit(change(event_draft()))
    monkeypatch.undo()
    with contextlib.closing(open_outbox(tmp_path)) as outbox:
        assert [(h.epoch, h.seq) for h in drain(outbox)] == [(used, 3)]
        assert outbox.damaged_epoch == outbox.epoch
    assert (tmp_path / "outbox.db.corrupt-1").exists()


def test_damaged_row_is_declared_and_its_neighbours_live(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as first:
        first.commit(change(event_draft(), event_draft(), event_draft()))
    poke(tmp_path / "outbox.db", "UPDATE outbox SET envelope = x'00' WHERE seq = 2")
    with contextlib.closing(open_outbox(tmp_path)) as second:
        assert [header.seq for header in drain(second)] == [1, 3]
        second.commit(change(event_draft()))
        [gap] = drain(second)[0].gaps
        assert (gap.first_seq, gap.last_seq, gap.reason) == (2, 2, pb.GAP_REASON_CORRUPT_ROW)


@pytest.mark.parametrize("damage", ["garbage", "cut", "meta", "head", "page"])
def test_corrupt_file_is_set_aside_and_the_gateway_goes_on(tmp_path, damage):
    path = tmp_path / "outbox.db"
    with contextlib.closing(open_outbox(tmp_path)) as first:
        first.commit(change(event_draft(), minutes_draft(), notes={"rules": b"armed"}))
        old_epoch = first.epoch
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(os.urandom(20_000))
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "page":
        path.write_bytes(content[:4096] + os.urandom(4096) + content[8192:])
    elif damage == "meta":
        poke(path, "UPDATE meta SET value = x'ff' WHERE key = 'epoch'")
    else:  # restored from a copy that is older than its rows
        poke(path, "UPDATE meta SET value = ?, crc = ? WHERE key = 'head'", b"1", meta_crc("head", b"1"))
    with contextlib.closing(open_outbox(tmp_path)) as second:
        assert second.set_aside is not None
        assert second.set_aside.exists()
        assert second.epoch != old_epoch
        second.commit(change(event_draft()))
        headers = drain(second)
        new = next(header for header in headers if header.epoch == second.epoch)
        assert new.seq == 1
        assert new.epoch_start.reason == pb.EPOCH_REASON_CORRUPT_OUTBOX
        if damage == "head":
            assert new.epoch_start.previous_epoch == old_epoch
            assert second.note("rules") == b"armed"
        if damage in ("meta", "head"):
            assert [h.seq for h in headers if h.epoch == old_epoch] == [1, 2], "whole rows are saved"


def test_file_that_turns_corrupt_while_running_is_replaced(tmp_path, outbox):
    outbox.commit(change(*[minutes_draft(50_000) for _ in range(10)]))
    old_epoch = outbox.epoch
    outbox._journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "outbox.db"
    size = path.stat().st_size
    with path.open("r+b") as file:  # everything but the first page
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    outbox._journal._db.execute("PRAGMA shrink_memory")
    outbox.commit(change(event_draft()))
    assert outbox.set_aside is not None
    assert outbox.epoch != old_epoch
    assert outbox.take(URGENT).epoch == outbox.epoch


def test_full_disk_commits_nothing_and_skips_no_seq(outbox):
    outbox.commit(change(event_draft()))
    pages = outbox._journal._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._journal._db.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(OutboxUnavailable, match="full"):
        outbox.commit(change(event_draft(), minutes_draft(200_000)))
    assert (outbox.head_seq, outbox.pending(URGENT)) == (1, 1)
    outbox._journal._db.execute("PRAGMA max_page_count=1000000")
    assert outbox.commit(change(event_draft())) == [2]
