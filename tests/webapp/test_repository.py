"""One contract for the fake and for Firestore."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core.exceptions import Aborted

from schemas.alarms import Alarm, LaneProof, ScoreDoc
from schemas.events import AlarmKind, Code
from schemas.homes import DirectoryEntry, HomeStatus, SafeWord, SensorStatus
from tests.webapp import acting
from tests.webapp.fakes import MemoryAlarms, MemorySessions
from tests.webapp.seed import directory, make_alarm, make_evidence
from webapp import audit, safe_word
from webapp.accounts import Account
from webapp.app import firestore_client
from webapp.audit import Trail
from webapp.audit_store import AuditStore
from webapp.errors import NotFound, Refused, Unreachable
from webapp.lifecycle import Actor
from webapp.reaching import reaching
from webapp.reading import read_alarm, readable
from webapp.repository import AlarmRepository
from webapp.sessions import FirestoreSessions, Limits, Sessions, begin, current, key_of
from webapp.watching import Change

NOW = 1_790_000_000_000_000
PROJECT = "demo-repository-tests"  # its own: the console of the browser tests sweeps theirs
ANNA, BEN = Actor("u-anna", "Anna"), Actor("u-ben", "Ben")


COLLECTIONS = (
    *("alarms", "open", "directory", "operations", "console_sessions", "labels", "safe_words"),
    *("audit", "audit_heads", "audit_anchors", "homes", "on_test"),
)


class FirestoreDesk:
    """The real repository, with what the pipeline does to the same database."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.repository = AlarmRepository(client)

    def put(self, alarm: Alarm) -> None:
        slot = self.client.collection("open").document(f"{alarm.home_id}~{alarm.kind}")
        slot.set({"alarm_id": alarm.alarm_id, "state": "open"})
        self.client.collection("alarms").document(alarm.alarm_id).set(alarm.document())

    def add_evidence(self, alarm_id: str, evidence: Any) -> None:
        pieces = self.client.collection("alarms").document(alarm_id).collection("evidence")
        pieces.document(evidence.evidence_id).set(evidence.document())

    def add_home(self, entry: Any) -> None:
        self.client.collection("directory").document(entry.home_id).set(entry.document())

    def set_path(self, **lanes: LaneProof) -> None:
        proofs = {lane: proof.model_dump() for lane, proof in lanes.items()}
        self.client.collection("operations").document("path").set(proofs)

    def set_home(self, home: HomeStatus) -> None:
        self.client.collection("homes").document(home.home_id).set(home.document())

    def set_safe_word(self, word: SafeWord) -> None:
        self.client.collection("safe_words").document(word.home_id).set(word.document())

    def label(self, key: str) -> Any:
        return self.client.collection("labels").document(key).get().to_dict()

    def trail(self) -> Trail:
        return AuditStore(self.client).read()

    def slot(self, home_id: str, kind: AlarmKind) -> Any:
        return self.client.collection("open").document(f"{home_id}~{kind}").get().to_dict()


class MemoryDesk:
    """The fake, with the same handles."""

    def __init__(self) -> None:
        self.repository = MemoryAlarms()
        self.put, self.add_home = self.repository.put, self.repository.add_home
        self.add_evidence, self.slot = self.repository.add_evidence, self.repository.slot
        self.trail = self.repository.trail

    def set_path(self, **lanes: LaneProof) -> None:
        self.repository.path = lanes

    def set_home(self, home: HomeStatus) -> None:
        self.repository.statuses[home.home_id] = home

    def set_safe_word(self, word: SafeWord) -> None:
        self.repository.safe_words[word.home_id] = word

    def label(self, key: str) -> Any:
        label = self.repository.labels.get(key)
        return label and label.document()


@pytest.fixture(params=["memory", pytest.param("firestore", marks=pytest.mark.system)])
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryDesk()
        return
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("firestore_host"))
    client = firestore_client(PROJECT)
    for name in COLLECTIONS:
        client.recursive_delete(client.collection(name))
    yield FirestoreDesk(client)
    client.close()  # type: ignore[no-untyped-call]


def put(desk: Any, home: str = "home-0001", code: Code = Code.SMOKE, **fields: Any) -> str:
    alarm = make_alarm(home, code, NOW, 5, **fields)
    desk.put(alarm)
    return alarm.alarm_id


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_open_alarms_are_all_that_are_not_closed(desk: Any) -> None:
    first, second = put(desk), put(desk, "home-0002")
    put(desk, "home-0003", state="closed")
    assert {a.alarm_id for a in desk.repository.open_alarms()} == {first, second}


