"""Publish → read → archive → acknowledge on Flink, killed at random: nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import emulators, parts
from local.config import Settings, isolated
from local.engine import runner_options
from local.topics import create_pair
from schemas.archive import PARTITIONS
from tests.faults.form import times
from tests.faults.load import Load, numbered
from tests.faults.oracle import archived_payloads, drain, judge
from tests.faults.processes import Processes, kill_workers, submit
from tests.faults.results import record
from tests.faults.system import eventually
from tests.faults.told import short, told
from transforms.pubsub_client import SubscriberClient

pytestmark = [pytest.mark.system, pytest.mark.timeout(420)]

MESSAGES_PER_S = 100  # published through all of the kills
PAYLOAD_BYTES = 1_000
ACK_DEADLINE_S = 20
KILLS = times(1, 3)  # of all workers; then of the engine too
START_S = 240.0  # half a minute on an idle machine
SEED = 20_261_123


def test_a_killed_worker_or_engine_loses_nothing_and_an_early_acknowledgement_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both builds read the same messages under the same kills; only the broken one loses some."""
    chance = random.Random(SEED)
    settings = isolated(tmp_path, warehouse="off")
    for name, value in emulators.client_environment(settings).items():
        monkeypatch.setenv(name, value)
    archives = {name: settings.run / "archive" / name for name in ("right", "broken")}
    with Processes() as processes:
        processes.start(next(part for part in parts.stand_ins(settings) if part.name == "pubsub"), settings)
        processes.start(parts.engine_part(settings), settings)
        for name, folder in archives.items():
            create_pair(
                settings, topic="minutes", subscription=f"minutes-{name}", ack_deadline_s=ACK_DEADLINE_S
            )
            _submit(settings, name, folder)
        topic = f"projects/{settings.project}/topics/minutes"
        messages = numbered(chance.randbytes(8), PAYLOAD_BYTES)
        with Load(settings.pubsub_port, topic, itertools.islice(messages, 10), MESSAGES_PER_S) as first:
            for name, folder in archives.items():
                eventually(_more_than(0, folder), f"the {name} build to start", START_S)
        with Load(settings.pubsub_port, topic, messages, MESSAGES_PER_S) as load:
            for kill in range(KILLS + 1):
                # A kill counts only if both builds were at work again since the last one.
                for name, folder in archives.items():
                    eventually(_more_than(_objects(folder), folder), f"the {name} build to archive", 90)
                time.sleep(chance.uniform(0.2, 1.5))
                if kill == KILLS:
                    processes.kill("engine")
                kill_workers(settings)
            # The engine has lost everything that it knew; only what Pub/Sub still holds can save the rest.
            processes.restart("engine")
            _submit(settings, "right", archives["right"])
        published = dict(enumerate([*first.acknowledged, *load.acknowledged]))
        eventually(
            lambda: len(set(archived_payloads(archives["right"]))) == len(published),
            "the right build to archive everything",
            150,
        )
        eventually(
            lambda: (
                {short(payload) for payload in published.values()}
                <= told(settings.run / "told", "acknowledged")
            ),
            "the right build to acknowledge everything",
            60,
        )
        processes.stop("engine")
        time.sleep(ACK_DEADLINE_S)
        verdicts, waiting = {}, {}
        for name, folder in archives.items():
            waiting[name] = drain(_subscription(settings, name), SubscriberClient())
            verdicts[name] = judge(published, archived_payloads(folder), waiting[name])
    print(verdicts["right"], verdicts["broken"]._replace(lost=verdicts["broken"].lost[:5]))
    record(
        "`kill -9` of workers and of the one-process engine",
        acknowledged=len(published),
        lost=len(verdicts["right"].lost),
        duplicated=verdicts["right"].copies,
        declared=0,
        recovery_s=None,
        note=f"{KILLS} and 1 kills; a build that acknowledges before it archives lost "
        f"{len(verdicts['broken'].lost)}; seed {SEED}",
    )
    print(f"unacknowledged at the end: {len(waiting['right'])}")
    assert verdicts["right"].lost == []
    assert len(waiting["right"]) < len(published) / 10, "what acknowledges nothing cannot lose anything"
    assert verdicts["right"].archived == len(published)
    assert verdicts["broken"].lost, "the oracle did not catch a build that acknowledges before it archives"


def _submit(settings: Settings, name: str, folder: Path) -> None:
    submit(
        "tests.faults.archive_job",
        f"--subscription={_subscription(settings, name)}",
        f"--archive={folder}",
        f"--told={settings.run / 'told'}",
        "--slow-s=0.3",
        f"--job_name={name}",
        *runner_options(settings),
        "--checkpointing_interval=2000",
        *(["--broken"] if name == "broken" else []),
    )


def _subscription(settings: Settings, name: str) -> str:
    return f"projects/{settings.project}/subscriptions/minutes-{name}"


def _more_than(before: int, folder: Path) -> Callable[[], bool]:
    return lambda: _objects(folder) > before


def _objects(folder: Path) -> int:
    return len(list(folder.glob(f"{PARTITIONS}/*.avro")))
