"""What a gateway costs: bytes on its flash against the commit interval, memory, CPU, start.

`python -m benchmarks.outbox --json PATH`. Writes are counted by the kernel (`write_bytes` of
/proc/PID/io) in a process of their own on a real file system, for the real core and outbox and, in the
same run, for a bare SQLite table that takes the same messages at the same moments. The process figures
are of the real `hearthwatch-gateway` with ten sensors, a real broker and the Pub/Sub emulator, in the
environment that a gateway installs, under either uplink.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from benchmarks import gateway_environment, report
from benchmarks.processes import unwind_on_sigterm
from benchmarks.recorded import LOCAL_OFFSET_S
from benchmarks.report import Target
from edge_client.config import GatewayConfig
from edge_client.config_file import load_config
from edge_client.core import Core
from edge_client.gateway import open_outbox
from edge_client.intake import Arrival
from edge_client.policy import UplinkPolicy
from local import emulators, parts
from local.config import HOST, Settings, isolated
from local.simulator.enrol import enrol
from local.simulator.publisher import SensorPublisher
from local.simulator.scenarios import QUIET
from local.simulator.sensors import SECOND_US, Message, SimulatedHome
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US

SEED: Final = 20_264
INTERVALS_S: Final = (0.1, 0.25, 0.5, 1.0)
DEFAULT_MINUTES: Final = 5
DEFAULT_LIVE_S: Final = 180
MEMORY_MB: Final = 60.0
CPU_PERCENT: Final = 3.0
START_S: Final = 2.0
_READY: Final = "hears its sensors"
_READY_LIMIT_S: Final = 60.0
_SETTLE_S: Final = 20.0  # first minute sealed late, caches filled
_STARTS: Final = 5


class Written(NamedTuple):
    """Bytes that a process gave to its disk while it kept `payload` bytes of messages."""

    payload: int
    written: int
    commits: int

    def document(self) -> dict[str, Any]:
        """As the report has it."""
        return {**self._asdict(), "written_per_payload_byte": round(self.written / self.payload, 2)}


class SteppedClock:
    """A clock that is set."""

    speed = 1.0

    def __init__(self, start_us: int) -> None:
        self.at_us = start_us

    def now_us(self) -> int:
        """µs since 1970 UTC."""
        return self.at_us

    def elapsed_us(self) -> int:
        """The same clock."""
        return self.at_us


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the report, and say what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.outbox", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument(
        "--minutes",
        type=int,
        default=DEFAULT_MINUTES,
        help="of a home, for the writes (default %(default)s)",
    )
    parser.add_argument(
        "--live-s", type=int, default=DEFAULT_LIVE_S, help="seconds of the real process (default %(default)s)"
    )
    flags = parser.parse_args(arguments)
    if flags.minutes < 2 or flags.live_s < 60:
        parser.error(f"--minutes is {flags.minutes}, --live-s {flags.live_s}; limits: at least 2 and 60")
    unwind_on_sigterm()
    load_before = report.load_1min()
    with tempfile.TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        writes = measure_writes(Path(folder), flags.minutes)
        process, adaptive = (
            measure_process(Path(folder) / policy, flags.live_s, policy) for policy in UplinkPolicy
        )
    targets = [
        Target("resident memory, ten sensors", process["rss_mb"], "at most", MEMORY_MB, "MB"),
        Target("resident memory, ten sensors, adaptive", adaptive["rss_mb"], "at most", MEMORY_MB, "MB"),
        Target("CPU of one core, ten sensors", process["cpu_percent"], "at most", CPU_PERCENT, "%"),
        Target("start to ready, median", process["start_s"]["p50"], "at most", START_S, "s"),
    ]
    figures = {"seed": SEED, "writes": writes, "process": process, "process_adaptive": adaptive}
    report.write(flags.json, report.document("outbox", figures, targets, load_before))
    for interval, row in writes.items():
        outbox, floor = (row[name]["written_per_payload_byte"] for name in ("outbox", "bare_sqlite"))
        print(f"commit every {interval} s: {outbox} bytes written a payload byte, bare SQLite {floor}")
    for target in targets:
        print(target.line())
    return 0


def measure_writes(folder: Path, minutes: int) -> dict[str, Any]:
    """Bytes written by the outbox and by bare SQLite, at each commit interval, minutes sealed and sent."""
    found = {}
    for interval_s in INTERVALS_S:
        row = {}
        for name, keep in (("outbox", keep_in_outbox), ("bare_sqlite", keep_in_table)):
            place = folder / f"{name}-{interval_s}"
            place.mkdir()
            row[name] = _in_process(keep, place, interval_s, minutes).document()
        found[f"{interval_s:g}"] = row
    return found


def keep_in_outbox(folder: Path, interval_s: float, minutes: int) -> Written:
    """The real core and outbox; the cloud confirms every batch at once."""
    config = _config(folder, interval_s)
    start_us = _start_us()
    clock = SteppedClock(start_us)
    with closing(open_outbox(config, os.urandom)) as outbox:
        core = Core(
            config,
            outbox,
            clock=clock,
            new_id=lambda: os.urandom(16),
            acknowledge=lambda arrival: None,  # noqa: ARG005
            committed=lambda lane: None,  # noqa: ARG005
            redeliver=lambda: None,
        )
        commits = payload = 0
        before = _written()
        for moment_us, messages in _moments(start_us, minutes, interval_s):
            clock.at_us = moment_us
            for message in messages:
                payload += len(message.payload)
                core.arrived(Arrival(message.topic, message.payload))
            clock.at_us = moment_us + round(interval_s * SECOND_US)
            core.step()
            commits += 1
            for lane in (pb.LANE_URGENT, pb.LANE_MINUTES):
                while batch := outbox.take(lane):
                    outbox.confirm(batch)
    return Written(payload, _written() - before, commits)


def keep_in_table(folder: Path, interval_s: float, minutes: int) -> Written:
    """The floor: one table, WAL, synchronous=FULL; a minute's messages are deleted when it is over."""
    start_us = _start_us()
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE kept(id INTEGER PRIMARY KEY, minute INTEGER, payload BLOB)")
        commits = payload = 0
        minute = start_us // MINUTE_US
        before = _written()
        for moment_us, messages in _moments(start_us, minutes, interval_s):
            now = moment_us // MINUTE_US
            if not messages and now == minute:
                continue
            connection.execute("BEGIN IMMEDIATE")
            for message in messages:
                payload += len(message.payload)
                connection.execute("INSERT INTO kept(minute, payload) VALUES(?, ?)", (now, message.payload))
            if now != minute:
                connection.execute("DELETE FROM kept WHERE minute < ?", (minute,))
                minute = now
            connection.execute("COMMIT")
            commits += 1
    return Written(payload, _written() - before, commits)


