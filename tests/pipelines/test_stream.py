"""The running pipeline: bad input, repeated input, killed workers, and the same result from files."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from local.models import open_registry
from pipelines.io import choose_io
from pipelines.models import model_handlers
from pipelines.monitor import build
from pipelines.options import MonitorConfig
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.readings import MINUTE_US
from schemas.warehouse import WINDOW_SCORES
from serving.signing import Signer
from tests.fakes import DAY_US, FakeGateway, body_of_event, body_of_minute, event, rebuilt_as
from tests.pipelines.conftest import RunningPipeline, eventually
from tests.serving.models import shipped

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

RNG = np.random.default_rng(3)
REPEATS = "home-repeats"  # sends minutes again and again, each time with other content


def _now_us() -> int:
    return time.time_ns() // 1_000


def _minute(gateway: FakeGateway, seq: int, ago: int = 1, change: object = None, **header: object) -> bytes:
    """A batch of the minute `ago` minutes ago."""
    minute_us = _now_us() // MINUTE_US * MINUTE_US - ago * MINUTE_US
    body = body_of_minute(minute_us, RNG, gateway_id=gateway.gateway_id)
    if change:
        change(body)  # type: ignore[operator]
    held = {"oldest_unsent_seq": 1}  # these tests leave numbers out, and that is no loss
    return gateway.envelope(body, seq=seq, created_us=_now_us(), **(held | header))


def _urgent(gateway: FakeGateway, seq: int, **changes: object) -> bytes:
    changes = {"occurred_us": _now_us(), "event_id": seq, **changes}
    return gateway.envelope(
        body_of_event(event(**changes)),
        seq=seq,
        lane=pb.LANE_URGENT,
        created_us=_now_us(),
        oldest_unsent_seq=1,
    )


def test_bad_input_is_dead_lettered_whole_and_its_neighbours_live(running: RunningPipeline) -> None:
    fleet = running.fleet
    good, other, spoilt = fleet.gateway(1), fleet.gateway(2), fleet.gateway(3)
    expired = fleet.gateway(4, not_before_us=_now_us() - 400 * DAY_US, not_after_us=_now_us() - 40 * DAY_US)

    def set_nan(body: pb.Body) -> None:
        air = next(reading for reading in body.readings if reading.kind == pb.SENSOR_KIND_AIR)
        samples = np.frombuffer(air.air.samples, "<f4").copy()
        samples[7] = np.nan
        air.air.samples = samples.tobytes()

    def set_unknown_kind(body: pb.Body) -> None:
        body.readings[0].kind = 42

    def set_tomorrow(body: pb.Body) -> None:
        body.readings[0].minute_us += DAY_US // MINUTE_US * MINUTE_US

    before, after = _minute(good, 1, ago=2), _minute(good, 2)
    whole = _minute(other, 1)
    unknown_version = pb.Header.FromString(pb.Envelope.FromString(whole).header)
    unknown_version.schema_version = 9
    bad = {
        "random bytes": RNG.bytes(500),
        "truncated": whole[: len(whole) // 2],
        "oversize": bytes((1 << 20) + 1),
        "wrong signature": rebuilt_as(whole, signature=bytes(64)),
        "another home's certificate": rebuilt_as(whole, certificate=spoilt.certificate),
        "long expired": _minute(expired, 1),
        "unknown schema version": rebuilt_as(whole, header=unknown_version.SerializeToString()),
    }
    partly = [
        _minute(spoilt, 1, change=set_nan),
        _minute(spoilt, 2, ago=2, change=set_unknown_kind),
        _minute(spoilt, 3, ago=3, change=set_tomorrow),
    ]
    sent = [before, *bad.values(), *partly, after]
    running.publish("minutes", *sent)

    eventually(lambda: set(sent) <= set(running.archived()), "everything in the archive, also the bad")
    eventually(lambda: len(running.dead_letters()) >= len(bad) + len(partly), "the dead letters")
    letters = running.dead_letters()
    for name, payload in bad.items():
        mine = [letter for letter in letters if letter["payload"] == payload]
        assert mine, f"{name} is no dead letter"
        assert all(letter["scope"] == "batch" and letter["message"] for letter in mine), name
    for payload, word in zip(partly, ("nan", "42", "minute_us"), strict=True):
        mine = [letter for letter in letters if letter["payload"] == payload]
        assert {letter["scope"] for letter in mine} == {"reading"}
        assert word in mine[0]["message"]

    def scored(gateway: FakeGateway) -> int:
        rows = running.warehouse("readings_scores")
        return len({row["reading_id"] for row in rows if row["gateway_id"] == gateway.gateway_id})

    eventually(lambda: scored(good) == 20, "both good batches scored")
    eventually(lambda: scored(spoilt) == 27, "the nine good neighbours of each bad reading scored")
    assert scored(other) == scored(expired) == 0


def test_life_safety_is_never_rejected_and_what_cannot_be_verified_is_a_trouble(
    running: RunningPipeline,
) -> None:
    fleet = running.fleet
    day_off, expired, forged = (
        fleet.gateway(11),
        fleet.gateway(12, not_after_us=_now_us() - 90 * DAY_US),
        fleet.gateway(13),
    )
    running.publish(
        "urgent",
        _urgent(day_off, 1, occurred_us=_now_us() - DAY_US),
        _urgent(expired, 1),
        rebuilt_as(_urgent(forged, 1), signature=bytes(64)),
    )
    for gateway, field in ((day_off, "clock_suspect"), (expired, "cert_expired")):
        eventually(lambda g=gateway: len(running.alarms(g.home_id)) == 1, f"the alarm marked {field}")  # type: ignore[misc]
        alarm = running.alarms(gateway.home_id)[0]
        assert (alarm["kind"], alarm["category"], alarm[field]) == ("fire", "life", True)
    eventually(lambda: len(running.alarms(forged.home_id)) == 1, "the operator's trouble")
    assert running.alarms(forged.home_id)[0]["kind"] == "unverified"


def test_the_same_input_twice_raises_nothing_twice(running: RunningPipeline) -> None:
    gateway = running.fleet.gateway(21)
    smoke, heat = _urgent(gateway, 1), _urgent(gateway, 2, code=Code.HEAT, sensor_id="air-kitchen")
    minute = _minute(gateway, 3)
    running.publish("urgent", smoke, heat, smoke, heat)
    running.publish("minutes", minute, minute)
    eventually(lambda: len(running.alarms(gateway.home_id)) == 1, "the alarm")
    running.publish("urgent", heat, smoke)
    eventually(lambda: running.archived().count(smoke) >= 3, "the third delivery")
    eventually(
        lambda: len(running.evidence(gateway.home_id, source="gateway")) == 2, "two pieces of evidence"
    )
    time.sleep(2)
    assert len(running.alarms(gateway.home_id)) == 1
    assert len(running.evidence(gateway.home_id, source="gateway")) == 2


def test_a_hole_in_a_gateways_numbers_restarts_no_job(running: RunningPipeline) -> None:
    gateway = running.fleet.gateway(22)

    def windows() -> set[str]:
        rows = running.warehouse("window_scores")
        return {row["window_end"] for row in rows if row["gateway_id"] == gateway.gateway_id}

    running.publish("minutes", _minute(gateway, 1, ago=8))
    eventually(lambda: len(windows()) == 5, "both jobs at work")
    workers = {worker.pid for worker in running.workers()}
    running.publish("minutes", _minute(gateway, 3, ago=6, oldest_unsent_seq=4))
    eventually(lambda: len(windows()) == 7, "the batch after the hole")
    running.publish("minutes", _minute(gateway, 2, ago=7, oldest_unsent_seq=4), _minute(gateway, 4, ago=5))
    eventually(lambda: len(windows()) == 8, "the batches that fill it and follow")
    time.sleep(2)
    assert {worker.pid for worker in running.workers()} == workers, "a job restarted"


def test_workers_killed_in_mid_stream_lose_nothing(running: RunningPipeline) -> None:
    gateways = [running.fleet.gateway(number) for number in range(31, 36)]
    minutes = [_minute(gateway, seq, ago=8 - seq) for seq in range(1, 8) for gateway in gateways]
    events = [_urgent(gateway, 100) for gateway in gateways]
    for index in range(0, len(minutes), 5):
        running.publish("minutes", *minutes[index : index + 5])
        running.publish("urgent", *events[index // 7 : index // 7 + 1])
        if index in (10, 20):
            for worker in running.workers():
                worker.kill()
    running.publish("urgent", *events)
    eventually(lambda: set(minutes + events) <= set(running.archived()), "everything archived", 150)
    for gateway in gateways:
        eventually(lambda g=gateway: len(running.alarms(g.home_id)) == 1, "one alarm a home", 60)  # type: ignore[misc]
        assert len(running.evidence(gateway.home_id, source="gateway")) == 1
    wanted = 70 * len(gateways)

    def scored() -> int:
        ids = {gateway.gateway_id for gateway in gateways}
        return len({r["reading_id"] for r in running.warehouse("readings_scores") if r["gateway_id"] in ids})

    eventually(lambda: scored() == wanted, f"{wanted} readings scored", 120)


def test_a_version_is_watched_in_the_shadow_promoted_and_rolled_back_while_the_job_runs(
    running: RunningPipeline,
) -> None:
    """No restart: what is promoted or rolled back scores within a minute, and nothing goes unscored."""
    gateway, registry = running.fleet.gateway(41, home_id=REPEATS), open_registry(running.settings)
    key = Signer.read(running.settings.registry_key)
    registry.publish(*shipped("air", "2"), key, by="test")
    sent = 0

    def rows(table: str) -> list[tuple[int, dict]]:
        """(seq, row) of this gateway's air sensors."""
        return [
            (int(row["batch_id"].rpartition(".")[2]), row)
            for row in running.warehouse(table)
            if row["gateway_id"] == gateway.gateway_id and row["family"] == "air"
        ]

    def seen(table: str, version: str) -> Callable[[], bool]:
        """Sends a minute → whether the newest that was scored, of those from now on, is of this version."""
        before = sent

        def look() -> bool:
            nonlocal sent
            sent += 1
            running.publish("minutes", _minute(gateway, sent, ago=1 + sent % 8))
            time.sleep(1)
            found = [(seq, row["model_version"]) for seq, row in rows(table) if seq > before]
            return bool(found) and max(found)[1] == version

        return look

    def unscored() -> list[int]:
        counts = Counter(seq for seq, _ in rows("readings_scores"))
        return [seq for seq in range(1, sent + 1) if counts[seq] != 2]

    registry.move("air-2", "shadow", key, by="test")
    eventually(seen("shadow_scores", "air-2"), "scores of the shadow", 60)
    assert {row["model_version"] for _, row in rows("readings_scores")} == {"air-1"}
    registry.move("air-2", "fleet", key, by="test")
    eventually(seen("readings_scores", "air-2"), "scores of the promoted version", 60)
    registry.rollback("air", key, by="test")
    eventually(seen("readings_scores", "air-1"), "scores of the version before", 60)
    eventually(lambda: not unscored(), "every reading scored by one or the other", 30)


