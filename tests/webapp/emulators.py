"""The Firestore and Auth emulators on free ports, for the tests of this folder."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import emulators, install
from local.config import free_ports, isolated

START_S = 90  # on a machine that does much else


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    (port,) = free_ports(1)
    return port


@contextmanager
def firestore_emulator(folder: Path, port: int | None = None) -> Iterator[str]:
    """host:port of a Firestore emulator of one's own, with this repository's rules."""
    settings = isolated(folder, firestore_port=port or free_port())
    host = settings.address(settings.firestore_port)
    with _running(emulators.firestore_command(settings), folder, f"http://{host}/"):
        yield host


@contextmanager
def auth_emulator(folder: Path, project: str) -> Iterator[str]:
    """host:port of an Auth emulator of one's own."""
    settings = isolated(folder, project=project)
    install.ensure_auth(settings, print)
    emulators.write_auth_config(settings)
    host = settings.address(settings.auth_port)
    with _running(emulators.auth_command(settings), folder, f"http://{host}/"):
        yield host


@contextmanager
def _running(command: list[str], folder: Path, url: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "CI": "1"}, start_new_session=True
        )
    try:
        wait_for(url, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until something answers there; fails if the process ends or takes longer than `START_S`."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer within {START_S} s")
