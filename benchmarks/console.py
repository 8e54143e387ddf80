"""How late a dispatcher sees a change of the queue, and whether anything is lost or doubled on the way.

`python -m benchmarks.console --json PATH`: 200 open alarms, 20 dispatchers (2 at real browsers, 18 at
bare streams), a quiet phase; then for a minute the rate of writes that the Firestore emulator takes with
one listener; then the console, the listener's connection and the emulator fail in the middle of work.
All clocks are this machine's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.alarm_load import AlarmLoad, Write
from benchmarks.console_parts import running
from benchmarks.desk import Desk, browser_desks, session_cookie
from benchmarks.dispatchers import Dispatchers, Heard, missed_of
from benchmarks.processes import unwind_on_sigterm
from benchmarks.report import Target, percentiles
from local.config import HOST, Settings, isolated
from webapp.app import firestore_client
from webapp.repository import AlarmRepository

SEED: Final = 20_266
ALARMS_OPEN: Final = 200
DISPATCHERS: Final = 20
BROWSERS: Final = 2
QUIET_RATE, QUIET_S = 4.0, 30.0
ALONE_S, BURST_S = 15.0, 60.0
FAULT_RATE, FAULT_S = 10.0, 25.0
VISIBLE_P95_S: Final = 0.5
_SETTLE_LIMIT_S: Final = 120.0
_DRAW_LIMIT_S: Final = 30.0


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the report, say what was found. Exit code 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.console", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--alarms", type=int, default=ALARMS_OPEN, help="open alarms (default %(default)s)")
    parser.add_argument(
        "--burst-s", type=float, default=BURST_S, help="length of the burst (default %(default)s)"
    )
    parser.add_argument("--no-faults", action="store_true", help="leave the failures out")
    flags = parser.parse_args(arguments)
    unwind_on_sigterm()
    load_before = report.load_1min()
    with tempfile.TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        figures = measure(isolated(Path(folder)), flags.alarms, flags.burst_s, not flags.no_faults)
    targets = targets_of(figures)
    report.write(flags.json, report.document("console", figures, targets, load_before))
    for line in (*lines_of(figures), *(target.line() for target in targets)):
        print(line)
    return 1 if any(phase["lost"] or phase["doubled"] for phase in figures["phases"].values()) else 0


def measure(settings: Settings, alarms: int, burst_s: float, faults: bool) -> dict[str, Any]:
    """Start everything, load it, break it, stop it → figures."""
    with ExitStack() as stack:
        parts = stack.enter_context(running(settings))
        load = AlarmLoad(firestore_client(settings.project), alarms, SEED)
        load.fill()
        _progress("the emulator alone")
        alone = load.run(0, ALONE_S)
        _progress("the emulator with one listener")
        watch = AlarmRepository(firestore_client(settings.project)).watch(lambda _: None)
        listened = load.run(0, ALONE_S)
        watch.close()
        parts.start_console()
        stack.callback(parts.stop_console)
        cookies = [session_cookie(settings, number) for number in range(DISPATCHERS - BROWSERS)]
        dispatchers = Dispatchers(HOST, settings.web_port, cookies)
        stack.callback(dispatchers.close)
        desks = stack.enter_context(browser_desks(settings, BROWSERS))
        bench = _Bench(load, dispatchers, desks)
        bench.settle()
        phases = {"quiet": bench.phase(QUIET_RATE, QUIET_S), "burst": bench.phase(listened, burst_s)}
        if faults:
            for name, fault in parts.faults(load).items():
                _progress(name)
                phases[name] = bench.phase(FAULT_RATE, FAULT_S, fault)
    return {
        "alarms_open": alarms,
        "dispatchers": {"streams": DISPATCHERS - BROWSERS, "browsers": BROWSERS},
        "emulator_writes_per_s": {"nobody_listens": round(alone, 1), "one_listens": round(listened, 1)},
        "phases": phases,
        "clocks": "one machine; from the database's commit time",
    }


class _Bench:
    """Phases of load, each judged when the lists have come to rest."""

    def __init__(self, load: AlarmLoad, dispatchers: Dispatchers, desks: Sequence[Desk]) -> None:
        self._load, self._dispatchers, self._desks = load, dispatchers, desks

    def settle(self) -> float | None:
        """Seconds until every list is what the database says; None if that did not come. Then the pages have
        time to draw it."""
        truth = self._load.truth()
        settled_s = self._dispatchers.wait_until(
            lambda heard: all(one.live and one.shown == truth for one in heard), _SETTLE_LIMIT_S
        )
        deadline = time.monotonic() + _DRAW_LIMIT_S
        while time.monotonic() < deadline and any(set(desk.rows()) != truth.keys() for desk in self._desks):
            time.sleep(0.25)
        return settled_s

    def phase(self, rate: float, seconds: float, fault: Callable[[], None] | None = None) -> dict[str, Any]:
        """Write at this rate; `fault` strikes after a third of the time."""
        first, began_us = len(self._load.writes), time.time_ns() // 1000
        before = self._dispatchers.heard()
        striking = threading.Timer(seconds / 3, fault) if fault else None
        if striking:
            striking.start()
        reached = self._load.run(rate, seconds)
        if striking:
            striking.join()
        settled_s = self.settle()
        heard, writes = self._dispatchers.heard(), self._load.writes[first:]
        painted = [desk.seen_us() for desk in self._desks]
        truth = self._load.truth()
        opened = [write for write in writes if write.what == "opened"]
        shown = [desk.rows() for desk in self._desks]
        missed = missed_of(writes, truth, heard, painted, shown)
        return {
            "writes_per_s": {"wanted": round(rate, 1), "reached": round(reached, 1)},
            "writes": len(writes),
            "opened": len(opened),
            "settled_s": settled_s and round(settled_s, 2),
            "lost": missed.lost,
            "over_before_told": missed.over,
            "doubled": sum(now.doubled - then.doubled for now, then in zip(heard, before, strict=True))
            + sum(len(rows) - len(set(rows)) for rows in shown),
            "commit_to_stream_s": percentiles(list(_stream_lags(writes, heard))),
            "commit_to_painted_s": percentiles(
                [
                    (seen[write.alarm_id] - write.committed_us) / 1e6
                    for seen in painted
                    for write in opened
                    if write.alarm_id in seen
                ]
            ),
            "not_live_s": round(max(_dark_s(one, began_us) for one in heard), 2),
            "snapshots": sum(now.snapshots - then.snapshots for now, then in zip(heard, before, strict=True)),
        }


def _stream_lags(writes: Sequence[Write], heard: Sequence[Heard]) -> Iterator[float]:
    """Of each write and dispatcher: until it, or what overtook it, arrived. Endings leave no row behind."""
    for one in heard:
        for write in writes:
            arrivals = one.arrivals.get(write.alarm_id, []) if write.what != "closed" else []
            found = next((at_us for updated_us, at_us in arrivals if updated_us >= write.updated_us), None)
            if found is not None:
                yield (found - write.committed_us) / 1e6


def _dark_s(one: Heard, since_us: int) -> float:
    return sum(max(0, to_us - max(from_us, since_us)) for from_us, to_us in one.dark_us) / 1e6


def targets_of(figures: dict[str, Any]) -> list[Target]:
    """What the issue asks for. A phase that lost or doubled something meets nothing."""

    def p95(phase: str, way: str) -> float | None:
        one = figures["phases"][phase]
        return None if one["lost"] or one["doubled"] else one[way]["p95"]

    return [
        Target(
            f"{phase}, commit to {way}, p95", p95(phase, f"commit_to_{way}_s"), "at most", VISIBLE_P95_S, "s"
        )
        for phase, way in (("quiet", "stream"), ("quiet", "painted"))
    ]


def lines_of(figures: dict[str, Any]) -> list[str]:
    """The report for a person."""
    lines = [f"emulator alone, writes/s: {figures['emulator_writes_per_s']}"]
    for name, one in figures["phases"].items():
        rates = one["writes_per_s"]
        lines.append(
            f"{name}: {one['writes']} writes ({rates['reached']}/s of {rates['wanted']}), "
            f"{one['opened']} opened, lost {one['lost']}, over before told {one['over_before_told']}, "
            f"doubled {one['doubled']}, right {one['settled_s']} s after, not live {one['not_live_s']} s"
        )
        for way in ("commit_to_stream_s", "commit_to_painted_s"):
            p50, p95, p99 = (one[way][p] for p in ("p50", "p95", "p99"))
            lines.append(f"  {way:22} n {one[way]['n']:7}  p50 {p50}  p95 {p95}  p99 {p99} s")
    return lines


def _progress(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
