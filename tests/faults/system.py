"""The cloud half under faults: both lanes' jobs on a cluster, stand-ins behind proxies, load and judge."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from local import parts
from local.cluster import Cluster
from local.config import isolated
from local.parts import Part
from local.simulator.enrol import ROSTER_FILE
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.readings import MINUTE_US
from schemas.roster import roster_text
from tests.fakes import FakeGateway, Fleet, body_of_event, body_of_minute, event
from tests.faults import oracle
from tests.faults.load import Load
from tests.faults.processes import Processes, workers
from tests.faults.proxy import FaultProxy

HOMES: Final = 60  # one batch a second, as so many gateways send
EVENTS_PER_S: Final = 0.5
REPEATED: Final = 0.2
READINGS_A_BATCH: Final = 10
LANES: Final = ("urgent", "minutes")
_FIRST_ALARM_HOME: Final = 1_000
_POLL_S: Final = 0.5
_START_S: Final = 600.0  # a minute on an idle machine


class Settled(NamedTuple):
    """What became of what was acknowledged since the settlement before.

    Attributes:
        lost: Of everything so far, not archived when the time was up.
        seconds: Until nothing was missing, or until the time was up.
        complaints: What is not as promised, in words; empty if all is well.
    """

    batches: int
    events: int
    lost: int
    duplicated: int
    declared: int
    seconds: float
    complaints: list[str]


class FaultSystem:
    """A context manager: starts everything, waits until both lanes flow, stops everything.

    The process that judges must have `local.emulators.client_environment(settings)` in its environment.

    Attributes:
        seed: Of keys, payloads, repeated messages, and of when faults strike.
        settings: Where the stand-ins really are. What the pipeline is told leads to the proxies.
        proxies: By stand-in: "pubsub", "gcs", "firestore", and "bigquery" if there is a warehouse.
        loads: By lane. Gateways reach Pub/Sub by the same proxy as the pipeline.
    """

    def __init__(self, run_dir: Path, seed: int, warehouse: Literal["on", "off"] = "off") -> None:
        self.settings = isolated(run_dir, warehouse=warehouse)
        self.chance = random.Random(seed)
        self.processes = Processes()
        self.proxies: dict[str, FaultProxy] = {}
        self.loads: dict[str, Load] = {}
        self.seed = seed
        self._fleet = Fleet(seed, now_us=time.time_ns() // 1_000)
        self._judged = dict.fromkeys(LANES, 0)
        self._episodes_read: dict[str, oracle.Episode] = {}
        self._sent: list[bytes] = []
        self.archive = oracle.Archive(self.bucket / "monitor" / "archive")

    @property
    def bucket(self) -> Path:
        """Where the storage stand-in keeps its objects."""
        return self.settings.data / "gcs" / ".cloudstorage" / self.settings.bucket

    @property
    def ca(self) -> Path:
        """The fleet CA's certificate, where the jobs look for it."""
        return self.settings.run / "fleet" / "ca.pem"

    @property
    def windows(self) -> Path:
        """Folder of what goes to the warehouse if that is not BigQuery."""
        return self.settings.run / "warehouse"

    def __enter__(self) -> FaultSystem:
        with ExitStack() as stack:
            self.ca.parent.mkdir(parents=True, exist_ok=True)
            self.ca.write_bytes(self._fleet.ca_pem)
            # Nobody is to be missed: silence is judged in tests/pipelines/.
            (self.ca.parent / ROSTER_FILE).write_text(roster_text([], time.time_ns() // 1_000))
            stack.enter_context(self.processes)
            for part in parts.stand_ins(self.settings):
                if part.name in ("pubsub", "gcs", "firestore", "bigquery"):
                    self.processes.start(part, self.settings)
                    port = getattr(self.settings, f"{part.name}_port")
                    self.proxies[part.name] = stack.enter_context(FaultProxy(port))
            ports = {f"{name}_port": proxy.port for name, proxy in self.proxies.items()}
            self.pipeline = self.settings.model_copy(update=ports)
            self.cluster = Cluster.isolated(self.pipeline)
            for part in self.cluster.parts():
                self.processes.start(part, self.pipeline)
            for lane in LANES:
                self.processes.start(self.driver(lane), self.pipeline)
            self._store = firestore.Client(self.settings.project, credentials=AnonymousCredentials())
            stack.callback(self._store.close)
            self._start_load(stack)
            eventually(
                lambda: all(load.acknowledged for load in self.loads.values()), "the first messages", 60
            )
            started = self.settle(_START_S)
            assert started.complaints == [], started
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def driver(self, lane: str, *more: str) -> Part:
        """The process that submits a lane's job and stays with it."""
        command = parts.pipeline_commands(self.pipeline)[f"monitor-{lane}"]
        if lane == "minutes" and self.settings.warehouse == "off":
            command.append(f"--warehouse={self.windows}")
        parallelism = 2 if lane == "minutes" else 1
        command += ["--checkpointing_interval=2000", f"--parallelism={parallelism}", *more]
        return Part(f"monitor-{lane}", f"Driver of the {lane} lane", command, lambda: True)

    def eventually_workers(self) -> None:
        """Wait until each lane has a worker: a kill before that would hit nothing."""
        eventually(lambda: len(workers(self.settings)) >= len(LANES), "the engine to start workers", 120)

    def settle(self, limit_s: float) -> Settled:
        """Wait until both lanes publish again, everything acknowledged by then is archived, and every alarm
        is one whole episode; or until `limit_s` has passed."""
        began = time.monotonic()
        duplicated_before = self.archive.duplicated
        flowing = {lane: len(load.acknowledged) + 1 for lane, load in self.loads.items() if load.is_alive()}
        eventually(
            lambda: all(len(self.loads[lane].acknowledged) >= count for lane, count in flowing.items()),
            "Pub/Sub to confirm messages",
            limit_s,
        )
        acknowledged = {lane: list(load.acknowledged) for lane, load in self.loads.items()}
        payloads = itertools.chain(*acknowledged.values(), self._sent)
        wanted = {oracle.digest(payload) for payload in payloads}
        expected = oracle.events_of(acknowledged["urgent"])
        while True:
            self.archive.look()
            missing = self.archive.missing(wanted)
            judged = oracle.judge_episodes(expected, self._episodes(expected), "fire")
            waited_s = time.monotonic() - began
            if not (missing or judged.missing or judged.incomplete) or waited_s > limit_s:
                break
            time.sleep(_POLL_S)
        # Of what was acknowledged: a newer message may be in the archive before the one that precedes it.
        held = oracle.ledger(self.archive.headers[one] for one in wanted - set(missing))
        complaints = [f"{len(missing)} of {len(wanted)} messages are not archived"] if missing else []
        complaints += [
            f"{name} of alarms: {homes}"
            for name, homes in judged._asdict().items()
            if name != "expected" and homes
        ]
        complaints += [f"undeclared {hole}" for hole in held.holes]
        counts = {lane: len(payloads) - self._judged[lane] for lane, payloads in acknowledged.items()}
        self._judged = {lane: len(payloads) for lane, payloads in acknowledged.items()}
        return Settled(
            counts["minutes"],
            counts["urgent"],
            len(missing),
            self.archive.duplicated - duplicated_before,
            held.declared,
            waited_s,
            complaints,
        )

    def gateway(self, number: int) -> FakeGateway:
        """A gateway of the fleet, for what a test sends beside the load."""
        return self._fleet.gateway(number)

    def send(self, lane: str, *payloads: bytes) -> None:
        """Publish these until each is confirmed; they are judged with the load."""
        topic = f"projects/{self.settings.project}/topics/{lane}"
        with Load(self.proxies["pubsub"].port, topic, payloads, per_s=100) as sending:
            sending.join()
        self._sent += sending.acknowledged

    def stop_load(self) -> None:
        """Publish no more."""
        for load in self.loads.values():
            load.stop()

    def _episodes(self, homes: dict[str, set[str]]) -> list[oracle.Episode]:
        """Episodes in Firestore, past the proxy, with their evidence; of homes that are asked for."""
        found = []
        for snapshot in self._store.collection("alarms").stream(timeout=20):
            alarm = snapshot.to_dict()
            known = self._episodes_read.get(snapshot.id)
            if known and homes.get(known.home_id, set()) <= known.evidence:
                found.append(known)
                continue
            evidence = snapshot.reference.collection("evidence").stream(timeout=20)
            keys = (
                oracle.evidence_key(one["code"], one["sensor_id"], one["occurred_us"])
                for one in (document.to_dict() for document in evidence)
            )
            episode = oracle.Episode(alarm["home_id"], alarm["kind"], frozenset(keys))
            self._episodes_read[snapshot.id] = episode
            found.append(episode)
        return [episode for episode in found if episode.home_id in homes]

    def _start_load(self, stack: ExitStack) -> None:
        made = {"urgent": self._events(), "minutes": self._minutes()}
        pace = {"urgent": EVENTS_PER_S, "minutes": HOMES / 60}
        for lane in LANES:
            topic = f"projects/{self.settings.project}/topics/{lane}"
            port = self.proxies["pubsub"].port
            load = Load(port, topic, made[lane], pace[lane], repeat=REPEATED, seed=self.seed)
            self.loads[lane] = stack.enter_context(load)

    def _minutes(self) -> Iterator[bytes]:
        """Batches of all homes, minute after minute, as many a minute as there are homes."""
        rng = np.random.default_rng(self.seed)
        gateways = [self._fleet.gateway(number) for number in range(1, HOMES + 1)]
        start_us = time.time_ns() // 1_000 // MINUTE_US * MINUTE_US - MINUTE_US
        for seq in itertools.count(1):
            minute_us = start_us + seq * MINUTE_US - MINUTE_US
            for gateway in gateways:
                body = body_of_minute(minute_us, rng, gateway_id=gateway.gateway_id)
                yield gateway.envelope(body, seq=seq, created_us=time.time_ns() // 1_000)

    def _events(self) -> Iterator[bytes]:
        """Two events a home, of one alarm; then the next home."""
        for number in itertools.count(_FIRST_ALARM_HOME):
            gateway = self._fleet.gateway(number)
            for seq, code, sensor in ((1, Code.SMOKE, "smoke-kitchen"), (2, Code.HEAT, "air-kitchen")):
                now_us = time.time_ns() // 1_000
                happened = event(code, event_id=seq, sensor_id=sensor, occurred_us=now_us)
                yield gateway.envelope(
                    body_of_event(happened), seq=seq, lane=pb.LANE_URGENT, created_us=now_us
                )


def eventually(ready: Callable[[], bool], what: str, limit_s: float) -> None:
    """Wait until it holds, or fail saying what did not come."""
    assert happens(ready, limit_s), f"waited {limit_s:.0f} s for {what}"


def happens(ready: Callable[[], bool], limit_s: float) -> bool:
    """Wait until it holds, at most so long → whether it does."""
    deadline = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
