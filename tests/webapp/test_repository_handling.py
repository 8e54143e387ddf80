"""What the console writes: one contract for the fake and for Firestore."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from google.api_core.exceptions import Aborted

from schemas.alarms import Alarm
from schemas.events import AlarmKind, Code
from schemas.homes import HomeStatus
from tests.webapp import acting
from tests.webapp.seed import make_alarm
from tests.webapp.stores import ANNA, BEN, NOW, MemoryStore, put
from webapp import audit
from webapp.errors import NotFound, Refused, Unreachable
from webapp.lifecycle import Actor
from webapp.reaching import reaching


def test_claim_then_close_writes_state_slot_and_history(store: Any) -> None:
    key = put(store)
    claimed = acting.claim(store.repository, key, ANNA, NOW)
    assert (claimed.state, claimed.fence) == ("claimed", 1)
    acting.close(store.repository, key, ANNA, 1, "real", "fire brigade sent", NOW + 9)
    closed = store.repository.alarm(key)
    assert (closed.state, closed.close_out, closed.closed_us) == ("closed", "real", NOW + 9)
    slot = store.slot("home-0001", AlarmKind.FIRE)
    assert slot == {"alarm_id": key, "state": "closed", "closed_us": NOW + 9}
    assert [e["action"] for e in store.repository.history(key)] == ["claimed", "closed"]


def test_close_leaves_the_slot_of_a_newer_episode_alone(store: Any) -> None:
    old = put(store)
    acting.claim(store.repository, old, ANNA, NOW)
    newer = make_alarm("home-0001", Code.SMOKE, NOW, 1)
    if isinstance(store, MemoryStore):
        store.repository.slots.clear()
    store.put(newer)
    acting.close(store.repository, old, ANNA, 1, "test", "", NOW)
    assert store.slot("home-0001", AlarmKind.FIRE) == {"alarm_id": newer.alarm_id, "state": "open"}


def test_console_writes_leave_the_pipelines_fields_alone(store: Any) -> None:
    key = put(store, headline="as the pipeline wrote it", evidence_count=7)
    before = store.repository.alarm(key)
    store.repository.presented([key], NOW)
    acting.claim(store.repository, key, ANNA, NOW)
    acting.renew(store.repository, key, ANNA, 1, NOW + 1)
    acting.release(store.repository, key, ANNA, 1, NOW + 2)
    after = store.repository.alarm(key)
    changed = {name for name in Alarm.model_fields if getattr(before, name) != getattr(after, name)}
    assert changed == {"presented_us", "acknowledged_us", "fence", "returned_us"}


def test_of_two_racing_claims_exactly_one_wins(store: Any) -> None:
    key = put(store)
    won, refused, ready = [], [], threading.Barrier(2)

    def claim(actor: Actor) -> None:
        ready.wait()
        try:
            won.append(acting.claim(store.repository, key, actor, NOW))
        except Refused as error:
            refused.append(str(error))

    racers = [threading.Thread(target=claim, args=(actor,)) for actor in (ANNA, BEN)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert len(won) == 1
    assert refused == [f"{won[0].claim.name} already has this alarm."]
    assert [e["action"] for e in store.repository.history(key)] == ["claimed"]


def test_heartbeats_extend_the_lease_and_leave_no_history(store: Any) -> None:
    key = put(store)
    acting.claim(store.repository, key, ANNA, NOW)
    renewed = acting.renew(store.repository, key, ANNA, 1, NOW + 30_000_000)
    assert renewed.claim.expires_us == NOW + 120_000_000
    assert len(store.repository.history(key)) == 1


def test_stale_holder_is_fenced_out(store: Any) -> None:
    key = put(store)
    acting.claim(store.repository, key, ANNA, NOW)
    acting.claim(store.repository, key, BEN, NOW + 91_000_000)
    with pytest.raises(Refused, match="Ben has this alarm now"):
        acting.close(store.repository, key, ANNA, 1, "real", "", NOW + 92_000_000)
    assert store.repository.alarm(key).state == "claimed"


def test_every_change_and_refusal_is_in_the_audit_trail_and_the_trail_is_whole(store: Any) -> None:
    key = put(store)
    acting.claim(store.repository, key, ANNA, NOW)
    acting.renew(store.repository, key, ANNA, 1, NOW + 1)
    store.repository.deny(BEN, "close", key, "held", NOW + 2)
    acting.close(store.repository, key, ANNA, 1, "real", "Mrs. Weber was out", NOW + 3)
    trail = store.trail()
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


def test_anchor_holds_the_heads_that_moved_and_is_made_once(store: Any) -> None:
    key = put(store)
    assert store.repository.anchor(NOW) is None
    acting.claim(store.repository, key, ANNA, NOW)
    first = store.repository.anchor(NOW + 1)
    assert [(h.chain, h.seq) for h in first.heads] == [(f"alarm:{key}", 1)]
    assert store.repository.anchor(NOW + 2) is None, "nothing moved"
    acting.release(store.repository, key, ANNA, 1, NOW + 3)
    second = store.repository.anchor(NOW + 4)
    assert (second.seq, second.previous) == (2, first.hash)
    assert audit.verify(store.trail()) == []


def test_refused_rule_writes_neither_alarm_nor_trail(store: Any) -> None:
    key = put(store)
    with pytest.raises(Refused):
        acting.close(store.repository, key, ANNA, 0, "real", "", NOW)
    assert store.repository.alarm(key).state == "new"
    assert store.repository.history(key) == []
    assert store.trail().entries == []


def test_closing_writes_a_label_and_reopening_takes_it_and_the_slot_back(store: Any) -> None:
    key = put(store)
    acting.claim(store.repository, key, ANNA, NOW)
    acting.close(store.repository, key, ANNA, 1, "false_cooking", "", NOW + 5)
    label = store.label(key)
    assert (label["home_id"], label["kind"], label["close_out"]) == ("home-0001", "fire", "false_cooking")
    back = acting.reopen(store.repository, key, BEN, "smoke again", NOW + 6)
    assert (back.state, back.claim, back.close_out, back.returned_us) == ("new", None, None, NOW + 6)
    assert store.label(key) is None
    assert store.slot("home-0001", AlarmKind.FIRE)["state"] == "open"
    assert [e["action"] for e in store.repository.history(key)] == ["claimed", "closed", "reopened"]


def test_alarm_with_a_newer_one_in_its_place_is_not_reopened(store: Any) -> None:
    old = put(store)
    acting.claim(store.repository, old, ANNA, NOW)
    acting.close(store.repository, old, ANNA, 1, "test", "", NOW)
    if isinstance(store, MemoryStore):
        store.repository.slots.clear()
    store.put(make_alarm("home-0001", Code.SMOKE, NOW, 1))
    with pytest.raises(Refused, match="newer alarm"):
        acting.reopen(store.repository, old, ANNA, "why", NOW + 1)
    assert store.repository.alarm(old).state == "closed"


def test_home_is_on_test_until_a_time_or_until_it_is_ended(store: Any) -> None:
    store.set_home(HomeStatus(home_id="home-0001"))
    minute = 60_000_000
    begun = store.repository.begin_test("home-0001", ANNA, 30, "new smoke sensor", NOW)
    assert begun.until_us == NOW + 30 * minute
    assert list(store.repository.homes_on_test(NOW)) == ["home-0001"]
    assert store.repository.homes_on_test(NOW + 30 * minute) == {}
    store.repository.end_test("home-0001", BEN, NOW + minute)
    assert store.repository.homes_on_test(NOW + minute) == {}
    said = store.label(f"home-0001~test~{NOW}")
    assert (said["source"], said["from_us"], said["to_us"]) == ("test_mode", NOW, NOW + minute)
    with pytest.raises(NotFound, match="not on test"):
        store.repository.end_test("home-0001", BEN, NOW + 2 * minute)
    entries = sorted(store.trail().entries, key=lambda e: e.seq)
    assert [(e.chain, e.user, e.action) for e in entries] == [
        ("home:home-0001", "u-anna", "test begun"),
        ("home:home-0001", "u-ben", "test ended"),
    ]
    assert audit.verify(store.trail()) == []


@pytest.mark.parametrize("home_id", ["home-9999", "..", "a/b"])
def test_unknown_home_is_not_put_on_test(store: Any, home_id: str) -> None:
    with pytest.raises(NotFound):
        store.repository.begin_test(home_id, ANNA, 30, "x", NOW)


def test_presented_is_stamped_once(store: Any) -> None:
    key = put(store)
    store.repository.presented([key, "fire-unknown"], NOW)
    store.repository.presented([key], NOW + 5)
    assert store.repository.alarm(key).presented_us == NOW


def test_transaction_that_always_comes_too_late_is_no_traceback() -> None:
    with pytest.raises(Unreachable, match="5 attempts"), reaching():
        raise ValueError("Failed to commit transaction in 5 attempts.") from Aborted("contention")
    with pytest.raises(ValueError, match="ours"), reaching():
        raise ValueError("ours")
