"""Homes that live under both uplink policies: what their gateways would publish and upload."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks.recorded import LOCAL_OFFSET_S, MODES, SEALED_LATE_US, RecordedFleet, render
from edge_client.config import ObjectsConfig
from edge_client.config_file import checked
from edge_client.core import Core
from edge_client.hourly import HourlyObjects
from edge_client.identity import Identity
from edge_client.intake import Arrival
from edge_client.outbox import Outbox
from edge_client.policy import LivePolicy, UplinkPolicy
from edge_client.sealing import Change, Draft, Place, Sealer
from edge_client.users import hash_code
from edge_client.witness import Witness
from local.simulator import devices, household
from local.simulator.enrol import gateway_sensors
from local.simulator.scenarios import Script
from local.simulator.sensors import SimulatedHome
from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US, SECONDS
from schemas.topics import (
    LANE_TOPICS,
)
from transforms.elements import RawMessage

SEED: Final = 61


class ManualClock:
    """Stands still until told."""

    speed = 1.0

    def __init__(self, start_us: int) -> None:
        self._start_us = self.at_us = start_us

    def now_us(self) -> int:
        """µs since 1970 UTC."""
        return self.at_us

    def elapsed_us(self) -> int:
        """µs since the start."""
        return self.at_us - self._start_us


class Objects:
    """An object store that takes everything."""

    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    def begin(self, name: str, size: int, md5: bytes) -> str | None:
        """See ObjectStore."""
        del size, md5
        self.found[name] = b""
        return name

    def received(self, session: str, size: int) -> int:
        """See ObjectStore."""
        del size
        return len(self.found[session])

    def send(self, session: str, chunk: bytes, first: int, size: int) -> int:
        """See ObjectStore."""
        del first, size
        self.found[session] += chunk
        return len(self.found[session])


class Run(NamedTuple):
    """What one gateway sent in one life."""

    messages: list[RawMessage]
    objects: dict[str, bytes]


class Life(NamedTuple):
    """One home and the time that it lives."""

    home: int
    start_us: int
    minutes: int
    script: Script


def quiet_runs(life: Life, fleet: RecordedFleet) -> dict[UplinkPolicy, Run]:
    """A quiet home's minutes under both policies: nothing happens that would raise an event."""
    sender, policy = fleet.sender(life.home), LivePolicy(devices.gateway_id(life.home))
    sent: dict[UplinkPolicy, list[RawMessage]] = {each: [] for each in UplinkPolicy}
    kept: list[pb.Reading] = []
    identity = Identity(sender.home_id, sender.gateway_id, sender.key, sender.certificate)
    sealer = Sealer(identity, "0.1.0", False)

    def publish(each: UplinkPolicy, draft: Draft, mode: str, at_us: int) -> None:
        seq = len(sent[each]) + 1
        arming = pb.Arming(mode=MODES[mode], phase=pb.ARMING_PHASE_SET, since_us=life.start_us)
        envelope = sealer.seal(draft, Change(at_us, arming), Place(sender.epoch, seq, seq, [], None))
        sent[each].append(RawMessage(envelope, [], str(seq), at_us, LANE_TOPICS[draft.lane]))

    for minute in render(SEED, life.home, life.minutes, life.start_us):
        at_us = minute.minute_us + MINUTE_US + SEALED_LATE_US
        arming = pb.Arming(mode=MODES[minute.mode])
        split = policy.split(minute.minute_us, minute.body.readings, arming, payloads=False)
        kept += split.later
        publish(UplinkPolicy.FULL, Draft(pb.LANE_MINUTES, minute.body), minute.mode, at_us)
        publish(UplinkPolicy.ADAPTIVE, Draft(pb.LANE_MINUTES, split.live, packed=True), minute.mode, at_us)
    data = bulk.pack_object(kept, sender.home_id, sender.gateway_id)
    digest = bulk.sha256(data)
    reference = pb.BulkReference(
        object=bulk.object_name(sender.home_id, sender.gateway_id, life.start_us, digest),
        sha256=digest,
        size=len(data),
        first_minute_us=life.start_us,
        last_minute_us=life.start_us + (life.minutes - 1) * MINUTE_US,
        readings=len(kept),
    )
    notice = Draft(pb.LANE_BULK, pb.Body(bulk=[reference]), packed=True)
    publish(UplinkPolicy.ADAPTIVE, notice, "disarmed", life.start_us + 90 * MINUTE_US)
    return {
        UplinkPolicy.FULL: Run(sent[UplinkPolicy.FULL], {}),
        UplinkPolicy.ADAPTIVE: Run(sent[UplinkPolicy.ADAPTIVE], {reference.object: data}),
    }


