"""Start, kill and restart the processes of a run, one by one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import psutil

from local import parts
from local.config import ROOT, Settings

WORKER: Final = "local.sdk_worker"
_SUBMIT_S: Final = 240.0


class _Running(NamedTuple):
    part: parts.Part
    settings: Settings
    started: contextlib.AbstractContextManager[parts.Part]


class Processes:
    """Parts that are running; a context manager that stops what is left of them, last first."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)

    def start(self, part: parts.Part, settings: Settings) -> None:
        """Start a part with the environment of `settings`, and wait until it is ready."""
        started = parts.running(part, settings)
        started.__enter__()
        self._running[part.name] = _Running(part, settings, started)

    def stop(self, name: str) -> None:
        """Let a part end as an operator would."""
        self._running.pop(name).started.__exit__(None, None, None)

    def kill(self, name: str) -> None:
        """`kill -9` of a part's own process; what it started is left to notice for itself."""
        part, settings, _ = self._running[name]
        found = list(of_run(settings, lambda command: command == list(part.command)))
        assert found, f"{name} has no process to kill"
        for process in found:
            process.kill()
            process.wait(10)

    def restart(self, name: str) -> None:
        """Start a killed part again, as its supervisor would."""
        part, settings, _ = self._running[name]
        self.stop(name)
        self.start(part, settings)


def of_run(settings: Settings, wanted: Callable[[list[str]], bool]) -> Iterator[psutil.Process]:
    """Processes of a run, whoever started them, whose command line is wanted."""
    for process in psutil.process_iter(["environ", "cmdline"]):
        ours = (process.info["environ"] or {}).get(parts.RUN_MARK) == str(settings.run)
        if ours and wanted(process.info["cmdline"] or []):
            yield process


def workers(settings: Settings) -> list[psutil.Process]:
    """Python workers of a run that live."""
    return list(of_run(settings, lambda command: WORKER in command))


def kill_workers(settings: Settings) -> None:
    """`kill -9` of all Python workers of a run."""
    for worker in workers(settings):
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def submit(module: str, *flags: str) -> None:
    """Run a module that submits a job and leaves it running."""
    done = subprocess.run(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_SUBMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
