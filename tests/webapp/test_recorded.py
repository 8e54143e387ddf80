"""The last hour of a home out of the archive: only what its own gateway signed, gaps as gaps."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import fastavro
import numpy as np
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import SeriesDoc
from schemas.archive import ARCHIVE_SCHEMA, partition
from schemas.envelope import seal
from schemas.homes import HomeStatus
from schemas.readings import MINUTE_US
from tests.fakes import NOW_US, Fleet, body_of_minute
from tests.webapp.conftest import Desk
from tests.webapp.fakes import MemoryWarehouse
from webapp.folders import open_folder
from webapp.operations import Stores
from webapp.recorded import BANDS, COLUMNS, STEPS, Recorder

NOW_MINUTE = NOW_US // MINUTE_US * MINUTE_US
HOME = "home-0001"


class Archive:
    """Objects of a folder and the receipts that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fleet, self.warehouse = folder, Fleet(), MemoryWarehouse()
        self.recorder = Recorder(open_folder(str(folder)), self.warehouse, self.fleet.ca)
        self.rng = np.random.default_rng(1)

    def minute(self, ago: int, change: dict[str, int] | None = None) -> pb.Body:
        body = body_of_minute(NOW_MINUTE - ago * MINUTE_US, self.rng)
        for reading in body.readings:
            if change and reading.sensor_id in change:
                reading.seconds_present = change[reading.sensor_id]
        return body

    def put(self, *envelopes: bytes, home: str = HOME) -> None:
        rows = [{"home_id": home, "publish_time": NOW_US, "envelope": one} for one in envelopes]
        sink = io.BytesIO()
        fastavro.writer(sink, ARCHIVE_SCHEMA, rows)
        name = f"{partition(NOW_US)}/minutes-{len(self.warehouse.held.get(home, []))}-{home}.avro"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sink.getvalue())
        self.warehouse.held.setdefault(HOME, []).append(f"{self.folder}/{name}")

    def curve(self, sensor: str, quantity: str) -> SeriesDoc:
        hour = self.recorder.hour(HOME, NOW_US)
        return next(s for s in hour.series if (s.sensor_id, s.quantity) == (sensor, quantity))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def test_an_hour_has_every_sensor_and_minutes_that_did_not_come_are_gaps(archive: Archive) -> None:
    gateway = archive.fleet.gateway()
    archive.put(gateway.envelope(archive.minute(0), seq=3), gateway.envelope(archive.minute(2), seq=2))
    archive.put(gateway.envelope(archive.minute(59), seq=1))
    hour = archive.recorder.hour(HOME, NOW_US)
    assert hour.start_us == NOW_MINUTE - 59 * MINUTE_US
    assert {s.quantity for s in hour.series} >= {"co_ppm", "sound_dba", "pir", "open", "shake_mg"}
    values = archive.curve("air-kitchen", "co_ppm").values
    known = {i // STEPS for i, value in enumerate(values) if value is not None}
    assert known == {0, 57, 59}
    assert len(values) == 60 * STEPS


def test_seconds_that_were_not_measured_are_gaps(archive: Archive) -> None:
    first_half = (1 << 30) - 1
    body = archive.minute(0, {"air-kitchen": first_half})
    archive.put(archive.fleet.gateway().envelope(body))
    last = archive.curve("air-kitchen", "temperature_c").values[-STEPS:]
    assert [value is not None for value in last] == [True] * 8 + [False] * 7


def forged(how: str, archive: Archive) -> bytes:
    """A message that claims the home and is not its gateway's."""
    gateway, body = archive.fleet.gateway(), archive.minute(0)
    if how == "another fleet":
        return Fleet(seed=9).gateway().envelope(body)
    if how == "another home":
        return archive.fleet.gateway(2).envelope(body)
    if how == "another key":
        return seal(gateway.header(), body, archive.fleet.gateway(3).key, gateway.certificate)
    return gateway.envelope(body)[:-40] if how == "cut off" else b"no envelope"


@pytest.mark.parametrize("how", ["another fleet", "another home", "another key", "cut off", "no envelope"])
def test_what_the_homes_gateway_did_not_sign_is_not_drawn(archive: Archive, how: str) -> None:
    gateway = archive.fleet.gateway()
    archive.put(forged(how, archive), gateway.envelope(archive.minute(1), seq=2))
    values = archive.curve("air-kitchen", "co_ppm").values
    assert {i // STEPS for i, value in enumerate(values) if value is not None} == {58}


def test_another_homes_rows_in_the_same_object_are_left_alone(archive: Archive) -> None:
    archive.put(archive.fleet.gateway(2).envelope(archive.minute(0)), home="home-0002")
    archive.warehouse.held[HOME] = [str(next(archive.folder.rglob("*.avro")))]
    assert archive.recorder.hour(HOME, NOW_US).series == []


def test_sounds_are_pictures_with_empty_columns_where_nothing_came(archive: Archive) -> None:
    archive.put(archive.fleet.gateway().envelope(archive.minute(0)))
    [kitchen] = [s for s in archive.recorder.hour(HOME, NOW_US).spectrograms if s.room == "kitchen"]
    picture = np.frombuffer(base64.b64decode(kitchen.data), np.uint8).reshape(BANDS, kitchen.columns)
    assert (picture[:, -COLUMNS:] > 0).all()
    assert (picture[:, :-COLUMNS] == 0).all()


def test_objects_that_were_compacted_away_are_counted(archive: Archive) -> None:
    archive.put(archive.fleet.gateway().envelope(archive.minute(0)))
    archive.warehouse.held[HOME].append(f"{archive.folder}/gone.avro")
    assert archive.recorder.hour(HOME, NOW_US).unread == 1


def test_the_card_asks_for_the_hour_and_engineers_do_not(desk: Desk, archive: Archive) -> None:
    desk.clock.now_us = NOW_US
    desk.alarms.statuses[HOME] = HomeStatus(home_id=HOME)
    archive.put(archive.fleet.gateway().envelope(archive.minute(0)))
    anna = desk.browser("anna")
    assert anna.get(f"/homes/{HOME}/hour").status_code == 404, "no archive is configured"
    desk.app.extensions["operations_stores"] = Stores(None, archive.warehouse, archive.recorder)
    answer = anna.get(f"/homes/{HOME}/hour").get_json()
    assert len(answer["series"]) > 10
    assert answer["unread"] == 0
    assert desk.browser("erik").get(f"/homes/{HOME}/hour").status_code == 403
    archive.warehouse.down = True
    assert anna.get(f"/homes/{HOME}/hour").status_code == 503
