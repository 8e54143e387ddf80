"""The running pipeline for system tests: stand-ins for the cloud, Flink, both jobs of the local system."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import psutil
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, pubsub_v1

from local import emulators, parts, probes
from local.config import ROOT, Settings, isolated
from local.simulator.enrol import ROSTER_FILE
from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import PARTITIONS
from schemas.events import Code
from schemas.roster import roster_text
from tests.fakes import Fleet, body_of_event, event

_START_S = 240.0  # half a minute on an idle machine


@dataclass
class RunningPipeline:
    """Handles on a running system: publish into it, look at what comes out.

    Attributes:
        output: Where the storage stand-in keeps archive and dead letters.
        tables: Where the rows of the warehouse are written.
    """

    settings: Settings
    fleet: Fleet
    output: Path
    tables: Path
    publisher: pubsub_v1.PublisherClient
    store: firestore.Client
    _storage: ExitStack

    def publish(self, lane: str, *payloads: bytes) -> None:
        """Publish and wait for the confirmation."""
        topic = f"projects/{self.settings.project}/topics/{lane}"
        for sent in [self.publisher.publish(topic, payload, lane=lane) for payload in payloads]:
            sent.result(timeout=30)

    def archived(self) -> list[bytes]:
        """Envelopes in the archive, copies included."""
        return [row["envelope"] for row in self._rows("archive")]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Rows of DEAD_LETTER_SCHEMA."""
        return self._rows("dead_letters")

    def warehouse(self, table: str) -> list[dict[str, Any]]:
        """Rows that WriteWarehouse wrote, copies included."""
        files = sorted((self.tables / table).glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def alarms(self, home_id: str) -> list[dict[str, Any]]:
        """Episodes of a home."""
        query = self.store.collection("alarms").where(filter=firestore.FieldFilter("home_id", "==", home_id))
        return [snapshot.to_dict() for snapshot in query.stream(timeout=10)]

    def evidence(self, home_id: str, source: str) -> list[dict[str, Any]]:
        """Evidence of a home's episodes by who said it ("gateway", "fusion")."""
        return [
            found
            for alarm in self.alarms(home_id)
            for snapshot in self.store.document(f"alarms/{alarm['alarm_id']}").collection("evidence").stream()
            if (found := snapshot.to_dict())["source"] == source
        ]

    @contextmanager
    def without_storage(self) -> Iterator[None]:
        """Object storage is away while this is entered."""
        self._storage.close()
        yield
        self._storage.enter_context(parts.running(_part("gcs", self.settings), self.settings))

    def workers(self) -> list[psutil.Process]:
        """The Python workers that the engine started."""
        found = []
        for process in psutil.process_iter(["environ", "cmdline"]):
            ours = (process.info["environ"] or {}).get(parts.RUN_MARK) == str(self.settings.run)
            if ours and "local.sdk_worker" in (process.info["cmdline"] or []):
                found.append(process)
        return found

    def _rows(self, folder: str) -> list[dict[str, Any]]:
        files = sorted((self.output / folder).glob(f"{PARTITIONS}/*.avro"))
        return [row for file in files for row in fastavro.reader(file.open("rb"))]


def eventually(ready: Callable[[], bool], what: str, limit_s: float = 90.0) -> None:
    """Wait until it holds, or fail saying what did not come."""
    deadline = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.2)


def _part(name: str, settings: Settings) -> parts.Part:
    return next(part for part in parts.stand_ins(settings) if part.name == name)


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPipeline]:
    """Both jobs on Flink, the archive in the storage stand-in, the warehouse in a folder."""
    settings = isolated(tmp_path_factory.mktemp("pipeline"), warehouse="off")
    fleet = Fleet(7, now_us=time.time_ns() // 1_000)
    output = settings.data / "gcs" / ".cloudstorage" / settings.output_url.removeprefix("gs://")
    tables = settings.run / "warehouse"
    ca = settings.run / "fleet" / "ca.pem"
    ca.parent.mkdir(parents=True, exist_ok=True)
    ca.write_bytes(fleet.ca_pem)
    # Nobody is supervised here: these tests' homes come and go.
    (ca.parent / ROSTER_FILE).write_text(roster_text([], time.time_ns() // 1_000))
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name in ("pubsub", "firestore"):
            stack.enter_context(parts.running(_part(name, settings), settings))
        storage = stack.enter_context(ExitStack())
        storage.enter_context(parts.running(_part("gcs", settings), settings))
        stack.enter_context(parts.running(parts.engine_part(settings), settings))
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        for name, command in parts.pipeline_commands(settings).items():
            keeps = any(flag.startswith("--output=") for flag in command)
            flags = [f"--warehouse={tables}"] if keeps else []
            stack.enter_context(_job(settings.logs / f"{name}.log", [*command, *flags]))
        publisher = stack.enter_context(pubsub_v1.PublisherClient())
        store = firestore.Client(settings.project, credentials=AnonymousCredentials())
        stack.callback(store.close)
        made = RunningPipeline(settings, fleet, output, tables, publisher, store, storage)
        _prove_paths(made)
        yield made


def _prove_paths(running: RunningPipeline) -> None:
    """Wait until both jobs work, as the whole system does: a job that runs is not yet one that works."""
    prover = running.fleet.prover()
    for seq, (lane, name) in enumerate(((pb.LANE_URGENT, "urgent"), (pb.LANE_MINUTES, "minutes")), 1):
        now_us = time.time_ns() // 1_000
        test = body_of_event(event(Code.PERIODIC_TEST, event_id=seq, occurred_us=now_us))
        sent = prover.envelope(test, seq=seq, lane=lane, created_us=now_us, synthetic=True)
        running.publish(name, sent)
        proven = probes.path_proven(running.settings.firestore_port, running.settings.project, name)
        eventually(proven, f"the {name} job to start", _START_S)


class _job:
    """A job, from submission to SIGTERM."""

    def __init__(self, log: Path, command: list[str]) -> None:
        self._log = log
        self._command = command

    def __enter__(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
