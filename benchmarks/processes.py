"""CPU and peak memory of the processes of a run, by role, sampled while they live."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

import psutil

from local import supervise
from local.config import Settings

# A word of the command line → what the process does for the run.
ROLES: Final[dict[str, str]] = {
    "local.sdk_worker": "worker",
    "FlinkJobServerDriver": "engine",
    "cloud-pubsub-emulator": "emulator",
}
PIPELINE_ROLES: Final = ("worker", "engine")
_SAMPLE_S: Final = 0.2
_LIST_EVERY_S: Final = 2.0  # listing all processes of a machine is dear
_QUIET_CORES: Final = 0.3
_QUIET_WINDOW_S: Final = 1.0


class Usage(NamedTuple):
    """CPU seconds so far, by role, at a moment of the monotonic clock."""

    at_s: float
    cpu_s: Mapping[str, float]

    def pipeline_s(self) -> float:
        """Of the pipeline's own processes."""
        return sum(self.cpu_s.get(role, 0.0) for role in PIPELINE_ROLES)

    def since(self, before: Usage) -> dict[str, float]:
        """CPU seconds by role since an earlier moment."""
        return {role: total - before.cpu_s.get(role, 0.0) for role, total in self.cpu_s.items()}


def unwind_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does: everything that was started is stopped first."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def role_of(command: list[str]) -> str:
    """Command line → role, "other" for what is only there to start something else.

    >>> role_of(["python", "-m", "local.sdk_worker", "--id=1"])
    'worker'
    """
    words = " ".join(command)
    return next((role for word, role in ROLES.items() if word in words), "other")


class Meter:
    """Samples all processes that carry the run's mark; a context manager.

    CPU of a process that ended counts as of its last sample.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._roles: dict[psutil.Process, str] = {}
        self._cpu: dict[psutil.Process, float] = {}
        self._peak: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def usage(self) -> Usage:
        """CPU up to now."""
        with self._lock:
            self._list()
            self._sample()
            totals: dict[str, float] = defaultdict(float)
            for process, cpu_s in self._cpu.items():
                totals[self._roles[process]] += cpu_s
            return Usage(time.monotonic(), dict(totals))

    def peak_rss_mb(self) -> dict[str, float]:
        """Greatest resident memory of a role at any sample since `forget_peaks`, 10⁶ bytes."""
        with self._lock:
            return {role: round(peak / 1e6, 1) for role, peak in self._peak.items()}

    def forget_peaks(self) -> None:
        """Begin a new measurement of memory."""
        with self._lock:
            self._peak.clear()

    def workers(self) -> list[psutil.Process]:
        """The Python workers that live now."""
        with self._lock:
            self._list()
            return [p for p, role in self._roles.items() if role == "worker" and p.is_running()]

    def settled(self, limit_s: float) -> Usage:
        """Wait until the pipeline does no more than it does when idle → usage when that began.

        Quiet means that workers and engine together took less than 0.3 of a core over a second; the
        idle source polls, so that it is never nothing.

        Raises:
            TimeoutError: Still busy after `limit_s`.
        """
        deadline = time.monotonic() + limit_s
        before = self.usage()
        while time.monotonic() < deadline:
            time.sleep(_QUIET_WINDOW_S)
            now = self.usage()
            if (now.pipeline_s() - before.pipeline_s()) / (now.at_s - before.at_s) < _QUIET_CORES:
                return before
            before = now
        raise TimeoutError(f"the pipeline is still busy after {limit_s:.0f} s")

    def _run(self) -> None:
        listed = 0.0
        while not self._stop.wait(_SAMPLE_S):
            with self._lock:
                if time.monotonic() - listed > _LIST_EVERY_S:
                    self._list()
                    listed = time.monotonic()
                self._sample()

    def _list(self) -> None:
        for process in supervise.processes(self._settings):
            if process not in self._roles:
                try:
                    self._roles[process] = role_of(process.cmdline())
                except psutil.Error:
                    continue

    def _sample(self) -> None:
        resident: dict[str, int] = defaultdict(int)
        for process, role in self._roles.items():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident[role] += process.memory_info().rss
                self._cpu[process] = times.user + times.system
            except psutil.Error:
                continue
        for role, size in resident.items():
            self._peak[role] = max(self._peak[role], size)