def test_claim_then_close_writes_state_slot_and_history(desk: Any) -> None:
    key = put(desk)
    claimed = acting.claim(desk.repository, key, ANNA, NOW)
    assert (claimed.state, claimed.fence) == ("claimed", 1)
    acting.close(desk.repository, key, ANNA, 1, "real", "fire brigade sent", NOW + 9)
    closed = desk.repository.alarm(key)
    assert (closed.state, closed.close_out, closed.closed_us) == ("closed", "real", NOW + 9)
    slot = desk.slot("home-0001", AlarmKind.FIRE)
    assert slot == {"alarm_id": key, "state": "closed", "closed_us": NOW + 9}
    assert [e["action"] for e in desk.repository.history(key)] == ["claimed", "closed"]


def test_close_leaves_the_slot_of_a_newer_episode_alone(desk: Any) -> None:
    old = put(desk)
    acting.claim(desk.repository, old, ANNA, NOW)
    newer = make_alarm("home-0001", Code.SMOKE, NOW, 1)
    if isinstance(desk, MemoryDesk):
        desk.repository.slots.clear()
    desk.put(newer)
    acting.close(desk.repository, old, ANNA, 1, "test", "", NOW)
    assert desk.slot("home-0001", AlarmKind.FIRE) == {"alarm_id": newer.alarm_id, "state": "open"}


def test_console_writes_leave_the_pipelines_fields_alone(desk: Any) -> None:
    key = put(desk, headline="as the pipeline wrote it", evidence_count=7)
    before = desk.repository.alarm(key)
    desk.repository.presented([key], NOW)
    acting.claim(desk.repository, key, ANNA, NOW)
    acting.renew(desk.repository, key, ANNA, 1, NOW + 1)
    acting.release(desk.repository, key, ANNA, 1, NOW + 2)
    after = desk.repository.alarm(key)
    changed = {name for name in Alarm.model_fields if getattr(before, name) != getattr(after, name)}
    assert changed == {"presented_us", "acknowledged_us", "fence", "returned_us"}


