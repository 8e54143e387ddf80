"""The outbox: sequence numbers, lanes, notes and bounded space."""

import contextlib

import pytest

from edge_client.minute import SealedSensor
from edge_client.outbox import IntakeRow
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import parse_envelope, verify_signature
from schemas.errors import BadInput
from tests.edge_client.fakes import START_US, opened
from tests.edge_client.outboxes import (
    ARMING,
    IDENTITY,
    MINUTES,
    URGENT,
    change,
    drain,
    event_draft,
    minutes_draft,
    open_outbox,
)


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


def test_backlog_that_grows_makes_asking_for_a_live_minute_no_dearer(outbox):
    def steps():
        """Of SQLite's machine, in hundreds, until it has said that nothing is live."""
        counted = []
        database = outbox._journal.rows._db
        database.set_progress_handler(lambda: counted.append(1) and None, 100)
        assert outbox.take(MINUTES, newest_since_us=START_US + 1) is None
        database.set_progress_handler(None, 0)
        return len(counted)

    outbox.commit(change(*[minutes_draft() for _ in range(10)]))
    few = steps()
    outbox.commit(change(*[minutes_draft() for _ in range(500)]))
    assert steps() <= few + 1


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
