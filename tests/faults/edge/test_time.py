"""Clocks that are set, and outages of a day and of a week in simulated time, with the backlog draining."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path
from typing import Final

import pytest

from edge_client.config import UplinkConfig
from edge_client.uplink import Uplink
from schemas import hearthwatch_v1_pb2 as pb
from schemas.topics import LANE_TOPICS, RICH, sensor_topic
from tests.edge_client.fakes import (
    GATEWAY,
    HOME,
    MINUTE,
    SECOND,
    START_US,
    FakePublisher,
    air_frame,
    motion_frame,
    opened,
)
from tests.faults.edge.home import ACKNOWLEDGED, ARRIVED, SENT, Home
from tests.faults.edge.judge import item_of, judge
from tests.faults.edge.length import LONG
from tests.faults.results import record

DAY_S: Final = 86_400
SEED: Final = 20_261_127
BACKLOG_PER_S: Final = 500.0
DRAINED_S: Final = 600.0 if LONG else 120.0  # on an idle machine a fifth of it


@pytest.mark.parametrize(
    ("boot_us", "step_s"),
    [(START_US, DAY_S), (START_US, -DAY_S), (START_US, -3_600), (0, START_US // SECOND)],
    ids=["a day ahead", "a day back", "an hour back", "unset at boot"],
)
def test_clock_that_is_set_loses_nothing(
    memory_folder: Path, boot_us: int, step_s: int, request: pytest.FixtureRequest
) -> None:
    heard: dict[bytes, list[bytes]] = {SENT: [], ACKNOWLEDGED: [], ARRIVED: []}
    home = Home(
        memory_folder,
        memory_folder / "witness",
        SEED,
        lambda kind, content: heard[kind].append(content),
        start_us=boot_us,
    )
    home.run(100)
    home.clock.set(home.clock.now_us() + step_s * SECOND)
    home.run(100)
    home.settle()
    home.close()
    verdict = judge(map(item_of, heard[ACKNOWLEDGED]), heard[ARRIVED])
    assert verdict.acknowledged > 200
    assert (verdict.lost, verdict.declared, verdict.doubled, verdict.reused) == ([], [], [], [])
    unset = [opened(data)[0].clock_unset for data in heard[ARRIVED]]
    assert any(unset) == (boot_us == 0), "the cloud is told"
    record(
        f"clock: {request.node.callspec.id}",
        acknowledged=verdict.acknowledged,
        lost=0,
        duplicated=verdict.duplicated,
        declared=0,
        recovery_s=None,
        note="simulated time",
    )


@pytest.mark.system
@pytest.mark.timeout(1_200 if LONG else 300)
@pytest.mark.parametrize("days", [1, *([7] if LONG else [])])
def test_outage_of_days_drains_urgent_first_then_the_live_minute_then_the_backlog(
    memory_folder: Path, days: int
) -> None:
    heard: dict[bytes, list[bytes]] = {SENT: [], ACKNOWLEDGED: [], ARRIVED: []}
    home = Home(
        memory_folder, memory_folder / "witness", SEED, lambda kind, content: heard[kind].append(content)
    )
    minutes = days * DAY_S // 60
    for minute in range(minutes):
        start_us = START_US + minute * MINUTE
        home.send(sensor_topic(HOME, RICH, "air-kitchen"), air_frame(start_us + SECOND).SerializeToString())
        home.send(sensor_topic(HOME, RICH, "motion-hall"), motion_frame(start_us).SerializeToString())
        if minute % 120 == 0:
            home.panic()
        for _ in range(2):
            home.clock.forward(30)
            home.core.step()
    home.clock.forward(3)
    home.core.step()
    assert home.outbox.pending(pb.LANE_MINUTES) == minutes

    publisher = FakePublisher()
    uplink = Uplink(
        home.outbox,
        publisher,
        home_id=HOME,
        gateway_id=GATEWAY,
        topics=LANE_TOPICS,
        config=UplinkConfig(backlog_per_s=BACKLOG_PER_S),
        fresh_since_us=lambda: home.clock.now_us() - 2 * MINUTE,
        rng=random.Random(SEED),
    )
    began_s = time.monotonic()
    uplink.start()
    while len(publisher.messages) < minutes + minutes // 120:
        assert time.monotonic() < began_s + DRAINED_S, f"{len(publisher.messages)} messages drained"
        time.sleep(0.02)
    drained_s = time.monotonic() - began_s
    uplink.stop(5)
    home.close()

    lanes = [topic for topic, _, _ in publisher.messages]
    assert "urgent" not in lanes[minutes // 4 :], "alarms do not wait for the backlog"
    sent = [header.created_us for header, _ in publisher.batches("minutes")]
    live = [at_us for at_us in sent if at_us >= home.clock.now_us() - 2 * MINUTE]
    assert sent[: len(live)] == sorted(live, reverse=True), "what is live goes first"
    assert sent[len(live) :] == sorted(sent[len(live) :]), "then the oldest"
    assert drained_s > 0.8 * minutes / BACKLOG_PER_S, "at a limited rate"
    times = [at_s for at_s, topic in zip(publisher.times_s, lanes, strict=True) if topic == "minutes"]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert max(pauses) > 1.2 * min(pauses), "with jitter"
    verdict = judge(map(item_of, heard[ACKNOWLEDGED]), [data for _, data, _ in publisher.messages])
    assert verdict.acknowledged == 2 * minutes + minutes // 120
    assert (verdict.lost, verdict.declared, verdict.doubled, verdict.reused) == ([], [], [], [])
    record(
        f"outage of Pub/Sub for {days * 24} h",
        acknowledged=verdict.acknowledged,
        lost=0,
        duplicated=verdict.duplicated,
        declared=0,
        recovery_s=drained_s,
        note=f"simulated time; {minutes} minutes, then drained at {BACKLOG_PER_S:g} a second",
    )
