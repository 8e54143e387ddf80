"""Start parts in order under one supervisor, watch them, and stop every process of the run.

`supervisord` holds the processes: it restarts what ends and keeps one log a part. What it does not
know is order and readiness, which is added here, and when to give up (local/watch.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from local import credentials
from local.config import Settings, port_in_use, variable
from local.parts import RUN_MARK, NotReady, Part, environment, tail, wait_ready
from local.supervisord import describe, rpc, socket_path, write_config

_STOP_ALL_S: Final = 60.0
_KILL_AFTER_S: Final = 5.0
_ALIVE_STATES: Final = {"STARTING", "RUNNING", "BACKOFF"}


class PortInUse(RuntimeError):
    """A port that a part needs is taken. The message names the setting that changes it."""


class SystemFailed(RuntimeError):
    """A part did not start, or ended beyond restart. The message names it and its log."""


class Started(NamedTuple):
    """A part became ready: `seconds` from its start."""

    name: str
    title: str
    seconds: float


def check_ports(parts: Sequence[Part], settings: Settings) -> None:
    """Raises:
    PortInUse: Naming the first port that is taken.
    """
    for part in parts:
        for field in part.ports:
            port = getattr(settings, field)
            if port_in_use(port):
                raise PortInUse(f"Port {port} for the {part.title} is in use; set {variable(field)}.")


def start(parts: Sequence[Part], settings: Settings, report: Callable[[Started], None]) -> dict[str, float]:
    """Start all parts, each after those it needs. Empties the data of the run before.

    Args:
        report: Told of each part that is ready.

    Returns:
        Seconds from start to readiness, by part.

    Raises:
        PortInUse: Nothing was started.
        SystemFailed: A part did not get ready; everything was stopped. Also if the run is up already.
    """
    if supervisor_process(settings):
        raise SystemFailed(f"The system of {settings.run} is running already; stop it by `hearthwatch down`.")
    sweep(settings)
    check_ports(parts, settings)
    for old in (settings.data, settings.logs, settings.run / "fleet"):
        shutil.rmtree(old, ignore_errors=True)
    settings.data.mkdir(parents=True)
    settings.logs.mkdir()
    for stale in ("failed.json", "start.json", "sent.json", "truth.jsonl"):
        (settings.run / stale).unlink(missing_ok=True)
    credentials.write(settings)
    (settings.run / "parts.json").write_text(
        json.dumps({part.name: describe(part, settings) for part in parts})
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(write_config(parts, settings))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(settings),
        start_new_session=True,  # Ctrl-C goes to us alone: we stop the parts in order
    )
    try:
        seconds = _start_in_order(parts, settings, supervisor, report)
    except BaseException:
        stop(settings)
        supervisor.wait()
        raise
    (settings.run / "start.json").write_text(json.dumps(seconds))
    return seconds


def _start_in_order(
    parts: Sequence[Part],
    settings: Settings,
    supervisor: subprocess.Popen[bytes],
    report: Callable[[Started], None],
) -> dict[str, float]:
    _wait_for_supervisor(settings, supervisor)
    gave_up = threading.Event()
    ready: dict[str, Future[float]] = {}
    pids: dict[str, int] = {}
    titles = {part.name: part.title for part in parts}

    def bring_up(part: Part) -> float:
        for needed in part.after:
            ready[needed].result()

        def alive() -> bool:
            return not gave_up.is_set() and _state(settings, part.name) in _ALIVE_STATES

        def needed_live() -> None:
            # While the system starts nothing may end: what ended is the cause, not the one that waits for it.
            for needed in part.after:
                if _pid(settings, needed) != pids[needed]:
                    raise SystemFailed(
                        f"{titles[needed]} ended during the start. {_log_end(settings, needed)}"
                    )

        part.prepare()
        if gave_up.is_set():
            raise SystemFailed(f"{part.title} was not started.")
        try:
            rpc(settings).startProcess(part.name, False)
            pids[part.name] = _pid(settings, part.name)
            seconds = wait_ready(part, settings.logs / f"{part.name}.log", alive, needed_live)
        except xmlrpc.client.Fault as error:
            raise SystemFailed(f"{part.title}: {error.faultString}") from error
        except NotReady as error:
            raise SystemFailed(str(error)) from error
        part.once_ready()
        report(Started(part.name, part.title, seconds))
        return seconds

    with ThreadPoolExecutor(len(parts)) as pool:
        # In order of the list, in which a part stands after those it needs.
        for part in parts:
            ready[part.name] = pool.submit(bring_up, part)
        try:
            failure = _first_failure(ready)
        except BaseException:  # Ctrl-C: let the threads end before the pool waits for them
            gave_up.set()
            raise
        if failure:
            gave_up.set()
            raise failure
    return {name: round(future.result(), 2) for name, future in ready.items()}


def _first_failure(ready: dict[str, Future[float]]) -> BaseException | None:
    """Wait for all, or until one has failed."""
    while True:
        done = [future for future in ready.values() if future.done()]
        for future in done:
            if error := future.exception():
                return error
        if len(done) == len(ready):
            return None
        time.sleep(0.05)


def _wait_for_supervisor(settings: Settings, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while True:
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            rpc(settings).getState()
            return
        if supervisor.poll() is not None or time.monotonic() > deadline:
            raise SystemFailed(f"The supervisor did not start: {tail(settings.logs / 'supervisord.log')}")
        time.sleep(0.05)


def stop(settings: Settings) -> int:
    """Stop every process of the run, also those that lost their supervisor. Safe to repeat.

    Returns:
        How many processes were stopped.
    """
    count = len(processes(settings))
    supervisor = supervisor_process(settings)
    if supervisor:
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            rpc(settings).shutdown()
            with contextlib.suppress(psutil.TimeoutExpired):
                supervisor.wait(_STOP_ALL_S)
    sweep(settings)
    socket_path(settings).unlink(missing_ok=True)
    (settings.run / "supervisord.pid").unlink(missing_ok=True)
    return count


def sweep(settings: Settings) -> None:
    """End what carries this run's mark and is still there: first politely, then by force."""
    left = processes(settings)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=_KILL_AFTER_S if left else 0)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_KILL_AFTER_S if stubborn else 0)


