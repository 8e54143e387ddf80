"""The parts of the local system: what each runs, when it counts as ready, and what it needs first."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from local import accounts, credentials, emulators, engine, fcm, models, probes, tools, topics
from local.config import HOST, Settings, variable
from local.simulator import enrol as fleet
from local.simulator.settings import SimulationSettings
from schemas import hearthwatch_v1_pb2 as pb
from schemas.topics import LANE_TOPICS

# In the environment of every process of a run: by it `hearthwatch down` finds what its parent left.
RUN_MARK: Final = "HEARTHWATCH_RUN_MARK"
_LOOK_EVERY_S: Final = 0.1


class Part(NamedTuple):
    """One process under the supervisor.

    Attributes:
        name: Also the name of its log.
        title: What a person calls it.
        command: Its command line.
        ready: Asked until it says yes.
        ready_within_s: After that the start has failed. All parts start together, on a busy machine of two
            cores minutes; one that ends is told at once.
        after: Names of the parts that must be ready before it starts.
        ports: Names of the settings that hold its ports.
        address: Where a person or client reaches it, "" if nobody does.
        prepare: Run before it starts (folders, configuration files).
        once_ready: Run when it is ready, before anything that waits for it.
        environment: Added to the common one.
        finishes: True: it may end by itself, with exit code 0.
        restartable: False: it keeps its data in memory only, so that a restart would lose what others
            believe to be safe; its end stops the whole system.
        stop_s: Time to end by itself before it is killed.
    """

    name: str
    title: str
    command: Sequence[str]
    ready: probes.Probe
    ready_within_s: float = 300.0
    after: Sequence[str] = ()
    ports: Sequence[str] = ()
    address: str = ""
    prepare: Callable[[], object] = lambda: None
    once_ready: Callable[[], object] = lambda: None
    environment: Mapping[str, str] = MappingProxyType({})
    finishes: bool = False
    restartable: bool = True
    stop_s: int = 10


def stand_ins(settings: Settings) -> list[Part]:
    """The homes' broker and the stand-ins for the cloud services."""
    parts = [
        Part(
            "mqtt",
            "MQTT broker of the homes",
            emulators.mqtt_command(settings),
            probes.tcp(settings.mqtt_port),
            ports=["mqtt_port"],
            address=settings.address(settings.mqtt_port),
        ),
        Part(
            "pubsub",
            "Pub/Sub emulator",
            emulators.pubsub_command(settings),
            probes.http(settings.pubsub_port),
            ports=["pubsub_port"],
            address=settings.address(settings.pubsub_port),
            once_ready=lambda: topics.create(settings),
            restartable=False,
        ),
        Part(
            "firestore",
            "Firestore emulator",
            emulators.firestore_command(settings),
            probes.http(settings.firestore_port),
            ports=["firestore_port", "firestore_websocket_port"],
            address=settings.address(settings.firestore_port),
            restartable=False,
        ),
        Part(
            "auth",
            "Firebase Auth emulator",
            emulators.auth_command(settings),
            probes.http(settings.auth_port),
            ports=["auth_port", "auth_hub_port", "auth_logging_port"],
            address=settings.address(settings.auth_port),
            prepare=lambda: emulators.write_auth_config(settings),
            # CI: it asks no questions.
            environment={"CI": "1"},
            once_ready=lambda: accounts.create(settings),
            restartable=False,
        ),
        Part(
            "gcs",
            "Cloud Storage stand-in",
            emulators.gcs_command(settings),
            probes.http(settings.gcs_port),
            ports=["gcs_port"],
            address=settings.address(settings.gcs_port),
            prepare=lambda: (settings.data / "gcs").mkdir(parents=True, exist_ok=True),
            once_ready=lambda: models.seed(settings),
        ),
    ]
    if settings.warehouse == "on":
        parts.append(
            Part(
                "bigquery",
                "BigQuery stand-in",
                emulators.bigquery_command(settings),
                probes.http(settings.bigquery_port),
                ports=["bigquery_port", "bigquery_grpc_port"],
                address=settings.address(settings.bigquery_port),
                prepare=lambda: (settings.data / "bigquery").mkdir(parents=True, exist_ok=True),
                environment={"BQEMU_GCS_LOCAL_ROOT": str(settings.data / "gcs" / ".cloudstorage")},
            )
        )
    return parts


def engine_part(settings: Settings) -> Part:
    """The local Flink."""
    return Part(
        "engine",
        "Flink, one process",
        engine.engine_command(settings),
        probes.grpc_channel(settings.job_port),
        ports=["job_port"],
        address=settings.address(settings.job_port),
        prepare=lambda: engine.write_engine_config(settings),
        restartable=False,
    )


