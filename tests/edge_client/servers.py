"""The Pub/Sub emulator and the homes' MQTT broker on free ports, each stopped when its block ends."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import emulators, install
from local.config import Settings, free_ports

_START_S = 40.0


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    (port,) = free_ports(1)
    return port


@contextmanager
def pubsub(folder: Path) -> Iterator[str]:
    """host:port of a Pub/Sub emulator."""
    port = free_port()
    settings = Settings(run_dir=folder, pubsub_port=port, emulator_heap_mb=256)
    with running(emulators.pubsub_command(settings), port):
        yield f"127.0.0.1:{port}"


@contextmanager
def broker(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """An MQTT broker that keeps its sessions under `folder`."""
    settings = Settings(run_dir=folder, mqtt_port=port)
    install.ensure_node_packages("broker", settings, print)
    with running(emulators.mqtt_command(settings), port) as process:
        yield process


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, from when it listens on `port` until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + _START_S
        while not _listens(port):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < end_s, f"{command[0]} does not listen on {port}"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