def processes(settings: Settings) -> list[psutil.Process]:
    """All live processes of the run: those with its mark in their environment, but not this one."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN_MARK) == str(
                settings.run
            ):
                found.append(process)
    return found


def supervisor_process(settings: Settings) -> psutil.Process | None:
    """The run's supervisor, None if it is not running."""
    try:
        process = psutil.Process(int((settings.run / "supervisord.pid").read_text()))
        if process.environ().get(RUN_MARK) == str(settings.run):
            return process
    except (OSError, ValueError, psutil.Error):
        pass
    return None


def failure(settings: Settings) -> str:
    """Why the system stopped by itself, "" if it did not."""
    file = settings.run / "failed.json"
    if not file.exists():
        return ""
    failed = json.loads(file.read_text())
    log = Path(failed["log"])
    return f"{failed['title']} {failed['reason']}; everything was stopped. {log}:\n{tail(log)}"


class PartStatus(NamedTuple):
    """A row of `hearthwatch status`. `state` is supervisord's; sizes are of the process group."""

    name: str
    title: str
    state: str
    pid: int
    uptime_s: int
    rss_mb: int
    address: str
    log: str


def status(settings: Settings) -> list[PartStatus]:
    """What runs, in order of start; empty if nothing does."""
    if not supervisor_process(settings):
        return []
    described = json.loads((settings.run / "parts.json").read_text())
    rows = []
    known = {info["name"]: info for info in rpc(settings).getAllProcessInfo()}
    for name, part in described.items():
        info = known[name]
        uptime = info["now"] - info["start"] if info["statename"] == "RUNNING" else 0
        rows.append(
            PartStatus(
                name,
                part["title"],
                info["statename"],
                info["pid"],
                uptime,
                _rss_mb(info["pid"]),
                part["address"],
                part["log"],
            )
        )
    return rows


def _rss_mb(pid: int) -> int:
    if not pid:
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss
    return total >> 20


def _state(settings: Settings, name: str) -> str:
    try:
        return str(rpc(settings).getProcessInfo(name)["statename"])
    except (OSError, xmlrpc.client.Error):
        return "UNKNOWN"


def _pid(settings: Settings, name: str) -> int:
    try:
        return int(rpc(settings).getProcessInfo(name)["pid"])
    except (OSError, xmlrpc.client.Error):
        return 0


def _log_end(settings: Settings, name: str) -> str:
    log = settings.logs / f"{name}.log"
    return f"{log}:\n{tail(log)}"
