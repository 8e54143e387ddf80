"""What the console reads: one contract for the fake and for Firestore."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.alarms import LaneProof, ScoreDoc
from schemas.events import Code
from schemas.homes import DirectoryEntry, HomeStatus, SensorStatus
from tests.webapp import acting
from tests.webapp.seed import directory, make_alarm, make_evidence
from tests.webapp.stores import ANNA, NOW, put, until
from webapp import safe_word
from webapp.errors import NotFound
from webapp.reading import read_alarm, readable
from webapp.watching import Change


def test_open_alarms_are_all_that_are_not_closed(store: Any) -> None:
    first, second = put(store), put(store, "home-0002")
    put(store, "home-0003", state="closed")
    assert {a.alarm_id for a in store.repository.open_alarms()} == {first, second}


def test_safe_word_is_found_by_home(store: Any) -> None:
    stored = safe_word.make("home-0001", "Bergamot")
    store.set_safe_word(stored)
    assert store.repository.safe_word("home-0001") == stored
    assert store.repository.safe_word("home-0002") is None


def test_alarms_of_a_period_and_what_took_part_in_one(store: Any) -> None:
    inside = put(store)
    put(store, "home-0002", state="closed")
    alarm = store.repository.alarm(inside)
    score = ScoreDoc(
        sensor_id="sound-hall",
        room="hall",
        family="sound",
        label="glass_break",
        score=0.9,
        model_version="v7",
        minute_us=NOW,
    )
    store.add_evidence(inside, make_evidence(alarm, 1, sensor_id="contact-door"))
    store.add_evidence(inside, make_evidence(alarm, 2, scores=[score]))
    opened_us = alarm.opened_us
    assert len(store.repository.opened_between(opened_us, opened_us + 1)) == 2
    assert store.repository.opened_between(opened_us + 1, opened_us + 2) == []
    source = store.repository.source(inside)
    assert (sorted(source.sensors), sorted(source.models)) == (["contact-door", "sound-hall"], ["sound v7"])


def test_homes_are_found_by_the_beginning_of_address_or_id(store: Any) -> None:
    for entry in directory():
        store.add_home(entry)
    found = store.repository.find_homes
    assert [e.home_id for e in found("Linden")] == ["home-0001"]
    assert sorted(e.home_id for e in found("home-000")) == sorted(e.home_id for e in directory())
    assert found("linden") == []


def test_home_brings_its_status_and_its_alarms_newest_first(store: Any) -> None:
    status = HomeStatus(home_id="home-0001", sensors={"s": SensorStatus(kind="smoke", room="hall")})
    store.set_home(status)
    old, new = put(store, opened_us=NOW - 9), put(store, code=Code.PERIMETER, opened_us=NOW - 1)
    put(store, "home-0002")
    assert store.repository.home("home-0001") == status
    assert [a.alarm_id for a in store.repository.alarms_of("home-0001")] == [new, old]
    with pytest.raises(NotFound):
        store.repository.home("home-0002")


@pytest.mark.parametrize("alarm_id", ["fire-unknown", "a/b", "..", "x" * 200])
def test_unknown_alarm_is_not_found(store: Any, alarm_id: str) -> None:
    with pytest.raises(NotFound):
        store.repository.alarm(alarm_id)
    with pytest.raises(NotFound):
        acting.claim(store.repository, alarm_id, ANNA, NOW)


def test_evidence_comes_newest_first(store: Any) -> None:
    key = put(store)
    alarm = store.repository.alarm(key)
    for number in (1, 2, 3):
        store.add_evidence(key, make_evidence(alarm, number, after_s=number))
    assert [e.evidence_id[-1] for e in store.repository.evidence(key)] == ["3", "2", "1"]


def test_directory_answers_for_the_homes_it_knows(store: Any) -> None:
    entry = directory()[0]
    store.add_home(entry)
    assert store.repository.directory(["home-0001", "home-9999"]) == {"home-0001": entry}
    assert store.repository.directory([]) == {}


def test_path_proofs_are_by_lane_and_empty_at_first(store: Any) -> None:
    assert store.repository.path_proofs() == {}
    proof = LaneProof(proven_us=NOW, sent_us=NOW - 400_000)
    store.set_path(urgent=proof)
    assert store.repository.path_proofs() == {"urgent": proof}


def test_watch_tells_what_is_there_then_what_changes(store: Any) -> None:
    first = put(store)
    changes: list[Change] = []
    watch = store.repository.watch(changes.append)
    try:
        assert until(lambda: len(changes) == 1)
        assert (changes[0].whole, [a.alarm_id for a in changes[0].upserts]) == (True, [first])
        second = put(store, "home-0002")
        assert until(lambda: any(a.alarm_id == second for c in changes[1:] for a in c.upserts))
        acting.claim(store.repository, first, ANNA, NOW)
        acting.close(store.repository, first, ANNA, 1, "test", "", NOW)
        assert until(lambda: any(first in c.removed for c in changes))
        assert not any(c.whole for c in changes[1:])
        assert watch.active
    finally:
        watch.close()
    assert not watch.active


def test_alarm_of_a_newer_version_is_shown_as_far_as_it_can_be_read() -> None:
    document = make_alarm("home-0001", Code.SMOKE, NOW, 5).document()
    alarm = read_alarm("a-1", {**document, "kind": "earthquake", "state": "escalated", "avs_level": 9})
    assert (alarm.alarm_id, alarm.kind, alarm.state) == ("a-1", "unknown", "new")
    assert (alarm.category, alarm.home_id, alarm.title) == ("life", "home-0001", "Smoke")


def test_unreadable_document_is_left_out_and_its_content_stays_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = directory()[0]
    assert readable(DirectoryEntry, good.document()) == good
    assert readable(DirectoryEntry, {"home_id": "home-0001", "address": ["Lindenstraße 14"]}) is None
    assert "address" in caplog.text
    assert "Linden" not in caplog.text