def test_of_two_racing_claims_exactly_one_wins(desk: Any) -> None:
    key = put(desk)
    won, refused, ready = [], [], threading.Barrier(2)

    def claim(actor: Actor) -> None:
        ready.wait()
        try:
            won.append(acting.claim(desk.repository, key, actor, NOW))
        except Refused as error:
            refused.append(str(error))

    racers = [threading.Thread(target=claim, args=(actor,)) for actor in (ANNA, BEN)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert len(won) == 1
    assert refused == [f"{won[0].claim.name} already has this alarm."]
    assert [e["action"] for e in desk.repository.history(key)] == ["claimed"]


def test_heartbeats_extend_the_lease_and_leave_no_history(desk: Any) -> None:
    key = put(desk)
    acting.claim(desk.repository, key, ANNA, NOW)
    renewed = acting.renew(desk.repository, key, ANNA, 1, NOW + 30_000_000)
    assert renewed.claim.expires_us == NOW + 120_000_000
    assert len(desk.repository.history(key)) == 1


def test_stale_holder_is_fenced_out(desk: Any) -> None:
    key = put(desk)
    acting.claim(desk.repository, key, ANNA, NOW)
    acting.claim(desk.repository, key, BEN, NOW + 91_000_000)
    with pytest.raises(Refused, match="Ben has this alarm now"):
        acting.close(desk.repository, key, ANNA, 1, "real", "", NOW + 92_000_000)
    assert desk.repository.alarm(key).state == "claimed"


def test_every_change_and_refusal_is_in_the_audit_trail_and_the_trail_is_whole(desk: Any) -> None:
    key = put(desk)
    acting.claim(desk.repository, key, ANNA, NOW)
    acting.renew(desk.repository, key, ANNA, 1, NOW + 1)
    desk.repository.deny(BEN, "close", key, "held", NOW + 2)
    acting.close(desk.repository, key, ANNA, 1, "real", "Mrs. Weber was out", NOW + 3)
    trail = desk.trail()
    assert audit.verify(trail) == []
    said = sorted((e.at_us - NOW, e.chain, e.user, e.action, e.outcome, e.reason) for e in trail.entries)
    assert said == [
        (0, f"alarm:{key}", "u-anna", "claimed", "done", ""),
        (2, "user:u-ben", "u-ben", "close", "denied", "held"),
        (3, f"alarm:{key}", "u-anna", "closed", "done", ""),
    ]
    closing = next(e for e in trail.entries if e.action == "closed")
    assert (closing.before["state"], closing.after["state"]) == ("claimed", "closed")
    stored = json.dumps([e.model_dump() for e in trail.entries])
    assert "Weber" not in stored
    assert "Anna" not in stored


def test_anchor_holds_the_heads_that_moved_and_is_made_once(desk: Any) -> None:
    key = put(desk)
    assert desk.repository.anchor(NOW) is None
    acting.claim(desk.repository, key, ANNA, NOW)
    first = desk.repository.anchor(NOW + 1)
    assert [(h.chain, h.seq) for h in first.heads] == [(f"alarm:{key}", 1)]
    assert desk.repository.anchor(NOW + 2) is None, "nothing moved"
    acting.release(desk.repository, key, ANNA, 1, NOW + 3)
    second = desk.repository.anchor(NOW + 4)
    assert (second.seq, second.previous) == (2, first.hash)
    assert audit.verify(desk.trail()) == []


def test_refused_rule_writes_neither_alarm_nor_trail(desk: Any) -> None:
    key = put(desk)
    with pytest.raises(Refused):
        acting.close(desk.repository, key, ANNA, 0, "real", "", NOW)
    assert desk.repository.alarm(key).state == "new"
    assert desk.repository.history(key) == []
    assert desk.trail().entries == []


def test_closing_writes_a_label_and_reopening_takes_it_and_the_slot_back(desk: Any) -> None:
    key = put(desk)
    acting.claim(desk.repository, key, ANNA, NOW)
    acting.close(desk.repository, key, ANNA, 1, "false_cooking", "", NOW + 5)
    label = desk.label(key)
    assert (label["home_id"], label["kind"], label["close_out"]) == ("home-0001", "fire", "false_cooking")
    back = acting.reopen(desk.repository, key, BEN, "smoke again", NOW + 6)
    assert (back.state, back.claim, back.close_out, back.returned_us) == ("new", None, None, NOW + 6)
    assert desk.label(key) is None
    assert desk.slot("home-0001", AlarmKind.FIRE)["state"] == "open"
    assert [e["action"] for e in desk.repository.history(key)] == ["claimed", "closed", "reopened"]


def test_alarm_with_a_newer_one_in_its_place_is_not_reopened(desk: Any) -> None:
    old = put(desk)
    acting.claim(desk.repository, old, ANNA, NOW)
    acting.close(desk.repository, old, ANNA, 1, "test", "", NOW)
    if isinstance(desk, MemoryDesk):
        desk.repository.slots.clear()
    desk.put(make_alarm("home-0001", Code.SMOKE, NOW, 1))
    with pytest.raises(Refused, match="newer alarm"):
        acting.reopen(desk.repository, old, ANNA, "why", NOW + 1)
    assert desk.repository.alarm(old).state == "closed"


def test_safe_word_is_found_by_home(desk: Any) -> None:
    stored = safe_word.make("home-0001", "Bergamot")
    desk.set_safe_word(stored)
    assert desk.repository.safe_word("home-0001") == stored
    assert desk.repository.safe_word("home-0002") is None


def test_home_is_on_test_until_a_time_or_until_it_is_ended(desk: Any) -> None:
    desk.set_home(HomeStatus(home_id="home-0001"))
    minute = 60_000_000
    begun = desk.repository.begin_test("home-0001", ANNA, 30, "new smoke sensor", NOW)
    assert begun.until_us == NOW + 30 * minute
    assert list(desk.repository.homes_on_test(NOW)) == ["home-0001"]
    assert desk.repository.homes_on_test(NOW + 30 * minute) == {}
    desk.repository.end_test("home-0001", BEN, NOW + minute)
    assert desk.repository.homes_on_test(NOW + minute) == {}
    said = desk.label(f"home-0001~test~{NOW}")
    assert (said["source"], said["from_us"], said["to_us"]) == ("test_mode", NOW, NOW + minute)
    with pytest.raises(NotFound, match="not on test"):
        desk.repository.end_test("home-0001", BEN, NOW + 2 * minute)
    entries = sorted(desk.trail().entries, key=lambda e: e.seq)
    assert [(e.chain, e.user, e.action) for e in entries] == [
        ("home:home-0001", "u-anna", "test begun"),
        ("home:home-0001", "u-ben", "test ended"),
    ]
    assert audit.verify(desk.trail()) == []


@pytest.mark.parametrize("home_id", ["home-9999", "..", "a/b"])
def test_unknown_home_is_not_put_on_test(desk: Any, home_id: str) -> None:
    with pytest.raises(NotFound):
        desk.repository.begin_test(home_id, ANNA, 30, "x", NOW)


def test_alarms_of_a_period_and_what_took_part_in_one(desk: Any) -> None:
    inside = put(desk)
    put(desk, "home-0002", state="closed")
    alarm = desk.repository.alarm(inside)
    score = ScoreDoc(
        sensor_id="sound-hall",
        room="hall",
        family="sound",
        label="glass_break",
        score=0.9,
        model_version="v7",
        minute_us=NOW,
    )
    desk.add_evidence(inside, make_evidence(alarm, 1, sensor_id="contact-door"))
    desk.add_evidence(inside, make_evidence(alarm, 2, scores=[score]))
    opened_us = alarm.opened_us
    assert len(desk.repository.opened_between(opened_us, opened_us + 1)) == 2
    assert desk.repository.opened_between(opened_us + 1, opened_us + 2) == []
    source = desk.repository.source(inside)
    assert (sorted(source.sensors), sorted(source.models)) == (["contact-door", "sound-hall"], ["sound v7"])


def test_homes_are_found_by_the_beginning_of_address_or_id(desk: Any) -> None:
    for entry in directory():
        desk.add_home(entry)
    found = desk.repository.find_homes
    assert [e.home_id for e in found("Linden")] == ["home-0001"]
    assert sorted(e.home_id for e in found("home-000")) == sorted(e.home_id for e in directory())
    assert found("linden") == []


def test_home_brings_its_status_and_its_alarms_newest_first(desk: Any) -> None:
    status = HomeStatus(home_id="home-0001", sensors={"s": SensorStatus(kind="smoke", room="hall")})
    desk.set_home(status)
    old, new = put(desk, opened_us=NOW - 9), put(desk, code=Code.PERIMETER, opened_us=NOW - 1)
    put(desk, "home-0002")
    assert desk.repository.home("home-0001") == status
    assert [a.alarm_id for a in desk.repository.alarms_of("home-0001")] == [new, old]
    with pytest.raises(NotFound):
        desk.repository.home("home-0002")


def test_presented_is_stamped_once(desk: Any) -> None:
    key = put(desk)
    desk.repository.presented([key, "fire-unknown"], NOW)
    desk.repository.presented([key], NOW + 5)
    assert desk.repository.alarm(key).presented_us == NOW


@pytest.mark.parametrize("alarm_id", ["fire-unknown", "a/b", "..", "x" * 200])
def test_unknown_alarm_is_not_found(desk: Any, alarm_id: str) -> None:
    with pytest.raises(NotFound):
        desk.repository.alarm(alarm_id)
    with pytest.raises(NotFound):
        acting.claim(desk.repository, alarm_id, ANNA, NOW)


def test_evidence_comes_newest_first(desk: Any) -> None:
    key = put(desk)
    alarm = desk.repository.alarm(key)
    for number in (1, 2, 3):
        desk.add_evidence(key, make_evidence(alarm, number, after_s=number))
    assert [e.evidence_id[-1] for e in desk.repository.evidence(key)] == ["3", "2", "1"]


def test_directory_answers_for_the_homes_it_knows(desk: Any) -> None:
    entry = directory()[0]
    desk.add_home(entry)
    assert desk.repository.directory(["home-0001", "home-9999"]) == {"home-0001": entry}
    assert desk.repository.directory([]) == {}


def test_path_proofs_are_by_lane_and_empty_at_first(desk: Any) -> None:
    assert desk.repository.path_proofs() == {}
    proof = LaneProof(proven_us=NOW, sent_us=NOW - 400_000)
    desk.set_path(urgent=proof)
    assert desk.repository.path_proofs() == {"urgent": proof}


def test_watch_tells_what_is_there_then_what_changes(desk: Any) -> None:
    first = put(desk)
    changes: list[Change] = []
    watch = desk.repository.watch(changes.append)
    try:
        assert until(lambda: len(changes) == 1)
        assert (changes[0].whole, [a.alarm_id for a in changes[0].upserts]) == (True, [first])
        second = put(desk, "home-0002")
        assert until(lambda: any(a.alarm_id == second for c in changes[1:] for a in c.upserts))
        acting.claim(desk.repository, first, ANNA, NOW)
        acting.close(desk.repository, first, ANNA, 1, "test", "", NOW)
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


def test_sessions_begin_last_and_end(desk: Any) -> None:
    real = isinstance(desk, FirestoreDesk)
    store: Sessions = FirestoreSessions(desk.client) if real else MemorySessions()
    limits = Limits(idle_s=60, absolute_s=300)
    session = begin(store, "secret", Account("u", "Anna", "dispatcher"), NOW, limits)
    assert current(store, "secret", NOW + 1, limits) == session
    assert current(store, "other", NOW + 1, limits) is None
    store.end(key_of("secret"))
    assert current(store, "secret", NOW + 2, limits) is None
    begin(store, "idle", Account("u", "Anna", "dispatcher"), NOW, limits)
    assert current(store, "idle", NOW + 60_000_000, limits) is None
    assert store.load(key_of("idle")) is None


def test_transaction_that_always_comes_too_late_is_no_traceback() -> None:
    with pytest.raises(Unreachable, match="5 attempts"), reaching():
        raise ValueError("Failed to commit transaction in 5 attempts.") from Aborted("contention")
    with pytest.raises(ValueError, match="ours"), reaching():
        raise ValueError("ours")
