"""The running pipeline for system tests: Pub/Sub and Firestore emulators, Flink, both lanes' jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import psutil
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, pubsub_v1

from local import emulators, engine, parts
from local.config import ROOT, Settings, isolated
from local.topics import subscription
from schemas.archive import PARTITIONS
from tests.fakes import Fleet


@dataclass
class RunningPipeline:
    """Handles on a running system: publish into it, look at what comes out."""

    settings: Settings
    fleet: Fleet
    output: Path
    publisher: pubsub_v1.PublisherClient
    store: firestore.Client

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
        files = sorted((self.output / "warehouse" / table).glob("*.jsonl"))
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


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPipeline]:
    """Both lanes' jobs on Flink, archive and warehouse in a folder."""
    settings = isolated(tmp_path_factory.mktemp("pipeline"), warehouse="off")
    fleet = Fleet(7, now_us=time.time_ns() // 1_000)
    output = settings.run / "output"
    settings.run.mkdir(parents=True, exist_ok=True)
    (settings.run / "ca.pem").write_bytes(fleet.ca_pem)
    wanted = {"pubsub", "firestore"}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for part in [part for part in parts.stand_ins(settings) if part.name in wanted]:
            stack.enter_context(parts.running(part, settings))
        stack.enter_context(parts.running(parts.engine_part(settings), settings))
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        for lane in ("urgent", "minutes"):
            stack.enter_context(_job(settings, lane, output))
        publisher = stack.enter_context(pubsub_v1.PublisherClient())
        store = firestore.Client(settings.project, credentials=AnonymousCredentials())
        stack.callback(store.close)
        yield RunningPipeline(settings, fleet, output, publisher, store)


class _job:
    """One lane's job, from submission to SIGTERM."""

    def __init__(self, settings: Settings, lane: str, output: Path) -> None:
        self._log = settings.logs / f"monitor-{lane}.log"
        self._command = [
            *(sys.executable, "-m", "pipelines.monitor", f"--lanes={lane}", f"--job_name=monitor-{lane}"),
            f"--input=pubsub://{settings.project}/{subscription(lane)}",
            f"--output={output}",
            f"--alarms=firestore://{settings.project}",
            f"--warehouse={output / 'warehouse'}",
            f"--fleet-ca={settings.run / 'ca.pem'}",
            *engine.runner_options(settings),
        ]

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