def test_files_give_the_windows_and_episodes_that_the_stream_gave(
    running: RunningPipeline, tmp_path: Path
) -> None:
    """Reads the very archive that the stream wrote in the tests above."""
    config = MonitorConfig(
        input=(str(running.output / "archive"),),
        output=str(tmp_path / "replay"),
        fleet_ca=str(running.settings.run / "fleet" / "ca.pem"),
    )
    options = PipelineOptions([])
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, config, choose_io(config, options), model_handlers())

    def standing(rows: list[dict]) -> dict[tuple, tuple]:
        """The last word on each window, as every reader takes it (WINDOW_SCORES.latest)."""
        ordered = sorted(rows, key=lambda row: [row[column] for column in WINDOW_SCORES.latest])
        return {
            (row["home_id"], row["window_end"]): (row["kind"], round(row["score"], 6), tuple(row["reasons"]))
            for row in ordered
            if row["home_id"] != REPEATS  # which content of a minute came first, the archive does not say
        }

    replayed = [
        json.loads(line)
        for file in (tmp_path / "replay" / "warehouse" / "window_scores").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    streamed = running.warehouse("window_scores")
    assert replayed
    assert standing(replayed) == standing(streamed)
    # Which evidence opens an episode depends on the order of arrival, which the tests above disturb on
    # purpose; tests/pipelines/test_recorded_hour.py compares every detail of an undisturbed hour.
    episodes = {
        (alarm["home_id"], alarm["kind"])
        for file in (tmp_path / "replay").glob("episodes*.jsonl")
        for alarm in map(json.loads, file.read_text().splitlines())
    }
    documents = [snapshot.to_dict() for snapshot in running.store.collection("alarms").stream(timeout=20)]
    assert episodes == {(alarm["home_id"], alarm["kind"]) for alarm in documents}
