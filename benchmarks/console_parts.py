"""What `benchmarks.console` runs and breaks: the emulators, a proxy before Firestore, and the console."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from benchmarks.alarm_load import AlarmLoad
from local import credentials, emulators
from local.config import HOST, ROOT, Settings
from tests.faults.proxy import FaultProxy

_START_LIMIT_S: Final = 90.0


class Parts:
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
def running(settings: Settings) -> Iterator[Parts]:
    """Both emulators and the proxy; this process's environment names them."""
    settings.run.mkdir(parents=True, exist_ok=True)
    credentials.write(settings)
    emulators.use_stand_ins(settings)
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultProxy(settings.firestore_port))
        parts = Parts(settings, proxy)
        parts.start_firestore()
        stack.callback(parts.stop_firestore)
        stack.callback(_stop, parts.start_auth())
        yield parts


def _stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is None:
        return
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
