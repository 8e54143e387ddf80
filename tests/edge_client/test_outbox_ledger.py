"""Any course of events, and sudden death: no seq twice, no hole without a word."""

import contextlib
import signal
import subprocess
import sys
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge_client.fakes import Ids, opened
from tests.edge_client.outboxes import MINUTES, URGENT, change, drain, event_draft, minutes_draft, open_outbox

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
from tests.edge_client.outboxes import change, event_draft, minutes_draft, open_outbox
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
