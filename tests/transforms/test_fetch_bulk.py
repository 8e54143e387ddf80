"""Hourly objects: believed as far as their signed notice vouches for them, and not a byte further."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.api_core.exceptions import ServiceUnavailable

from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US
from tests.fakes import NOW_US, SENSORS, FakeGateway, Fleet, reading
from tests.transforms.runs import run_batch
from transforms import fetch_bulk
from transforms.decode_batches import DAY_US, decode
from transforms.elements import RawMessage
from transforms.fetch_bulk import FetchBulk, fetch
from transforms.trust import Trust

FLEET = Fleet(3)
GATEWAY = FLEET.gateway(1)
HOUR_US = NOW_US - 60 * MINUTE_US


def readings(minutes: int = 2, gateway: FakeGateway = GATEWAY) -> list[pb.Reading]:
    rng = np.random.default_rng(5)
    return [
        reading(*sensor, HOUR_US + minute * MINUTE_US, rng, gateway_id=gateway.gateway_id)
        for minute in range(minutes)
        for sensor in SENSORS
    ]


class Hour:
    """An object in a folder and the notice of it; `said` are changes to what the notice says."""

    def __init__(self, gateway: FakeGateway = GATEWAY, found: list[pb.Reading] | None = None, **said) -> None:
        self.readings = readings(gateway=gateway) if found is None else found
        self.data = bulk.pack_object(self.readings, gateway.home_id, gateway.gateway_id)
        digest = bulk.sha256(self.data)
        fields = {
            "object": bulk.object_name(gateway.home_id, gateway.gateway_id, HOUR_US, digest),
            "sha256": digest,
            "size": len(self.data),
            "first_minute_us": HOUR_US,
            "last_minute_us": HOUR_US + MINUTE_US,
            "readings": len(self.readings),
        }
        self.reference = pb.BulkReference(**{**fields, **said})
        body = pb.Body(bulk=[self.reference])
        payload = gateway.envelope(body, lane=pb.LANE_BULK, seq=7)
        self.notice = RawMessage(payload, ["lane=bulk"], "m-7", NOW_US, "bulk")

    def read(self, name: str, most: int) -> bytes | None:
        return self.data[:most] if name == self.reference.object else None

    def write(self, folder: Path) -> None:
        path = folder / self.reference.object
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)


def refusal(hour: Hour, data: bytes | None = None) -> str:
    found = fetch(hour.notice, hour.read if data is None else lambda _n, most: data[:most])
    assert found.readings == []
    (letter,) = found.rejected
    assert (letter.stage, letter.scope, letter.payload) == ("bulk", "batch", hour.notice.payload)
    assert (letter.home_id, letter.message_id) == (GATEWAY.home_id, "m-7")
    return letter.message


def test_every_reading_of_the_object_is_accepted_as_its_gateway_measured_it() -> None:
    hour = Hour()
    found = fetch(hour.notice, hour.read)
    assert found.rejected == []
    got = sorted(one.reading for one in found.readings)
    assert got == sorted(r.SerializeToString() for r in hour.readings)
    first = found.readings[0]
    assert (first.home_id, first.gateway_id, first.seq, first.lane) == ("home-0001", "gw-0001", 7, "bulk")
    assert (first.publish_us, first.arming_mode, first.features) == (NOW_US, "away", b"")


def test_the_same_notice_twice_gives_the_same_readings() -> None:
    hour = Hour()
    assert fetch(hour.notice, hour.read) == fetch(hour.notice, hour.read)


def test_decode_passes_a_verified_notice_on_and_no_forged_one() -> None:
    hour, trust = Hour(), Trust(FLEET.ca)
    decoded = decode(hour.notice, trust)
    assert decoded.notices == [hour.notice]
    assert decoded.summary is not None
    forged = pb.Envelope.FromString(hour.notice.payload)
    forged.signature = bytes(64)
    refused = decode(hour.notice._replace(payload=forged.SerializeToString()), trust)
    assert refused.notices == []
    assert [letter.stage for letter in refused.rejected] == ["signature"]


def test_an_object_of_another_home_or_gateway_cannot_be_announced() -> None:
    neighbour = FLEET.gateway(2)
    theirs = Hour(neighbour)
    stolen = Hour(object=theirs.reference.object, sha256=theirs.reference.sha256, size=len(theirs.data))
    message = refusal(stolen, theirs.data)
    assert "home-0002/gw-0002" in message
    assert "this gateway's would be 'bulk/home-0001/gw-0001/" in message
    # Even where the bytes lie under the thief's name, the object says whose it is.
    digest = bulk.sha256(theirs.data)
    copied = Hour(
        object=bulk.object_name(GATEWAY.home_id, GATEWAY.gateway_id, HOUR_US, digest),
        sha256=digest,
        size=len(theirs.data),
    )
    assert "object is of ('home-0002', 'gw-0002'), its notice of ('home-0001'" in refusal(copied, theirs.data)


@pytest.mark.parametrize("home", ["../x", "a/b", ".", "", "a" * 65])
def test_an_id_that_could_leave_its_folder_names_nothing(home: str) -> None:
    header = pb.Header(home_id=home, gateway_id="gw-1")
    with pytest.raises(fetch_bulk.BadInput, match="cannot name an object"):
        fetch_bulk._check_reference(header, pb.BulkReference())


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sha256": b"x"}, "sha256 is 1 bytes, limit exactly 32"),
        ({"size": bulk.MAX_OBJECT_BYTES + 1}, f"limits 1 to {bulk.MAX_OBJECT_BYTES}"),
        ({"size": 0}, "size is 0"),
        ({"object": "bulk/x"}, "object is named 'bulk/x'"),
        ({"first_minute_us": 1 << 60}, "first_minute_us is"),
        ({"readings": 3}, "object has 20 readings, its notice says 3"),
        ({"size": 10}, "object is 11 bytes or more, its notice says 10"),
    ],
)
def test_a_notice_that_does_not_fit_says_value_and_limit(said: dict, message: str) -> None:
    assert message in refusal(Hour(**said))


def test_a_missing_object_and_a_wrong_one_are_told_apart() -> None:
    hour = Hour()
    missing = fetch(hour.notice, lambda _name, _most: None)
    assert "is not there: replay the notice when it is" in missing.rejected[0].message
    flipped = bytearray(hour.data)
    flipped[-1] ^= 1
    assert "object has SHA-256" in refusal(hour, bytes(flipped))
    assert "object is 100 bytes or more" in refusal(hour, hour.data[:100])


def test_a_bad_reading_is_rejected_alone_and_its_neighbours_live() -> None:
    early = Hour(last_minute_us=HOUR_US)  # the second minute is not of this object
    found = fetch(early.notice, early.read)
    assert len(found.readings) == len(found.rejected) == 10
    assert {letter.scope for letter in found.rejected} == {"reading"}
    assert "its object holds" in found.rejected[0].message
    old = Hour()
    late = old.notice._replace(publish_us=NOW_US + 40 * DAY_US)
    assert "days old, limit 31" in fetch(late, old.read).rejected[0].message


def test_rejected_readings_of_an_object_are_bounded() -> None:
    many = Hour(found=readings(40), last_minute_us=HOUR_US - MINUTE_US)
    assert len(fetch(many.notice, many.read).rejected) == fetch_bulk.MAX_REJECTED


def test_storage_that_does_not_answer_is_no_fault_of_the_notice() -> None:
    def read(_name: str, _most: int) -> bytes:
        raise ServiceUnavailable("outage")

    with pytest.raises(ServiceUnavailable):
        fetch(Hour().notice, read)


def test_objects_are_read_from_a_folder_and_a_missing_one_is_a_dead_letter(tmp_path: Path) -> None:
    there, missing = Hour(), Hour(FLEET.gateway(9))
    there.write(tmp_path)
    fetching = FetchBulk(str(tmp_path))
    out = run_batch([there.notice, missing.notice], lambda notices: (notices | fetching)._asdict())
    assert sorted(one.reading for one in out["readings"]) == sorted(
        r.SerializeToString() for r in there.readings
    )
    assert [letter.home_id for letter in out["rejected"]] == ["home-0009"]


def test_a_fresh_notice_is_waited_for_and_an_old_one_is_not(tmp_path: Path, monkeypatch) -> None:
    hour, waited = Hour(), []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if seconds == fetch_bulk.WAITS_S[1]:
            hour.write(tmp_path)  # it comes in between

    monkeypatch.setattr(fetch_bulk.time, "sleep", sleep)
    old = fetch_bulk._Fetch(str(tmp_path), 0, lambda: NOW_US + DAY_US)
    assert len(list(old.process(hour.notice))) == 1
    assert waited == [0.0]
    fresh = fetch_bulk._Fetch(str(tmp_path), 300_000_000, lambda: NOW_US)
    assert len(list(fresh.process(hour.notice))) == 20
    assert waited[1:] == list(fetch_bulk.WAITS_S[:2])
