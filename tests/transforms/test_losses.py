"""What is lost is told once it has stood for a while, with home, time and reason."""

from __future__ import annotations

import json
from typing import Any

import apache_beam as beam
from hypothesis import given
from hypothesis import strategies as st

from schemas.incidents import HomeLosses
from tests.transforms.homes import EPOCH, publish_us, summary
from tests.transforms.runs import run_stream
from transforms.advance_home import HoleReport
from transforms.alarm_store import MemoryStore
from transforms.elements import BatchSummary, Score
from transforms.gateway_ledger import Hole
from transforms.losses import (
    WAIT_US,
    LossChange,
    Losses,
    decode,
    document,
    encode,
    evidence_of_loss,
    take,
    tell,
)
from transforms.report_losses import ReportLosses
from transforms.supervision_store import MemorySupervision
from transforms.track_homes import TrackHomes

_DOCUMENTS = MemorySupervision()
MINUTE_US = 60_000_000


def the_documents() -> MemorySupervision:
    return _DOCUMENTS


def report(at_us: int, *holes: Hole) -> HoleReport:
    columns = zip(*holes, strict=True) if holes else ((),) * 5
    return HoleReport("home-1", "gw-1", EPOCH, at_us, *map(list, columns))


def said(changes: list[LossChange]) -> list[tuple[int, int, str, str]]:
    return [(c.first_seq, c.last_seq, c.reason, c.state) for c in changes]


def test_a_hole_that_fills_while_lanes_race_is_never_told() -> None:
    state = Losses()
    take(state, report(0, Hole(2, 2, "", 1, 3)))
    assert tell(state, "home-1", WAIT_US - 1) == []
    take(state, report(WAIT_US - 1))
    assert tell(state, "home-1", 2 * WAIT_US) == []
    assert state == Losses()


def test_a_hole_that_stands_is_told_once_and_then_that_it_is_filled() -> None:
    state = Losses()
    take(state, report(0, Hole(2, 3, "", 1, 4)))
    assert said(tell(state, "home-1", WAIT_US)) == [(2, 3, "unexplained", "open")]
    assert tell(state, "home-1", WAIT_US + 1) == []
    take(state, report(2 * WAIT_US, Hole(2, 2, "", 1, 4)))
    partly = tell(state, "home-1", 2 * WAIT_US)
    assert said(partly) == [(2, 3, "unexplained", "filled"), (2, 2, "unexplained", "open")]
    take(state, report(3 * WAIT_US))
    assert said(tell(state, "home-1", 3 * WAIT_US)) == [(2, 2, "unexplained", "filled")]
    assert state == Losses()


def test_a_home_keeps_a_document_of_what_stands() -> None:
    state = Losses()
    take(state, report(0, Hole(2, 3, "", 10, 40), Hole(4, 9, "outbox full", 40, 90)))
    tell(state, "home-1", WAIT_US)
    told = document(state, "home-1", WAIT_US)
    assert (told.unexplained, told.batches) == (1, 8)
    assert [(loss.first_seq, loss.reason, loss.from_us) for loss in told.losses] == [
        (4, "outbox full", 40),
        (2, "unexplained", 10),
    ]


def test_only_what_is_unexplained_troubles_an_operator_and_each_ends_by_itself() -> None:
    state, store = Losses(), MemoryStore(lambda: 0)
    long, short, declared = (
        Hole(2, 3, "", 0, 1_080_000_000),
        Hole(5, 5, "", 0, 0),
        Hole(7, 7, "disk error", 1, 2),
    )
    take(state, report(0, long, short, declared))

    def attach(now_us: int) -> None:
        for change in tell(state, "home-1", now_us):
            found = evidence_of_loss(change, now_us)
            if found is not None:
                store.attach("home-1", "loss", [(found.parsed(), "")])

    attach(WAIT_US)
    [alarm] = store.alarms.values()
    assert (alarm.evidence_count, alarm.category) == (2, "trouble")
    assert "Readings missing without a reason: 2 batches, until 00:18 UTC" in alarm.avs_reasons[1]
    take(state, report(2 * WAIT_US, short, declared))
    attach(2 * WAIT_US)
    assert next(iter(store.alarms.values())).restored_us is None
    take(state, report(3 * WAIT_US, declared))
    attach(3 * WAIT_US)
    assert next(iter(store.alarms.values())).restored_us == 3 * WAIT_US


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3)), max_size=4)),
        max_size=12,
    )
)
def test_every_loss_that_is_told_is_ended_when_all_has_come(reports: list[Any]) -> None:
    state, open_losses = Losses(), set()
    now_us = 0
    for minutes, spans in [*reports, (3, [])]:
        now_us += minutes * MINUTE_US
        holes = {Hole(4 * first, 4 * first + length, "", 0, 0) for first, length in spans}
        apart = [h for h in sorted(holes) if not any(o != h and o.first == h.first and o > h for o in holes)]
        take(state, report(now_us, *apart))
        for change in tell(state, "home-1", now_us):
            key = change[2:5]
            assert (key in open_losses) == (change.state == "filled")
            open_losses ^= {key}
        assert decode(encode(state)) == state
    assert open_losses == set()


def build(arrivals: Any) -> dict[str, Any]:

    nothing = arrivals | "NoScores" >> beam.Filter(isinstance, Score).with_output_types(Score)
    summaries = arrivals | "Summaries" >> beam.Filter(isinstance, BatchSummary).with_output_types(
        BatchSummary
    )
    tracked = (nothing, summaries) | "TrackHomes" >> TrackHomes()
    reported = tracked.holes | "ReportLosses" >> ReportLosses(the_documents, lambda: 0)
    return reported._asdict()


def test_a_stream_with_a_lost_batch_a_declared_gap_and_a_late_one_tells_what_is_true() -> None:
    """Number 3 is lost, 5 and 6 are declared, 8 is overtaken by three minutes and told, then filled."""
    gaps = json.dumps([[EPOCH, 5, 6, "outbox full", publish_us(4), publish_us(6)]])
    batches = {n: summary(n, n, oldest_unsent_seq=n, gaps=gaps if n > 6 else "") for n in range(1, 16)}
    late = batches[8]._replace(publish_us=publish_us(13, 5))
    here = [b for n, b in batches.items() if n not in (3, 5, 6, 8)] + [late]
    steps: list[Any] = []
    for one in sorted(here, key=lambda b: b.publish_us):
        steps += [[one], one.publish_us]
    out = run_stream([*steps, publish_us(30)], build)
    assert said(out["changes"]) == [
        (3, 3, "unexplained", "open"),
        (5, 6, "outbox full", "open"),
        (8, 8, "unexplained", "open"),
        (8, 8, "unexplained", "filled"),
    ]
    assert [raised.parsed().qualifier for raised in out["troubles"]] == [1, 1, 3]
    told: HomeLosses = _DOCUMENTS.losses["home-1"]
    assert (told.unexplained, told.batches) == (1, 3)
    assert told.losses[-1].from_us == batches[2].created_us
    assert told.losses[-1].to_us == batches[4].created_us
