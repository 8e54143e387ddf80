"""Outboxes in folders of tests: what is put in, what comes out, and files changed behind their back."""

import contextlib
import os
import sqlite3

from edge_client.outbox import Change, Draft, Outbox
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from tests.edge_client.fakes import START_US, make_identity, opened

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


def reopened(folder, boot=BOOT):
    """Open, send one event → its header."""
    with contextlib.closing(open_outbox(folder, boot=boot)) as outbox:
        outbox.commit(change(event_draft()))
        return drain(outbox, URGENT)[-1]


def poke(path, query, *parameters):
    """Change the file behind the outbox's back."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(query, parameters)
        connection.commit()
