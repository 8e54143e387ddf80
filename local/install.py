"""Fetch what `make setup` needs beside the Python packages: Java, emulators, engine, Node packages.

Each `ensure_…` is quick when its thing is there. Everything goes to the user's cache folder, named after
the lock file that it was made from, so that a second clone finds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from local import classpath, tools
from local.config import ROOT, Settings
from local.tools import MissingTool

Say = Callable[[str], None]
UV: Final = ROOT / ".cache" / "uv" / "bin" / "uv"
_COMPLETE: Final = ".complete"


def ensure_java(settings: Settings, say: Say) -> None:
    """A Java that is new enough: on PATH or from the lock file."""
    say(tools.java(settings))


def ensure_engine(settings: Settings, say: Say) -> None:
    """The engine's jars."""
    with _locked(tools.engine_dir(settings)):
        classpath.fetch(settings, say)


def ensure_node_packages(name: str, settings: Settings, say: Say) -> None:
    """The npm packages of `local/<name>`, by its lock file, beside its script.

    Raises:
        MissingTool: npm failed; the message carries its last line.
    """
    folder = tools.node_dir(settings, name)
    with _locked(folder):
        if (folder / _COMPLETE).exists():
            return
        say("npm packages")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for source in tools.node_sources(name):
            shutil.copy(source, folder)
        # Without install scripts and optional packages: one of them compiles for two minutes, and what we
        # use needs none (the store's native code comes ready-made in its package).
        path = f"{Path(tools.node()[0]).parent}{os.pathsep}{os.environ['PATH']}"
        options = ["--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund"]
        _run([*tools.npm(), "ci", *options], folder, {"PATH": path})
        (folder / _COMPLETE).touch()


def ensure_auth(settings: Settings, say: Say) -> None:
    """firebase-tools, for the Auth emulator."""
    ensure_node_packages("auth", settings, say)


def ensure_emulators(settings: Settings, say: Say) -> None:
    """The Pub/Sub and Firestore emulators' jars: here already, or by firebase-tools.

    Raises:
        MissingTool: They are not here and cannot be fetched.
    """
    for name, find in (("pubsub", tools.find_pubsub_jar), ("firestore", tools.find_firestore_jar)):
        if find(settings) is None:
            ensure_auth(settings, say)
            say(f"{name}: downloading")
            cli = tools.node_dir(settings, "auth") / "node_modules" / ".bin" / "firebase"
            with contextlib.suppress(MissingTool):  # said better, with the remedy, by the next line
                _run([*tools.node(), str(cli), f"setup:emulators:{name}"], ROOT, {"CI": "1"})
        say(tools.jar_or_raise(find(settings), name).name)


def ensure_broker(settings: Settings, say: Say) -> None:
    """The homes' MQTT broker."""
    ensure_node_packages("broker", settings, say)


def ensure_firebase(settings: Settings, say: Say) -> None:
    """The Firebase SDK for the owner's app."""
    ensure_node_packages("firebase", settings, say)


def ensure_warehouse(settings: Settings, say: Say) -> None:
    """The BigQuery stand-in, in a virtual environment of its own."""
    if settings.warehouse == "off":
        say("off")
        return
    folder = tools.warehouse_dir(settings)
    with _locked(folder):
        if (folder / _COMPLETE).exists():
            return
        if not UV.exists():
            raise MissingTool("The installer of Python packages is missing; run `make setup`.")
        say("Python packages")
        shutil.rmtree(folder, ignore_errors=True)
        python = str(folder / "bin" / "python")
        _run([str(UV), "venv", "--quiet", "--python", sys.executable, str(folder)], ROOT, {})
        _run(
            [str(UV), "pip", "sync", "--quiet", "--require-hashes", "-p", python, str(tools.WAREHOUSE_LOCK)],
            ROOT,
            {},
        )
        # Otherwise DuckDB would download its extension at its first start.
        _run(
            [python, "-c", "from duckdb_extensions import import_extension as i; i('spatial')"],
            ROOT,
            {},
        )
        (folder / _COMPLETE).touch()


def ensure_browser(_settings: Settings, say: Say) -> None:
    """A Chromium for the tests of the page.

    Raises:
        MissingTool: None on PATH, and this is no Debian on which we may install one.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    if any(shutil.which(name) for name in names):
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise MissingTool(
            "No Chromium is on PATH, and the page's tests need one: install it "
            "(`sudo apt-get install chromium`, `brew install --cask chromium`) and repeat."
        )
    say("apt-get install chromium")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _run([apt, "update", "-qq"], ROOT, quiet)
    _run([apt, "install", "-y", "-qq", "--no-install-recommends", "chromium"], ROOT, quiet)


PARTS: Final[dict[str, Callable[[Settings, Say], None]]] = {
    "Java": ensure_java,
    "MQTT broker": ensure_broker,
    "Auth emulator": ensure_auth,
    "Firebase SDK": ensure_firebase,
    "emulators": ensure_emulators,
    "engine": ensure_engine,
    "warehouse": ensure_warehouse,
}


def ensure_all(settings: Settings, *, browser: bool, out: Callable[[str], None] = print) -> None:
    """Everything at once, one line when a thing begins and one when it is there.

    Raises:
        MissingTool: The first thing that could not be had; the others are finished first.
    """
    wanted = {**PARTS, **({"browser": ensure_browser} if browser else {})}
    with ThreadPoolExecutor(len(wanted)) as pool:
        jobs = [pool.submit(_report, name, ensure, settings, out) for name, ensure in wanted.items()]
    for job in jobs:
        job.result()


_SAID_EVERY_S: Final = 5.0


def _report(
    name: str, ensure: Callable[[Settings, Say], None], settings: Settings, out: Callable[[str], None]
) -> None:
    """Run one `ensure_…` and say how far it is, at most every few seconds."""
    began = last = time.monotonic()
    latest = ""

    def say(text: str) -> None:
        nonlocal last, latest
        latest = text
        if time.monotonic() - last > _SAID_EVERY_S:
            last = time.monotonic()
            out(f"  {name}: {text} ({last - began:.0f} s)")

    ensure(settings, say)
    out(f"  {name}: ready{f' ({latest})' if latest else ''}, {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two clones that fetch the same thing take turns."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f"{folder.name}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise MissingTool(
            f"`{Path(command[0]).name} {' '.join(command[1:3])}` failed: {' / '.join(lines[-4:])}"
        )


def main() -> int:
    """`python -m local.install [--browser]`."""
    try:
        ensure_all(Settings(), browser="--browser" in sys.argv[1:], out=lambda line: print(line, flush=True))
    except (MissingTool, classpath.BadDownload, OSError) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