def measure_process(folder: Path, live_s: int, policy: UplinkPolicy) -> dict[str, Any]:
    """The real process: start to ready, then memory and CPU while ten sensors speak."""
    folder.mkdir()
    python = gateway_environment.python()
    settings = isolated(folder / "run", warehouse="off")
    wanted = ("mqtt", "pubsub")
    with ExitStack() as stack:
        for part in parts.stand_ins(settings):
            if part.name in wanted:
                stack.enter_context(parts.running(part, settings))
        fleet = enrol(
            folder,
            1,
            SEED,
            project=settings.project,
            broker_host=HOST,
            broker_port=settings.mqtt_port,
            now=dt.datetime.now(dt.UTC),
            uplink=policy,
        )
        config, log = Path(fleet.members[0].config), folder / "gateway.log"
        starts = []
        for _ in range(_STARTS):
            process, took_s = _started(python, config, log, settings)
            starts.append(took_s)
            process.terminate()
            process.wait(timeout=20)
        process, _ = _started(python, config, log, settings)
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        sensors = SensorPublisher(HOST, settings.mqtt_port)
        sensors.start()
        stack.callback(sensors.stop)
        figures = _watched(psutil.Process(process.pid), sensors, live_s)
    return {"start_s": report.percentiles(starts), "live_s": live_s, "sensors": 10, **figures}


