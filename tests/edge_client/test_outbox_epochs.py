"""Continuity: when an epoch goes on, when a new one begins, and what that says."""

import contextlib

import pytest

from schemas import hearthwatch_v1_pb2 as pb
from tests.edge_client.outboxes import change, drain, event_draft, open_outbox, reopened


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


def test_new_outbox_begins_a_new_epoch(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        contextlib.closing(open_outbox(tmp_path / "a")) as a,
        contextlib.closing(open_outbox(tmp_path / "b")) as b,
    ):
        assert len(a.epoch) == len(b.epoch) == 16
        assert a.epoch != b.epoch
