"""One recorded hour as a stream and from files: the same window scores, the same opened episodes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms import userstate
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from benchmarks.recorded import RecordedFleet, render, sealed_message, write_archive
from local.simulator.scenarios import QUIET, break_in, kitchen_fire
from pipelines.io import Io, choose_io
from pipelines.models import Models, model_handlers
from pipelines.monitor import build
from pipelines.options import MonitorConfig
from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import DEAD_LETTER_SCHEMA
from schemas.events import Code
from schemas.readings import MINUTE_US
from tests.fakes import FakeGateway, body_of_event, event
from transforms.alarm_store import MemoryStore
from transforms.elements import RawMessage
from transforms.raise_alarms import StoreEffects
from transforms.write_objects import WriteAvroObjects
from transforms.write_warehouse import WriteWarehouse

pytestmark = pytest.mark.system  # renders, scores and replays 180 minutes of homes: about a minute

SEED = 5
MINUTES = 60
START_US = 1_790_000_040_000_000 // MINUTE_US * MINUTE_US
SCRIPTS = {1: QUIET, 2: break_in(600.0, 60.0), 3: kitchen_fire(1_200.0)}
# What the gateways of homes 2 and 3 send at once, as their rules would: (home, second, code, sensor).
EVENTS = (
    (2, 600, Code.PERIMETER, "contact-kitchen-window"),
    (2, 608, Code.INTERIOR, "motion-living"),
    (3, 1_230, Code.SMOKE, "smoke-kitchen"),
)

_STORE = MemoryStore(lambda: 0)


def the_store() -> MemoryStore:
    """One store for the whole process: the stream's DoFns are copies of each other."""
    return _STORE


@pytest.fixture(scope="module")
def hour() -> tuple[bytes, list[RawMessage]]:
    """The CA in PEM, and an hour of three homes in the order of arrival."""
    fleet = RecordedFleet(SEED, START_US)
    messages = []
    for number, script in SCRIPTS.items():
        sender = fleet.sender(number)
        for index, minute in enumerate(render(SEED, number, MINUTES, START_US, script)):
            mode = "away" if number == 2 else minute.mode
            messages.append(sealed_message(sender, 2 * index + 1, minute._replace(mode=mode)))
    messages += [_urgent(fleet, *spec, seq=2_000 + index) for index, spec in enumerate(EVENTS)]
    return fleet.ca_pem, sorted(messages, key=lambda message: (message.publish_us, message.message_id))


def _urgent(
    fleet: RecordedFleet, number: int, second: int, code: Code, sensor_id: str, *, seq: int
) -> RawMessage:
    at_us = START_US + second * 1_000_000
    sender = fleet.sender(number)
    gateway = FakeGateway(sender.home_id, sender.gateway_id, sender.key, sender.certificate)
    body = body_of_event(event(code, event_id=seq, sensor_id=sensor_id, occurred_us=at_us))
    arming = pb.Arming(mode=pb.ARMING_MODE_AWAY, phase=pb.ARMING_PHASE_ALARM)
    payload = gateway.envelope(
        body, seq=seq, lane=pb.LANE_URGENT, created_us=at_us, epoch=sender.epoch, arming=arming
    )
    return RawMessage(payload, [], f"urgent-{seq}", at_us + 50_000, "urgent")


def test_a_recorded_hour_gives_the_same_windows_and_episodes_as_a_stream_and_from_files(
    hour: tuple[bytes, list[RawMessage]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userstate, "get_dofn_specs", _specs_by_class(userstate.get_dofn_specs))
    ca_pem, messages = hour
    (tmp_path / "ca.pem").write_bytes(ca_pem)
    write_archive(tmp_path / "archive", [message for message in messages if message.lane == "minutes"])
    write_archive(tmp_path / "archive", [message for message in messages if message.lane == "urgent"])
    config = MonitorConfig(
        input=(str(tmp_path / "archive"),), output=str(tmp_path / "files"), fleet_ca=str(tmp_path / "ca.pem")
    )
    models = _models()
    options = PipelineOptions([])
    with beam.Pipeline(options=options) as pipeline:
        build(pipeline, config, choose_io(config, options), models)

    stream = TestStream()
    for publish_us, together in itertools.groupby(messages, key=lambda message: message.publish_us):
        moment = Timestamp(micros=publish_us)
        arrivals = [TimestampedValue(message, moment) for message in together]
        stream = stream.advance_watermark_to(moment).add_elements(arrivals)
    io = Io(
        sources={"ReadStream": stream.advance_watermark_to_infinity()},
        archive=None,
        dead_letters=WriteAvroObjects(
            str(tmp_path / "stream" / "dead_letters"), "dead_letters", DEAD_LETTER_SCHEMA
        ),
        effects=StoreEffects(the_store),
        open_store=the_store,
        warehouse=WriteWarehouse(str(tmp_path / "stream" / "warehouse")),
    )
    with beam.Pipeline(BundleBasedDirectRunner(), options=PipelineOptions([], streaming=True)) as pipeline:
        build(pipeline, config, io, models)

    from_files, streamed = _windows(tmp_path / "files"), _windows(tmp_path / "stream")
    assert len(from_files) >= len(SCRIPTS) * MINUTES
    assert streamed == from_files
    replayed = [
        json.loads(line)
        for file in (tmp_path / "files").glob("episodes*.jsonl")
        for line in file.read_text().splitlines()
    ]
    opened = {(alarm["home_id"], alarm["kind"], alarm["alarm_id"]) for alarm in replayed}
    assert {(home, kind) for home, kind, _ in opened} == {("home-0002", "burglary"), ("home-0003", "fire")}
    live = {(alarm.home_id, str(alarm.kind), alarm.alarm_id) for alarm in _STORE.alarms.values()}
    assert live == opened
    assert not list((tmp_path / "dead_letters").glob("**/*.avro"))


def _models() -> Models:
    """The package's models; the large one batches within its bundles, as it does for bounded input.

    Beam times a batch that waits over bundles by the machine's clock, which a TestStream's hour outruns.
    """
    packaged = model_handlers()
    return packaged._replace(large=lambda _wait_s: packaged.large(None))


def _specs_by_class(get_dofn_specs: Callable[[beam.DoFn], Any]) -> Callable[[beam.DoFn], Any]:
    """What a DoFn keeps in state, looked up once a class: the runner asks four times for each bundle of each
    step, which is two thirds of what this test would take.
    """
    known: dict[type, Any] = {}

    def specs(dofn: beam.DoFn) -> Any:
        if type(dofn) not in known:
            known[type(dofn)] = get_dofn_specs(dofn)
        return known[type(dofn)]

    return specs


def _windows(folder: Path) -> dict[tuple[str, str], Any]:
    """Home and window end → what was last said of it.

    A stream says a window again only when something in it was heard anew, so the time of the last
    sending may differ.
    """
    standing: dict[tuple[str, str], Any] = {}
    for file in (folder / "warehouse" / "window_scores").glob("*.jsonl"):
        for row in map(json.loads, file.read_text().splitlines()):
            key = (row["home_id"], row["window_end"])
            if key not in standing or _rank(standing[key]) < _rank(row):
                standing[key] = row
    said = ("kind", "score", "reasons", "evidence", "rule_version")
    return {key: [row[name] for name in said] for key, row in standing.items()}


def _rank(row: dict[str, Any]) -> tuple[Any, ...]:
    """Of two sendings the later stands; of one moment's, the one that heard more (score_homes.latest)."""
    return row["publish_time"], row["heard"]