def _watched(process: psutil.Process, sensors: SensorPublisher, live_s: int) -> dict[str, Any]:
    """Speak for `live_s` seconds in real time → what the process used after it had settled."""
    start_us = time.time_ns() // 1000 // SECOND_US * SECOND_US
    home = SimulatedHome(SEED, 1, start_us, LOCAL_OFFSET_S, QUIET)
    peak = 0
    before: tuple[float, float, int] | None = None
    for second in range(live_s):
        for message in home.second(second):
            sensors.publish(message.topic, message.payload)
        time.sleep(max(0.0, (start_us / SECOND_US + second + 1) - time.time()))
        peak = max(peak, process.memory_info().rss)
        if second >= _SETTLE_S and before is None:
            before = time.monotonic(), _cpu_s(process), process.io_counters().write_bytes
    assert before is not None
    lasted_s = time.monotonic() - before[0]
    memory = process.memory_full_info()
    return {
        "rss_mb": round(memory.rss / 1e6, 1),
        "rss_peak_mb": round(peak / 1e6, 1),
        "private_mb": round(memory.uss / 1e6, 1),  # the rest are pages of libraries, shared and clean
        "cpu_percent": round(100 * (_cpu_s(process) - before[1]) / lasted_s, 2),
        "written_kb_per_minute": round(
            (process.io_counters().write_bytes - before[2]) / 1e3 / (lasted_s / 60), 1
        ),
        "threads": process.num_threads(),
    }


def _started(
    python: Path, config: Path, log: Path, settings: Settings
) -> tuple[subprocess.Popen[bytes], float]:
    """Start the gateway → its process, and seconds until it hears its sensors."""
    before = log.read_text().count(_READY) if log.exists() else 0
    began_s = time.monotonic()
    command = python.with_name("hearthwatch-gateway")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(command), "--config", str(config)],
            stdout=output,
            stderr=output,
            env={**os.environ, **emulators.client_environment(settings)},
        )
    while log.read_text().count(_READY) == before:
        if process.poll() is not None or time.monotonic() - began_s > _READY_LIMIT_S:
            process.kill()
            raise RuntimeError(f"the gateway did not start: {log.read_text()[-2000:]}")
        time.sleep(0.01)
    return process, time.monotonic() - began_s


def _moments(start_us: int, minutes: int, interval_s: float) -> list[tuple[int, Sequence[Message]]]:
    """A quiet home's messages by the commit interval in which they arrive; two minutes more of silence."""
    home = SimulatedHome(SEED, 1, start_us, LOCAL_OFFSET_S, QUIET)
    step_us = round(interval_s * SECOND_US)
    found: dict[int, list[Message]] = {}
    for second in range(minutes * 60):
        for message in home.second(second):
            found.setdefault((message.due_us - start_us) // step_us, []).append(message)
    return [
        (start_us + step * step_us, found.get(step, ()))
        for step in range(round((minutes + 2) * 60 / interval_s))
    ]


def _config(folder: Path, interval_s: float) -> GatewayConfig:
    fleet = enrol(
        folder, 1, SEED, project="p", broker_host=HOST, broker_port=1883, now=dt.datetime.now(dt.UTC)
    )
    config = load_config(Path(fleet.members[0].config))
    outbox = dataclasses.replace(config.outbox, commit_interval_s=interval_s)
    return dataclasses.replace(config, outbox=outbox)


def _start_us() -> int:
    return time.time_ns() // 1000 // MINUTE_US * MINUTE_US


def _written() -> int:
    """Bytes that this process has given to block devices."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _in_process(
    keep: Callable[[Path, float, int], Written], folder: Path, interval_s: float, minutes: int
) -> Written:
    """In a process of its own, so that nothing else is counted."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(keep, (folder, interval_s, minutes))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
