"""The oracle sees what it is there to see: loss, undeclared holes, and alarms that are not one episode."""

from __future__ import annotations

import os
import time
from pathlib import Path

from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import ARCHIVE_SCHEMA
from tests.fakes import EPOCH, Fleet, body_of_event, event
from tests.faults.oracle import Archive, Episode, Hole, digest, events_of, judge, judge_episodes, ledger
from transforms.archive_raw import archive_row
from transforms.elements import RawMessage
from transforms.write_objects import avro_bytes, write_object

FLEET = Fleet(5)
OTHER_EPOCH = bytes(reversed(EPOCH))


def _header(seq: int, **fields: object) -> pb.Header:
    return FLEET.gateway(1).header(seq=seq, **fields)


def test_what_is_neither_archived_nor_waiting_is_lost() -> None:
    published = {1: b"a", 2: b"b", 3: b"c"}
    verdict = judge(published, [b"a", b"a"], {b"b"})
    assert verdict == (3, 1, 1, 1, [3])


def test_an_archive_is_read_as_it_grows_and_compared_byte_for_byte(tmp_path: Path) -> None:
    gateway = FLEET.gateway(1)
    payloads = [gateway.envelope(body_of_event(event(event_id=seq)), seq=seq) for seq in (1, 2, 3)]

    def put(name: str, *kept: bytes, age_s: float = 5.0) -> None:
        rows = [archive_row(RawMessage(payload, [], "id", 1, "urgent")) for payload in kept]
        path = tmp_path / "day=1970-01-01" / "hour=00" / name
        write_object(str(path), avro_bytes(rows, ARCHIVE_SCHEMA))
        os.utime(path, (time.time() - age_s,) * 2)

    archive = Archive(tmp_path)
    digests = [digest(payload) for payload in payloads]
    put("urgent-1.avro", payloads[0], payloads[1])
    archive.look()
    assert archive.missing(digests) == [digests[2]]
    put("urgent-2.avro", payloads[1])
    put("urgent-3.avro", payloads[2], age_s=0.0)
    archive.look()
    assert archive.missing(digests) == [digests[2]], "an object may still be growing"
    assert archive.duplicated == 1
    assert [archive.headers[one].seq for one in digests[:2]] == [1, 2]


def test_a_hole_is_found_unless_its_gateway_declared_it() -> None:
    headers = [_header(1), _header(2), _header(2), _header(6, oldest_unsent_seq=3)]
    assert ledger(headers).holes == [Hole("gw-0001", EPOCH, 3, 5)]
    gap = pb.Gap(epoch=EPOCH, first_seq=3, last_seq=4, reason=pb.GAP_REASON_OUTBOX_FULL)
    judged = ledger([*headers, _header(7, gaps=[gap])])
    assert (judged.received, judged.declared) == (4, 2)
    assert judged.holes == [Hole("gw-0001", EPOCH, 5, 5)]


def test_what_a_gateway_had_confirmed_counts_even_if_nothing_newer_came() -> None:
    assert ledger([_header(1), _header(2, oldest_unsent_seq=2)]).holes == []
    late = _header(1, epoch=OTHER_EPOCH, oldest_unsent_seq=4)
    assert ledger([late]).holes == [Hole("gw-0001", OTHER_EPOCH, 2, 3)]


def test_an_alarm_must_be_one_episode_with_all_of_its_evidence() -> None:
    homes = {
        "whole": [Episode("whole", "fire", frozenset({"a", "b"}))],
        "absent": [],
        "twice": [Episode("twice", "fire", frozenset({"a"})), Episode("twice", "fire", frozenset({"b"}))],
        "half": [Episode("half", "fire", frozenset({"a"}))],
    }
    found = [episode for episodes in homes.values() for episode in episodes]
    wrong = [Episode("whole", "burglary", frozenset()), Episode("nobody", "fire", frozenset())]
    judged = judge_episodes({home: {"a", "b"} for home in homes}, [*found, *wrong], "fire")
    assert judged == (4, ["absent"], ["twice"], ["half"], ["nobody", "whole"])


def test_expected_evidence_is_read_from_the_envelopes_themselves() -> None:
    gateway = FLEET.gateway(2)
    sent = [
        gateway.envelope(body_of_event(event(event_id=seq, occurred_us=seq)), seq=seq, lane=pb.LANE_URGENT)
        for seq in (1, 2, 2)
    ]
    assert events_of(sent) == {"home-0002": {"111 smoke-kitchen 1", "111 smoke-kitchen 2"}}
