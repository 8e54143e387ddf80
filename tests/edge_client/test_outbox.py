"""The outbox: the ledger of sequence numbers, bounded space, corruption, and sudden death."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_client import store
from edge_client.minute import SealedSensor
from edge_client.outbox import Change, Draft, IntakeRow, Outbox, OutboxUnavailable
from edge_client.store import meta_crc
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import parse_envelope, verify_signature
from schemas.errors import BadInput
from tests.edge_client.fakes import START_US, Ids, make_identity, opened

IDENTITY = make_identity()
ARMING = pb.Arming(mode=pb.ARMING_MODE_AWAY, phase=pb.ARMING_PHASE_SET, since_us=5)
URGENT, MINUTES = pb.LANE_URGENT, pb.LANE_MINUTES


BOOT = b"b" * 36


def open_outbox(folder, *, max_bytes=1 << 20, random_bytes=os.urandom, boot=BOOT):
    witness = Witness(folder / "outbox.witness", boot)
    return Outbox(
        folder / "outbox.db", IDENTITY, witness, max_bytes=max_bytes, random_bytes=random_bytes, patience_s=60
    )


def minutes_draft(size=10):
    """A minutes body of about `size` incompressible bytes."""
    return Draft(MINUTES, pb.Body(readings=[pb.Reading(reading_id=os.urandom(size))]))


def event_draft(code=120, size=0):
    return Draft(URGENT, pb.Body(events=[pb.Event(code=code, event_id=os.urandom(size))]))


def change(*drafts, now_us=START_US, **more):
    return Change(now_us, ARMING, drafts=list(drafts), **more)


def drain(outbox, *lanes):
    """Publish everything: → headers in the order in which they went."""
    headers = []
    for lane in lanes or (URGENT, MINUTES):
        while batch := outbox.take(lane):
            headers.append(opened(batch.envelope)[0])
            outbox.confirm(batch)
    return headers


@pytest.fixture
def outbox(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as outbox:
        yield outbox


def test_seq_rises_by_one_over_all_lanes(outbox):
    assert outbox.commit(change(minutes_draft(), event_draft(), minutes_draft())) == [1, 2, 3]
    assert outbox.commit(change(event_draft())) == [4]


def test_header_says_what_the_outbox_knows(outbox):
    outbox.commit(change(minutes_draft()))
    outbox.commit(change(event_draft()))
    batch = outbox.take(URGENT)
    header, body = opened(batch.envelope)
    assert (header.home_id, header.gateway_id) == (IDENTITY.home_id, IDENTITY.gateway_id)
    assert (header.epoch, header.seq, header.head_seq, header.oldest_unsent_seq) == (outbox.epoch, 2, 2, 1)
    assert header.arming == ARMING
    assert header.created_us == START_US
    assert header.epoch_start.reason == pb.EPOCH_REASON_NEW_OUTBOX
    assert [event.code for event in body.events] == [120]


def test_stored_bytes_are_signed_and_published_unchanged(outbox):
    outbox.commit(change(event_draft()))
    batch = outbox.take(URGENT)
    verify_signature(parse_envelope(batch.envelope)[0], IDENTITY.key.public_key())
    outbox.release(batch)
    assert outbox.take(URGENT).envelope == batch.envelope


def test_header_says_when_the_clock_was_never_set(outbox):
    outbox.commit(change(event_draft(), now_us=1_000_000))
    assert opened(outbox.take(URGENT).envelope)[0].clock_unset
    outbox.commit(change(event_draft()))
    assert not opened(outbox.take(URGENT).envelope)[0].clock_unset


def test_batch_in_flight_is_not_taken_twice(outbox):
    outbox.commit(change(event_draft()))
    assert outbox.take(URGENT) is not None
    assert outbox.take(URGENT) is None


def test_only_confirmation_deletes(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as first:
        first.commit(change(event_draft(), event_draft()))
        first.confirm(first.take(URGENT))
        first.take(URGENT)
    with contextlib.closing(open_outbox(tmp_path)) as second:
        assert [header.seq for header in drain(second)] == [2]


def test_newest_is_taken_only_if_it_is_fresh(outbox):
    outbox.commit(change(minutes_draft(), now_us=START_US))
    outbox.commit(change(minutes_draft(), now_us=START_US + 60))
    assert outbox.take(MINUTES, newest_since_us=START_US + 61) is None
    assert outbox.take(MINUTES, newest_since_us=START_US).seq == 2
    assert outbox.take(MINUTES).seq == 1


def test_epoch_and_seq_go_on_after_a_restart_even_when_everything_was_sent(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as first:
        first.commit(change(event_draft()))
        drain(first)
        epoch = first.epoch
    with contextlib.closing(open_outbox(tmp_path)) as second:
        assert second.epoch == epoch
        assert second.commit(change(event_draft())) == [2]
        [header] = drain(second)
        assert not header.HasField("epoch_start"), "the cloud has seen it"


def reopened(folder, boot=BOOT):
    """Open, send one event → its header."""
    with contextlib.closing(open_outbox(folder, boot=boot)) as outbox:
        outbox.commit(change(event_draft()))
        return drain(outbox, URGENT)[-1]


@pytest.fixture
def used(tmp_path):
    """An outbox that gave out 1 to 3, of which 3 waits; → its epoch."""
    with contextlib.closing(open_outbox(tmp_path)) as outbox:
        outbox.commit(change(event_draft(), event_draft()))
        drain(outbox)
        outbox.commit(change(minutes_draft()))
        return outbox.epoch


def test_other_boot_begins_a_new_epoch_and_still_sends_the_old_rows(tmp_path, used):
    header = reopened(tmp_path, boot=b"c" * 36)
    assert (header.epoch != used, header.seq) == (True, 1)
    start = header.epoch_start
    assert (start.previous_epoch, start.previous_head_seq) == (used, 3)
    assert start.reason == pb.EPOCH_REASON_UNWITNESSED
    with contextlib.closing(open_outbox(tmp_path, boot=b"c" * 36)) as outbox:
        assert outbox.epoch == header.epoch, "the same boot goes on"
        assert [(h.epoch, h.seq) for h in drain(outbox)] == [(used, 3)]


@pytest.mark.parametrize("boot", [b"", b"c" * 36], ids=["no boot id", "other boots"])
def test_start_of_which_nothing_was_sent_keeps_the_chain_of_epochs(tmp_path, used, boot):
    for number in range(3):
        open_outbox(tmp_path, boot=boot and bytes([number]) * 36).close()
    start = reopened(tmp_path, boot=boot).epoch_start
    assert (start.previous_epoch, start.previous_head_seq) == (used, 3)


def test_restored_copy_never_gives_out_a_number_again(tmp_path):
    sent = set()
    with contextlib.closing(open_outbox(tmp_path)) as outbox:
        outbox.commit(change(event_draft()))
        sent |= {(h.epoch, h.seq) for h in drain(outbox)}
    copy = (tmp_path / "outbox.db").read_bytes()
    for _ in range(3):
        header = reopened(tmp_path)
        assert (header.epoch, header.seq) not in sent
        sent.add((header.epoch, header.seq))
        (tmp_path / "outbox.db").write_bytes(copy)
    assert header.epoch_start.reason == pb.EPOCH_REASON_RESTORED_DISK


def test_copy_of_an_older_epoch_names_the_newer_one_and_that_all_of_it_may_be_lost(tmp_path, used):
    copy = (tmp_path / "outbox.db").read_bytes()
    newer = reopened(tmp_path, boot=b"c" * 36).epoch
    (tmp_path / "outbox.db").write_bytes(copy)
    start = reopened(tmp_path, boot=b"c" * 36).epoch_start
    assert (start.previous_epoch, start.previous_head_seq) == (newer, 0)
    assert start.reason == pb.EPOCH_REASON_RESTORED_DISK
    assert newer != used


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


def test_new_outbox_begins_a_new_epoch(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        contextlib.closing(open_outbox(tmp_path / "a")) as a,
        contextlib.closing(open_outbox(tmp_path / "b")) as b,
    ):
        assert len(a.epoch) == len(b.epoch) == 16
        assert a.epoch != b.epoch


def test_second_process_on_the_same_file_is_refused(tmp_path, outbox):
    with pytest.raises(BadInput, match="in use"):
        open_outbox(tmp_path)
    assert outbox.commit(change(event_draft())) == [1]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        open_outbox(tmp_path / "nowhere")


def test_intake_is_removed_in_the_transaction_that_seals_it(outbox):
    rows = [IntakeRow(m, "rich", "s", START_US, b"x") for m in (0, 60, 0)]
    outbox.commit(change(frames=rows))
    assert outbox.kept_frames() == rows
    outbox.commit(change(minutes_draft(), sealed=[SealedSensor("s", 0, 3)], sealed_minutes=[0]))
    assert outbox.kept_frames() == [rows[1]]
    assert outbox.sealed_sensors() == [SealedSensor("s", 0, 3)]


def test_notes_survive(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as first:
        first.commit(change(notes={"rules": b"a"}))
        first.commit(change(notes={"rules": b"b"}))
    with contextlib.closing(open_outbox(tmp_path)) as second:
        assert second.note("rules") == b"b"
        assert second.note("other") is None


def test_full_outbox_drops_old_minutes_and_declares_them(outbox):
    outbox.commit(change(event_draft()))
    for minute in range(30):
        outbox.commit(change(minutes_draft(100_000), now_us=START_US + minute))
    headers = drain(outbox)
    assert headers[0].seq == 1, "events stay"
    assert headers[-1].seq == 31
    outbox.commit(change(event_draft()))
    [last] = drain(outbox)
    [gap] = last.gaps
    first_sent = headers[1].seq
    assert (gap.first_seq, gap.last_seq, gap.reason) == (2, first_sent - 1, pb.GAP_REASON_OUTBOX_FULL)
    assert (gap.first_us, gap.last_us) == (START_US, START_US + first_sent - 3)
    assert gap.epoch == outbox.epoch


def test_minute_gives_way_to_events_that_fill_the_outbox(outbox):
    for _ in range(9):
        outbox.commit(change(event_draft(size=110_000)))
    outbox.commit(change(minutes_draft(300_000)))
    assert outbox.pending(URGENT) == 9
    assert outbox.pending(MINUTES) == 0
    outbox.commit(change(event_draft(size=300_000)))
    outbox.commit(change(event_draft()))
    header = next(h for h in drain(outbox) if h.seq == 12)
    lost = [seq for gap in header.gaps for seq in range(gap.first_seq, gap.last_seq + 1)]
    assert 10 in lost, "the minute"
    assert 1 in lost, "the oldest event, for a newer one"


def test_batch_in_flight_is_not_evicted(outbox):
    outbox.commit(change(minutes_draft(300_000)))
    taken = outbox.take(MINUTES)
    for _ in range(10):
        outbox.commit(change(minutes_draft(300_000)))
    outbox.confirm(taken)
    drain(outbox)
    outbox.commit(change(event_draft()))
    [header] = drain(outbox)
    assert all(gap.first_seq > 1 for gap in header.gaps)


def test_gap_is_told_until_a_header_with_it_is_confirmed(outbox):
    for _ in range(12):
        outbox.commit(change(minutes_draft(100_000)))
    for _ in range(2):
        outbox.commit(change(event_draft()))
    first, second = outbox.take(URGENT), outbox.take(URGENT)
    assert opened(first.envelope)[0].gaps
    assert opened(second.envelope)[0].gaps
    outbox.release(first)
    outbox.confirm(second)
    outbox.commit(change(event_draft()))
    assert not opened(outbox.take(URGENT, newest_since_us=0).envelope)[0].gaps


def poke(path, query, *parameters):
    """Change the file behind the outbox's back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(query, parameters)
        connection.commit()


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
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "outbox.db"
    size = path.stat().st_size
    with path.open("r+b") as file:  # everything but the first page
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    outbox._db.execute("PRAGMA shrink_memory")
    outbox.commit(change(event_draft()))
    assert outbox.set_aside is not None
    assert outbox.epoch != old_epoch
    assert outbox.take(URGENT).epoch == outbox.epoch