def pipeline_commands(settings: Settings, speed: float = 1.0) -> dict[str, list[str]]:
    """The streaming jobs, by name.

    The urgent one raises alarms and keeps nothing: it needs Pub/Sub and Firestore, and shares no fate with
    object storage or with the other, which hears all lanes and keeps everything: it is the second way of
    an urgent event, supervises the homes, and sees what is missing of a sequence that runs over all lanes.

    Accelerated homes (`speed` above 1) run ahead of the real clock: the widest tolerance keeps their
    readings from being dead letters. What is two minutes ahead still counts as late for windows.
    """
    common = [
        *([f"--clock-tolerance-s={31 * 86_400}"] if speed > 1 else []),
        f"--alarms=firestore://{settings.project}",
        f"--fleet-ca={settings.run / 'fleet' / 'ca.pem'}",
        *engine.runner_options(settings),
    ]
    urgent, minutes, bulk = (LANE_TOPICS[lane] for lane in (pb.LANE_URGENT, pb.LANE_MINUTES, pb.LANE_BULK))

    def job(name: str, subscriptions: Sequence[str], *flags: str) -> list[str]:
        urls = [f"pubsub://{settings.project}/{subscription}" for subscription in subscriptions]
        command = [sys.executable, "-m", "pipelines.monitor", "--input", *urls, f"--job_name={name}"]
        return [*command, *flags, *common]

    keep = [
        f"--output={settings.output_url}",
        f"--bulk=gs://{settings.bucket}",
        f"--registry={settings.registry_url}",
        f"--registry-keys={settings.registry_key.with_suffix('.pub')}",
    ]
    if settings.warehouse == "on":
        keep.append(f"--warehouse=bigquery://{settings.project}.{settings.dataset}")
    roster = f"--roster={settings.run / 'fleet' / fleet.ROSTER_FILE}"
    others = [topics.subscription(lane) for lane in (minutes, bulk)]
    return {
        "monitor-urgent": job("monitor-urgent", [topics.subscription(urgent)], "--lanes", urgent),
        "monitor-minutes": job(
            "monitor-minutes",
            [topics.subscription(urgent, second=True), *others],
            *("--lanes", urgent, minutes, bulk, "--proves", minutes, roster, *keep),
        ),
    }


def system(settings: Settings, simulation: SimulationSettings) -> list[Part]:
    """Everything but the homes, in order of start; it stops in reverse order."""

    def enrolled() -> None:
        fleet.enrol(
            settings.run,
            simulation.homes,
            simulation.seed,
            project=settings.project,
            broker_host=HOST,
            broker_port=settings.mqtt_port,
            now=dt.datetime.now(dt.UTC),
            bucket=settings.bucket,
            uplink=simulation.uplink,
        )

    stores = stand_ins(settings)
    # Enrolment comes with the first part: the CA's certificate must be there before whoever reads it.
    stores[0] = stores[0]._replace(prepare=enrolled)
    needed = [
        "mqtt",
        "pubsub",
        "firestore",
        "gcs",
        "engine",
        *(["bigquery"] if settings.warehouse == "on" else []),
    ]
    jobs = [
        # A job that runs is not yet one that works: that is what the path prover finds out.
        Part(name, f"Pipeline, {name.removeprefix('monitor-')} job", command, lambda: True, after=needed)
        for name, command in pipeline_commands(settings, simulation.speed).items()
    ]
    prover = Part(
        "prover",
        "Synthetic gateway",
        [
            tools.script("hearthwatch-gateway"),
            f"--config={settings.run / 'fleet' / 'path-prover' / 'gateway.json'}",
        ],
        probes.path_proven(settings.firestore_port, settings.project, "urgent"),
        after=[job.name for job in jobs],
    )
    web = Part(
        "web",
        "Dispatcher's page",
        [
            *(sys.executable, "-m", "webapp.serve"),
            f"--port={settings.web_port}",
            f"--project-id={settings.project}",
        ],
        probes.http(settings.web_port),
        after=["mqtt", "firestore", "auth"],  # the first brings the enrolment with the CA's certificate
        ports=["web_port"],
        address=f"http://{settings.address(settings.web_port)}",
        environment={
            "HEARTHWATCH_WEB_OUTPUT": settings.output_url,
            "HEARTHWATCH_WEB_FLEET_CA": str(settings.run / "fleet" / "ca.pem"),
            "HEARTHWATCH_WEB_SDK": str(tools.firebase_sdk(settings)),
            "HEARTHWATCH_WEB_WAREHOUSE": f"{settings.project}.{settings.dataset}"
            if settings.warehouse == "on"
            else "",
        },
    )
    return [*stores, *pushes(settings), engine_part(settings), web, *jobs, prover]


