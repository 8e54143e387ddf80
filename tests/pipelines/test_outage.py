"""Object storage is away under load: alarms go on, nothing is lost, no job restarts."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US
from tests.fakes import FakeGateway, body_of_event, body_of_minute, event
from tests.pipelines.conftest import RunningPipeline, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

# `HEARTHWATCH_OUTAGE_S=90` for the long form.
OUTAGE_S = float(os.environ.get("HEARTHWATCH_OUTAGE_S", "15"))
PAUSE_S = 0.5
ALARM_WITHIN_S = 5.0


def test_alarms_go_on_while_object_storage_is_away_and_the_archive_is_complete_after(
    running: RunningPipeline,
) -> None:
    chance = np.random.default_rng(4)
    gateways = (running.fleet.gateway(number) for number in range(1_001, 9_999))
    sent: list[bytes] = []
    delays: list[float] = []

    def raise_one(limit_s: float) -> None:
        """A home's minute, and its alarm."""
        gateway = next(gateways)
        minute, smoke = _minute(gateway, chance), _smoke(gateway)
        sent.extend((minute, smoke))
        running.publish("minutes", minute)
        running.publish("urgent", smoke)
        began = time.monotonic()
        eventually(
            lambda: len(running.alarms(gateway.home_id)) == 1, f"the alarm of {gateway.home_id}", limit_s
        )
        delays.append(time.monotonic() - began)

    raise_one(150)  # the jobs may be starting
    eventually(lambda: set(sent) <= set(running.archived()), "both jobs at work")
    delays.clear()
    time.sleep(1)  # the stand-in rewrites its index after each object, and is not to be killed meanwhile
    workers = {worker.pid for worker in running.workers()}
    with running.without_storage():
        ends = time.monotonic() + OUTAGE_S
        while time.monotonic() < ends:
            raise_one(OUTAGE_S)
            time.sleep(PAUSE_S)
    print(f"{len(delays)} alarms in {OUTAGE_S:.0f} s, slowest {max(delays):.2f} s")
    assert max(delays) < ALARM_WITHIN_S
    eventually(lambda: set(sent) <= set(running.archived()), "everything in the archive", 60)
    assert {worker.pid for worker in running.workers()} == workers, "a job restarted"


def _minute(gateway: FakeGateway, chance: np.random.Generator) -> bytes:
    now_us = time.time_ns() // 1_000
    body = body_of_minute(now_us // MINUTE_US * MINUTE_US - MINUTE_US, chance, gateway_id=gateway.gateway_id)
    return gateway.envelope(body, seq=1, created_us=now_us)


def _smoke(gateway: FakeGateway) -> bytes:
    now_us = time.time_ns() // 1_000
    body = body_of_event(event(occurred_us=now_us, event_id=2))
    return gateway.envelope(body, seq=2, lane=pb.LANE_URGENT, created_us=now_us)
