"""Publish → read → archive → acknowledge on Flink, killed at random: nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from google.cloud import pubsub_v1

from local import emulators, parts
from local.config import ROOT, Settings, isolated
from local.engine import runner_options
from local.topics import create_pair
from schemas.archive import PARTITIONS
from tests.faults.oracle import archived_payloads, drain, judge
from transforms.pubsub_client import SubscriberClient

pytestmark = [pytest.mark.system, pytest.mark.timeout(420)]

MESSAGES_PER_S = 100  # published through all of the kills
ACK_DEADLINE_S = 20
KILLS = 3
SEED = 20_261_123


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = isolated(tmp_path_factory.mktemp("no-loss"), warehouse="off")
    pubsub = next(part for part in parts.stand_ins(settings) if part.name == "pubsub")
    with pytest.MonkeyPatch.context() as patch, parts.running(pubsub, settings):
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        yield settings


def test_a_killed_worker_or_engine_loses_nothing_and_an_early_acknowledgement_is_caught(
    settings: Settings,
) -> None:
    """Both builds read the same messages under the same kills; only the broken one loses some."""
    chance = random.Random(SEED)
    archives = {name: settings.run / "archive" / name for name in ("right", "broken")}
    for name in archives:
        create_pair(settings, topic="minutes", subscription=f"minutes-{name}", ack_deadline_s=ACK_DEADLINE_S)

    published: dict[int, bytes] = {}
    with parts.running(parts.engine_part(settings), settings):
        for name, folder in archives.items():
            _submit(settings, name, folder)
        enough = threading.Event()
        publisher = threading.Thread(target=_publish, args=(settings, published, chance.randbytes(8), enough))
        publisher.start()
        for victims in [_workers] * KILLS + [_engine_and_workers]:
            # A kill counts only if both builds were at work again since the last one.
            for name, folder in archives.items():
                _wait(_more_than(_objects(folder), folder), 90, f"the {name} build to archive")
            time.sleep(chance.uniform(0.2, 1.5))
            for process in victims(settings):
                process.kill()

    # The engine has lost everything that it knew; only what Pub/Sub still holds can save the rest.
    with parts.running(parts.engine_part(settings), settings):
        _submit(settings, "right", archives["right"])
        enough.set()
        publisher.join()
        _wait(
            lambda: len(set(archived_payloads(archives["right"]))) == len(published),
            150,
            "the right build to archive everything",
        )
        for process in _engine_and_workers(settings):
            process.kill()

    time.sleep(ACK_DEADLINE_S)
    verdicts = {}
    for name, folder in archives.items():
        subscription = f"projects/{settings.project}/subscriptions/minutes-{name}"
        verdicts[name] = judge(published, archived_payloads(folder), drain(subscription, SubscriberClient()))
    print(verdicts["right"], verdicts["broken"]._replace(lost=verdicts["broken"].lost[:5]))
    assert verdicts["right"].lost == []
    assert verdicts["right"].archived == len(published)
    assert verdicts["broken"].lost, "the oracle did not catch a build that acknowledges before it archives"


def _submit(settings: Settings, name: str, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.faults.archive_job",
        f"--subscription=projects/{settings.project}/subscriptions/minutes-{name}",
        f"--archive={folder}",
        "--slow-s=0.3",
        f"--job_name={name}",
        *runner_options(settings),
        "--checkpointing_interval=2000",
    ]
    if name == "broken":
        command.append("--broken")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _publish(settings: Settings, published: dict[int, bytes], run: bytes, enough: threading.Event) -> None:
    topic = f"projects/{settings.project}/topics/minutes"
    with pubsub_v1.PublisherClient() as client:
        for number in itertools.count():
            if enough.wait(1 / MESSAGES_PER_S):
                return
            payload = run + number.to_bytes(4, "big") + bytes(1_000)
            client.publish(topic, payload).result(timeout=30)
            published[number] = payload


def _more_than(before: int, folder: Path) -> Callable[[], bool]:
    return lambda: _objects(folder) > before


def _objects(folder: Path) -> int:
    return len(list(folder.glob(f"{PARTITIONS}/*.avro")))


def _workers(settings: Settings) -> list[psutil.Process]:
    return [process for process in _engine_and_workers(settings) if "local.sdk_worker" in process.cmdline()]


def _engine_and_workers(settings: Settings) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["environ"]):
        environ = process.info["environ"] or {}
        if environ.get(parts.RUN_MARK) == str(settings.run):
            try:
                if any(
                    word in " ".join(process.cmdline()) for word in ("FlinkJobServer", "local.sdk_worker")
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
    return found


def _wait(ready: Callable[[], bool], limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.2)