def pushes(settings: Settings) -> list[Part]:
    """The notifier, and the recorder in place of Firebase Cloud Messaging."""
    recorder = Part(
        "fcm",
        "Push recorder",
        [
            *(sys.executable, "-m", "local.fcm"),
            f"--port={settings.fcm_port}",
            f"--file={settings.data / 'pushes.jsonl'}",
        ],
        probes.http(settings.fcm_port),
        ports=["fcm_port"],
        address=f"http://{settings.address(settings.fcm_port)}",
        prepare=lambda: credentials.write_notifier(settings),
    )
    notifier = Part(
        "notifier",
        "Notifier",
        [sys.executable, "-m", "webapp.notifier"],
        probes.document_has(settings.firestore_port, settings.project, "operations/notifier", "alive_us"),
        after=["firestore", "fcm"],
        environment={
            "GOOGLE_APPLICATION_CREDENTIALS": str(credentials.notifier_file(settings)),
            "HEARTHWATCH_NOTIFIER_PROJECT_ID": settings.project,
            "HEARTHWATCH_NOTIFIER_FCM_URL": f"http://{settings.address(settings.fcm_port)}{fcm.ENDPOINT}",
        },
    )
    return [recorder, notifier]


def homes(settings: Settings, simulation: SimulationSettings) -> Part:
    """The simulated homes, as `hearthwatch simulate` runs them."""
    flags = [
        f"--homes={simulation.homes}",
        f"--scenario={simulation.scenario}",
        f"--speed={simulation.speed}",
        f"--uplink={simulation.uplink}",
    ]
    if simulation.duration_s is not None:
        flags.append(f"--duration={simulation.duration_s}")
    return Part(
        "homes",
        f"{simulation.homes} simulated homes",
        [tools.script("hearthwatch"), "simulate", f"--seed={simulation.seed}", *flags],
        (settings.run / "truth.jsonl").exists,
        after=["prover"],
        finishes=True,
        stop_s=30,
    )


@contextlib.contextmanager
def running(part: Part, settings: Settings) -> Iterator[Part]:
    """Start one part, wait until it is ready, yield it, stop its process group. For tests and benchmarks.

    Raises:
        NotReady: It ended or did not get ready in time.
    """
    settings.logs.mkdir(parents=True, exist_ok=True)
    settings.data.mkdir(parents=True, exist_ok=True)
    credentials.write(settings)
    part.prepare()
    log = settings.logs / f"{part.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            part.command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**environment(settings), **part.environment},
            cwd=settings.data,
            start_new_session=True,
        )
    try:
        wait_ready(part, log, lambda: process.poll() is None)
        part.once_ready()
        yield part
    finally:
        stop_group(process, part.stop_s)


def environment(settings: Settings) -> dict[str, str]:
    """The common environment of all parts: ours, the settings, the stand-ins' addresses, this run's mark."""
    chosen = {variable(name): str(value) for name, value in settings if value is not None}
    return {
        **os.environ,
        **chosen,
        **emulators.client_environment(settings),
        variable("run_dir"): str(settings.run),
        RUN_MARK: str(settings.run),
        "PYTHONUNBUFFERED": "1",
    }


class NotReady(RuntimeError):
    """A part ended or did not get ready in time. The message names it and carries the end of its log."""


def wait_ready(
    part: Part, log: Path, alive: Callable[[], bool], check: Callable[[], object] = lambda: None
) -> float:
    """Wait until the part is ready. Returns the seconds it took.

    Args:
        check: Called between two looks; may raise what makes waiting pointless.

    Raises:
        NotReady: It ended, or its time is over.
    """
    began = time.monotonic()
    while not part.ready():
        waited = time.monotonic() - began
        if not alive():
            raise NotReady(f"{part.title} ended after {waited:.1f} s. {log}:\n{tail(log)}")
        if waited > part.ready_within_s:
            raise NotReady(
                f"{part.title} was not ready after {waited:.0f} s, limit {part.ready_within_s:.0f} s. "
                f"{log}:\n{tail(log)}"
            )
        check()
        time.sleep(_LOOK_EVERY_S)
    return time.monotonic() - began


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, "" if there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def stop_group(process: subprocess.Popen[bytes], stop_s: float) -> None:
    """End a process and everything in its group: first politely, then by force."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(stop_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
