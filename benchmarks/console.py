"""How late a dispatcher sees a change of the queue, and whether anything is lost or doubled on the way.

`python -m benchmarks.console --json PATH`: 200 open alarms, 20 dispatchers (2 at real browsers, 18 at
bare streams), a quiet phase; then for a minute the rate of writes that the Firestore emulator takes with
one listener; then the console, the listener's connection and the emulator fail in the middle of work.
All clocks are this machine's.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.alarm_load import AlarmLoad, Write
from benchmarks.desk import Desk, browser_desks, session_cookie
from benchmarks.dispatchers import Dispatchers, Heard
from benchmarks.processes import unwind_on_sigterm
from benchmarks.report import Target, percentiles
from local import credentials, emulators
from local.config import HOST, ROOT, Settings, isolated
from tests.faults.proxy import FaultProxy
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
_START_LIMIT_S: Final = 90.0
_SETTLE_LIMIT_S: Final = 120.0


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
        """Seconds until every list is what the database says; None if that did not come."""
        truth = self._load.truth()
        return self._dispatchers.wait_until(
            lambda heard: all(one.live and one.shown == truth for one in heard), _SETTLE_LIMIT_S
        )

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
        wrong = [one for one in heard if one.shown != truth]
        shown = [desk.rows() for desk in self._desks]
        return {
            "writes_per_s": {"wanted": round(rate, 1), "reached": round(reached, 1)},
            "writes": len(writes),
            "opened": len(opened),
            "settled_s": settled_s and round(settled_s, 2),
            "lost": len(wrong)
            + sum(write.alarm_id not in one.arrivals for one in heard for write in opened)
            + sum(write.alarm_id not in seen for seen in painted for write in opened)
            + sum(set(rows) != set(truth) for rows in shown),
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


class _Parts:
    """The emulator, the proxy in front of it, and the console behind that."""

    def __init__(self, settings: Settings, proxy: FaultProxy) -> None:
        self._settings, self._proxy = settings, proxy
        self._firestore = self._console = None  # type: subprocess.Popen[bytes] | None

    def start_firestore(self, *more: str) -> None:
        address = self._settings.address(self._settings.firestore_port)
        self._firestore = self._start(
            "firestore", [*emulators.firestore_command(self._settings), *more], f"http://{address}/"
        )

    def start_console(self) -> None:
        port = self._settings.web_port
        command = [
            *(sys.executable, "-m", "webapp.serve"),
            *(f"--port={port}", f"--project-id={self._settings.project}"),
        ]
        behind_proxy = {"FIRESTORE_EMULATOR_HOST": self._settings.address(self._proxy.port)}
        self._console = self._start("console", command, f"http://{HOST}:{port}/health", behind_proxy)

    def start_auth(self) -> subprocess.Popen[bytes]:
        emulators.write_auth_config(self._settings)
        address = self._settings.address(self._settings.auth_port)
        return self._start("auth", emulators.auth_command(self._settings), f"http://{address}/", {"CI": "1"})

    def stop_console(self) -> None:
        _stop(self._console)

    def stop_firestore(self) -> None:
        _stop(self._firestore)

    def faults(self, load: AlarmLoad) -> dict[str, Callable[[], None]]:
        """By name; each returns when the part is up again."""
        return {
            "console restarts": self._restart_console,
            "listener dropped": self._drop_listener,
            "emulator restarts": functools.partial(self._restart_firestore, load),
        }

    def _restart_console(self) -> None:
        self.stop_console()
        self.start_console()

    def _drop_listener(self) -> None:
        """The way from console to database takes everything and answers nothing, as a peer that vanished."""
        self._proxy.half_open()
        time.sleep(8)
        self._proxy.heal()

    def _restart_firestore(self, load: AlarmLoad) -> None:
        """The emulator keeps nothing: it is brought back with what it had when it was stopped."""
        kept = self._settings.run / "export"
        address = self._settings.address(self._settings.firestore_port)
        body = f'{{"database": "projects/{self._settings.project}/databases/(default)", '
        body += f'"export_directory": "{kept.parent}", "export_name": "{kept.name}"}}'
        url = f"http://{address}/emulator/v1/projects/{self._settings.project}:export"
        asked = urllib.request.Request(
            url, body.encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with load.held():  # what is written between the two would be lost by the emulator itself
            urllib.request.urlopen(asked, timeout=60).close()
            self.stop_firestore()
            [metadata] = kept.rglob("*.overall_export_metadata")
            self.start_firestore(f"--import-data={metadata}")

    def _start(
        self, name: str, command: list[str], url: str, more: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self._settings.run / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **(more or {})}
            )
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=2).close()
                return process
            except urllib.error.HTTPError:
                return process  # it answers
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(f"{name} was not up after {_START_LIMIT_S:.0f} s")


@contextmanager
def running(settings: Settings) -> Iterator[_Parts]:
    """Both emulators and the proxy; this process's environment names them."""
    settings.run.mkdir(parents=True, exist_ok=True)
    credentials.write(settings)
    emulators.use_stand_ins(settings)
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(settings.firestore_port))
        parts = _Parts(settings, proxy)
        parts.start_firestore()
        stack.callback(parts.stop_firestore)
        stack.callback(_stop, parts.start_auth())
        yield parts


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
            f"{one['opened']} opened, lost {one['lost']}, doubled {one['doubled']}, "
            f"right {one['settled_s']} s after, not live {one['not_live_s']} s"
        )
        for way in ("commit_to_stream_s", "commit_to_painted_s"):
            p50, p95, p99 = (one[way][p] for p in ("p50", "p95", "p99"))
            lines.append(f"  {way:22} n {one[way]['n']:7}  p50 {p50}  p95 {p95}  p99 {p99} s")
    return lines


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _progress(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
