"""The bare loop's functions as a Pathway graph: state per home in a stateful reducer, not persisted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pathway as pw

from benchmarks.bare_loop import BUNDLE, BareLoop
from transforms.elements import RawMessage
from transforms.home_state import Home


class _Bundle(pw.Schema):
    number: int


def run(loop: BareLoop, messages: Sequence[RawMessage], folder: Path) -> None:  # noqa: ARG001
    """All messages, a bundle at a time."""
    pw.internals.parse_graph.G.clear()  # else this pass runs the graphs of the earlier ones as well
    bundles = [messages[first : first + BUNDLE] for first in range(0, len(messages), BUNDLE)]

    class Source(pw.io.python.ConnectorSubject):
        def run(self) -> None:
            for number in range(len(bundles)):
                self.next(number=number)
                self.commit()

    def read(number: int) -> tuple[tuple[str, pw.PyObjectWrapper], ...]:
        return tuple((home, pw.PyObjectWrapper(new)) for home, new in loop.read(bundles[number]).items())

    @pw.reducers.stateful_many
    def track(state: Any, rows: list[tuple[list[Any], int]]) -> Any:
        home, _ = state.value if state is not None else (Home(), [])
        windows = []
        for (home_id, new), count in rows:
            placed, summaries = new.value
            if count > 0:
                windows += loop.judge(home_id, home, placed, summaries)
        return pw.PyObjectWrapper((home, windows))

    numbers = pw.io.python.read(Source(), schema=_Bundle, autocommit_duration_ms=50)
    scored = numbers.select(
        new=pw.apply_with_type(read, tuple[tuple[str, pw.PyObjectWrapper], ...], numbers.number)
    )
    flat = scored.flatten(scored.new)
    named = flat.select(home=flat.new[0], arrivals=flat.new[1])
    homes = named.groupby(named.home).reduce(named.home, told=track(named.home, named.arrivals))

    waiting: list[Any] = []

    def changed(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001
        if is_addition:
            waiting.extend(row["told"].value[1])

    def moment_over(time: int) -> None:  # noqa: ARG001
        loop.write_windows(waiting)
        waiting.clear()

    pw.io.subscribe(homes, on_change=changed, on_time_end=moment_over)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