def test_full_disk_commits_nothing_and_skips_no_seq(outbox):
    outbox.commit(change(event_draft()))
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(OutboxUnavailable, match="full"):
        outbox.commit(change(event_draft(), minutes_draft(200_000)))
    assert (outbox.head_seq, outbox.pending(URGENT)) == (1, 1)
    outbox._db.execute("PRAGMA max_page_count=1000000")
    assert outbox.commit(change(event_draft())) == [2]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(st.sampled_from([URGENT, MINUTES]), min_size=1, max_size=3)),
        st.tuples(st.just("big"), st.sampled_from([URGENT, MINUTES])),
        st.tuples(st.just("send"), st.sampled_from([URGENT, MINUTES])),
        st.tuples(st.just("fail"), st.sampled_from([URGENT, MINUTES])),
        st.tuples(st.just("reopen")),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_every_seq_is_sent_waiting_or_declared(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("ledger")
    outbox, sent, declared, given_out = open_outbox(folder), [], set(), 0

    def publish(lane, confirm):
        batch = outbox.take(lane)
        if batch is None:
            return
        header = opened(batch.envelope)[0]
        if not confirm:
            outbox.release(batch)
            return
        outbox.confirm(batch)
        sent.append(header)
        for gap in header.gaps:
            declared.update(range(gap.first_seq, gap.last_seq + 1))

    try:
        for name, *arguments in steps:
            if name == "commit":
                drafts = [event_draft() if lane == URGENT else minutes_draft() for lane in arguments[0]]
                seqs = outbox.commit(change(*drafts))
                assert seqs == list(range(given_out + 1, given_out + len(drafts) + 1))
                given_out += len(drafts)
            elif name == "big":
                make = event_draft if arguments[0] == URGENT else minutes_draft
                outbox.commit(change(make(size=400_000)))
                given_out += 1
            elif name in ("send", "fail"):
                publish(arguments[0], name == "send")
            else:
                outbox.close()
                outbox = open_outbox(folder)
        outbox.commit(change(event_draft()))  # one more header, to tell the last gaps
        while outbox.pending(URGENT) or outbox.pending(MINUTES):
            publish(URGENT, True)
            publish(MINUTES, True)
        assert outbox.set_aside is None
    finally:
        outbox.close()
    seqs = [header.seq for header in sent]
    assert len(seqs) == len(set(seqs)), "nothing is confirmed twice"
    assert set(seqs) | declared == set(range(1, given_out + 2)), "no hole without a word"
    assert not set(seqs) & declared, "nothing is declared lost and sent"
    assert len({header.epoch for header in sent}) == 1
    for header in sent:
        assert header.oldest_unsent_seq <= header.seq == header.head_seq


_VICTIM = """
import sys
from pathlib import Path
from tests.edge_client.test_outbox import change, event_draft, minutes_draft, open_outbox
outbox = open_outbox(Path(sys.argv[1]), max_bytes=64 << 20)
while True:
    for seq in outbox.commit(change(event_draft(), minutes_draft(5_000))):
        print(outbox.epoch.hex(), seq, flush=True)
    batch = outbox.take(1)
    print("confirming", batch.seq, flush=True)
    outbox.confirm(batch)
"""


def test_kill_nine_loses_nothing_that_was_committed_and_reuses_no_seq(tmp_path):
    committed, confirmed, epochs = [], set(), set()
    for pause_s in (0.15, 0.02, 0.08):
        child = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        text = child.stdout.readline()  # it runs
        time.sleep(pause_s)
        child.send_signal(signal.SIGKILL)
        text += child.stdout.read()
        child.wait()
        for line in text.rpartition("\n")[0].splitlines():  # the last one may be cut
            word, number = line.split()
            if word == "confirming":
                confirmed.add(int(number))
            else:
                epochs.add(word)
                committed.append(int(number))
    assert len(epochs) == 1
    assert len(committed) > 6
    assert committed == sorted(set(committed)), "no seq twice"
    with contextlib.closing(open_outbox(tmp_path, random_bytes=Ids())) as outbox:
        assert outbox.set_aside is None
        kept = {header.seq for header in drain(outbox)}
        assert set(committed) - kept <= confirmed
        assert kept | confirmed >= set(committed)
        assert outbox.head_seq >= committed[-1]