def live(life: Life, policy: UplinkPolicy, fleet: RecordedFleet, folder: Path) -> Run:
    """A home's messages through its gateway."""
    sender, clock = fleet.sender(life.home), ManualClock(life.start_us)
    code = hash_code(household.keypad_code(SEED, life.home), b"saltsalt")
    config = checked(
        {
            "home_id": sender.home_id,
            "gateway_id": sender.gateway_id,
            "key_path": folder / "unused",
            "certificate_path": folder / "unused",
            "pubsub": {"project": "benchmark"},
            "outbox": {"path": folder / f"{policy}-{life.home}-{life.start_us}.db"},
            "sensors": gateway_sensors(),
            "users": [{"id": "resident", "code_hash": code}],
            "arming": {"exit_delay_s": 45},
            "uplink": {"policy": policy},
            "objects": {"bucket": "b"},
        }
    )
    rng = np.random.default_rng([SEED, life.home, life.start_us // MINUTE_US])
    outbox = Outbox(
        config.outbox.path,
        Identity(sender.home_id, sender.gateway_id, sender.key, sender.certificate),
        Witness(config.outbox.path.with_suffix(".witness"), b"b" * 36),
        max_bytes=1 << 30,
        random_bytes=rng.bytes,
        software_version="0.1.0",
    )
    core = Core(
        config,
        outbox,
        clock=clock,
        new_id=lambda: rng.bytes(16),
        acknowledge=lambda _: None,
        committed=lambda _: None,
        redeliver=lambda: None,
    )
    store = Objects()
    home = SimulatedHome(SEED, life.home, life.start_us, LOCAL_OFFSET_S, life.script)
    messages: list[RawMessage] = []
    for second in range(life.minutes * SECONDS + 4):
        for message in home.second(second):
            clock.at_us = max(clock.at_us, message.due_us)
            core.arrived(Arrival(message.topic, message.payload))
        clock.at_us = life.start_us + (second + 1) * 1_000_000
        core.step()
        messages += _published(outbox, clock.at_us, (pb.LANE_URGENT, pb.LANE_MINUTES))
    hourly = HourlyObjects(
        outbox,
        store,
        home_id=sender.home_id,
        gateway_id=sender.gateway_id,
        file=config.outbox.path.with_suffix(".object"),
        config=ObjectsConfig(bucket="b", delay_s=0, spread_s=0, bytes_per_s=1 << 30),
        clock=clock,
        arming=core.rules.arming.snapshot,
        committed=lambda _: None,
        rng=random.Random(1),
    )
    clock.at_us += 2 * 60 * MINUTE_US
    while hourly.step() == 0:
        pass
    messages += _published(outbox, clock.at_us, (pb.LANE_BULK,))
    outbox.close()
    return Run(messages, store.found)


def _published(outbox: Outbox, at_us: int, lanes: Iterable[pb.Lane]) -> list[RawMessage]:
    found = []
    for lane in lanes:
        while batch := outbox.take(lane):
            outbox.confirm(batch)
            found.append(RawMessage(batch.envelope, [], f"{batch.seq}", at_us, LANE_TOPICS[lane]))
    return found
