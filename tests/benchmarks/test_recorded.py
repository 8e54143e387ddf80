"""Recorded batches: the same for the same seed, valid for the pipeline, and worth what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import recorded
from benchmarks.bare_loop import BareLoop
from benchmarks.jobs import read_recorded
from benchmarks.recorded import Recording, raw_bytes, record
from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import PARTITIONS
from schemas.envelope import open_body, parse_envelope
from schemas.readings import MINUTE_US
from transforms.decode_batches import decode
from transforms.trust import Trust, load_ca

START_US = 1_772_388_000_000_000  # 2026-03-01T18:00:00Z
HOMES, MINUTES = 3, 2
# Ten readings: 3 PIR of 9,600, 2 sounds of 10,240 + 60, 2 airs of 1,440, 3 accelerations of 9,000 bytes.
RAW_BYTES_PER_BATCH = 3 * 9_600 + 2 * 10_300 + 2 * 1_440 + 3 * 9_000


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(5, HOMES, MINUTES, START_US, rendered_homes=2)


def _signed(recording: Recording) -> list[tuple[bytes, bytes, bytes]]:
    envelopes = [pb.Envelope.FromString(message.payload) for message in recording.messages]
    return [(envelope.header, envelope.body, envelope.signature) for envelope in envelopes]


def test_the_same_seed_gives_the_same_signed_bytes(recording: Recording) -> None:
    """Only the certificates differ: their serial numbers are random."""
    assert _signed(record(5, HOMES, MINUTES, START_US, rendered_homes=2)) == _signed(recording)


def test_another_seed_gives_other_batches(recording: Recording) -> None:
    other = _signed(record(6, HOMES, MINUTES, START_US, rendered_homes=2))
    assert not set(other) & set(_signed(recording))


def test_every_batch_is_accepted_whole_and_no_reading_id_comes_twice(recording: Recording) -> None:
    trust = Trust(load_ca(recording.ca_pem))
    decoded = [decode(message, trust) for message in recording.messages]
    assert [one.rejected for one in decoded] == [[]] * HOMES * MINUTES
    readings = [pb.Reading.FromString(r.reading) for one in decoded for r in one.readings]
    assert len(readings) == recording.readings == HOMES * MINUTES * 10
    assert len({reading.reading_id for reading in readings}) == len(readings)
    assert {reading.minute_us for reading in readings} == {START_US, START_US + MINUTE_US}


def test_raw_bytes_are_those_of_the_decoded_payloads(recording: Recording) -> None:
    bodies = [open_body(*parse_envelope(message.payload)) for message in recording.messages]
    assert [raw_bytes(body) for body in bodies] == [RAW_BYTES_PER_BATCH] * len(bodies)
    assert recording.raw_bytes == RAW_BYTES_PER_BATCH * len(bodies)


def test_homes_beyond_the_rendered_play_the_same_minutes_under_their_own_name(recording: Recording) -> None:
    first, _, third = (open_body(*parse_envelope(m.payload)) for m in recording.messages[:3])
    assert [r.WhichOneof("payload") for r in first.readings] == [
        r.WhichOneof("payload") for r in third.readings
    ]
    assert first.readings[0].air == third.readings[0].air
    assert first.readings[0].reading_id != third.readings[0].reading_id
    assert recording.messages[0].attributes != recording.messages[2].attributes


def test_recordings_of_one_fleet_share_its_authority(recording: Recording) -> None:
    later = record(5, 1, 1, START_US, rendered_homes=1, first_home=HOMES + 1)
    decoded = decode(later.messages[0], Trust(load_ca(recording.ca_pem)))
    assert decoded.summary is not None
    assert decoded.summary.home_id == "home-0004"


def test_the_archive_gives_back_the_messages(recording: Recording, tmp_path: Path) -> None:
    recorded.write_archive(tmp_path, recording.messages)
    assert sorted(read_recorded(tmp_path)) == sorted(recording.messages)


def test_the_bare_loop_scores_every_reading_and_raises_nothing_in_quiet_homes(
    recording: Recording, tmp_path: Path
) -> None:
    loop = BareLoop(recording.ca_pem, tmp_path)
    loop.run(recording.messages)
    assert loop.counts["scores"] == recording.readings
    assert loop.counts["rejected"] == 0
    assert loop.alarm_kinds == set()
    assert sum(loop.stages.values()) > 0
    assert len(list(tmp_path.glob(f"archive/{PARTITIONS}/*.avro"))) == 1
    (file,) = (tmp_path / "warehouse" / "readings_scores").iterdir()
    rows = file.read_text().splitlines()
    assert len(rows) == recording.readings
