"""A core and an outbox for each test that asks for one."""

import contextlib

import pytest

from tests.edge_client.bench import Bench
from tests.edge_client.outboxes import change, drain, event_draft, minutes_draft, open_outbox


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: bench.outbox.close())
        yield bench


@pytest.fixture
def outbox(tmp_path):
    with contextlib.closing(open_outbox(tmp_path)) as outbox:
        yield outbox


@pytest.fixture
def used(tmp_path):
    """An outbox that gave out 1 to 3, of which 3 waits; → its epoch."""
    with contextlib.closing(open_outbox(tmp_path)) as outbox:
        outbox.commit(change(event_draft(), event_draft()))
        drain(outbox)
        outbox.commit(change(minutes_draft()))
        return outbox.epoch
