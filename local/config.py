"""Settings of the system on one machine: environment variables `HEARTHWATCH_…` → ports, folders, tools.

Every default is written here and nowhere else. Ports are on 127.0.0.1 only.
"""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).resolve().parent.parent
PREFIX: Final = "HEARTHWATCH_"
_WINDOW: Final = 128  # ports of one process
_WINDOWS_FROM: Final = 10_000
_WINDOWS: Final = 170  # up to 31,759: the system gives out those from 32,768 on
_places = itertools.count()


class Settings(BaseSettings):
    """What a person may choose about the local system.

    Attributes:
        run_dir: Everything that a run writes: data, logs, process ids, results.
        cache_dir: What is fetched once for all clones; None: `hearthwatch` in the user's cache folder.
        recordings: Folder of real recordings; None: the simulator uses its own signals.
        pubsub_jar, firestore_jar: The official emulators' jars; None: looked for in the usual places.
        java: A Java of at least 17; None: the one on PATH, else the one from the lock file.
        warehouse: "on" starts the BigQuery stand-in.
        output: Folder of archive and dead letters, `gs://…` or a path; None: in the storage stand-in.
        engine_heap_mb, emulator_heap_mb: Java heap of the engine, and of each emulator, in MiB.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    run_dir: Path = Path("run")
    cache_dir: Path | None = None
    recordings: Path | None = None
    java: Path | None = None
    pubsub_jar: Path | None = None
    firestore_jar: Path | None = None
    project: str = "demo-hearthwatch"
    bucket: str = "hearthwatch"
    output: str | None = None
    dataset: str = "hearthwatch"
    warehouse: Literal["on", "off"] = "on"
    engine_heap_mb: int = Field(default=1024, ge=256)
    emulator_heap_mb: int = Field(default=1024, ge=128)

    mqtt_port: int = Field(default=18830, ge=1, le=65535)
    pubsub_port: int = Field(default=18085, ge=1, le=65535)
    firestore_port: int = Field(default=18080, ge=1, le=65535)
    firestore_websocket_port: int = Field(default=18150, ge=1, le=65535)
    auth_port: int = Field(default=18099, ge=1, le=65535)
    auth_hub_port: int = Field(default=18400, ge=1, le=65535)
    auth_logging_port: int = Field(default=18500, ge=1, le=65535)
    fcm_port: int = Field(default=18070, ge=1, le=65535)
    gcs_port: int = Field(default=18023, ge=1, le=65535)
    bigquery_port: int = Field(default=18050, ge=1, le=65535)
    bigquery_grpc_port: int = Field(default=18060, ge=1, le=65535)
    job_port: int = Field(default=18097, ge=1, le=65535)
    web_port: int = Field(default=8600, ge=1, le=65535)

    @property
    def run(self) -> Path:
        """The run folder, absolute."""
        return self.run_dir.resolve()

    @property
    def data(self) -> Path:
        """Where the stand-ins and the engine keep their data; emptied at every start."""
        return self.run / "data"

    @property
    def logs(self) -> Path:
        """One log a part."""
        return self.run / "logs"

    @property
    def output_url(self) -> str:
        """Folder of `archive/` and `dead_letters/`."""
        return self.output or f"gs://{self.bucket}/monitor"

    @property
    def registry_url(self) -> str:
        """Where the registry of models is."""
        return f"gs://{self.bucket}/models"

    @property
    def registry_key(self) -> Path:
        """The private key that signs in it; its public key lies beside it, with .pub."""
        return self.run / "keys" / "registry.pem"

    def address(self, port: int) -> str:
        """Port → `127.0.0.1:port`."""
        return f"{HOST}:{port}"


def port_fields() -> list[str]:
    """Names of all settings that are ports."""
    return [name for name in Settings.model_fields if name.endswith("_port")]


def variable(field: str) -> str:
    """
    >>> variable("firestore_port")
    'HEARTHWATCH_FIRESTORE_PORT'
    """
    return PREFIX + field.upper()


def isolated(run_dir: Path, **changes: object) -> Settings:
    """Settings for a test: a run folder of its own, every port free at this moment, a project of its own."""
    ports = dict(zip(port_fields(), free_ports(len(port_fields())), strict=True))
    project = f"demo-test-{secrets.token_hex(4)}"
    return Settings(**{"run_dir": run_dir, "project": project, **ports, **changes})  # type: ignore[arg-type]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, for servers that start soon.

    Not the system's choice, which may give the same port to the next outgoing connection, or to another
    test run, before our server has bound it: each process goes through a window of its own, below those.
    """
    first = _WINDOWS_FROM + os.getpid() % _WINDOWS * _WINDOW
    found: list[int] = []
    for _ in range(_WINDOW):
        port = first + next(_places) % _WINDOW
        if not port_in_use(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"{count} free ports wanted from {first} to {first + _WINDOW - 1}, found {len(found)}")


def port_in_use(port: int) -> bool:
    """Whether somebody on this machine listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False
