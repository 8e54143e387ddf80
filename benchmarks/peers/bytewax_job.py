"""The bare loop's functions as a Bytewax dataflow: state per home, a snapshot of it every ten seconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, run_main

from benchmarks.bare_loop import BUNDLE, Arrivals, BareLoop
from transforms.elements import RawMessage, WindowScore
from transforms.home_state import Home

_SNAPSHOT_EVERY: Final = dt.timedelta(seconds=10)


def run(loop: BareLoop, messages: Sequence[RawMessage], folder: Path) -> None:
    """All messages, a bundle at a time."""
    bundles = [messages[first : first + BUNDLE] for first in range(0, len(messages), BUNDLE)]

    def read(bundle: Sequence[RawMessage]) -> Iterable[tuple[str, Arrivals]]:
        return list(loop.read(bundle).items())

    def judge(home: Home | None, arrivals: tuple[str, Arrivals]) -> tuple[Home, list[WindowScore]]:
        home = home or Home()
        home_id, (placed, summaries) = arrivals
        return home, loop.judge(home_id, home, placed, summaries)

    flow = Dataflow("monitor")
    source = op.input("read", flow, TestingSource(bundles, batch_size=1))
    arrivals = op.flat_map("score", source, read)
    named = op.map("name", arrivals, lambda pair: (pair[0], pair))
    windows = op.stateful_flat_map("track", named, judge)
    op.output("write", windows, _Windows(loop))
    snapshots = folder / "snapshots"
    snapshots.mkdir(parents=True)
    init_db_dir(snapshots, 1)
    run_main(flow, epoch_interval=_SNAPSHOT_EVERY, recovery_config=RecoveryConfig(snapshots))


class _Windows(DynamicSink[Any]):
    def __init__(self, loop: BareLoop) -> None:
        self._loop = loop

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Part:  # noqa: ARG002
        return _Part(self._loop)


class _Part(StatelessSinkPartition[Any]):
    def __init__(self, loop: BareLoop) -> None:
        self._loop = loop

    def write_batch(self, items: list[tuple[str, WindowScore]]) -> None:
        self._loop.write_windows([window for _, window in items])
