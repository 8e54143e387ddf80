"""One contract for both stores: in memory, and Firestore on its emulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Protocol

import pytest
from google.api_core import exceptions
from google.cloud import firestore

from local import emulators, parts
from local.config import isolated
from schemas.alarms import ALARMS, EVIDENCE, OPERATIONS, PATH_DOCUMENT, Alarm, AlarmState, LaneProof
from schemas.events import AlarmKind, Code
from schemas.homes import HOMES
from tests.fake_alarms import evidence, restore
from tests.fakes import NOW_US, SECOND_US
from transforms import firestore_effects
from transforms.alarm_store import AlarmStore, MemoryStore
from transforms.firestore_effects import FirestoreStore, firestore_store

FIRE = AlarmKind.FIRE


class Console(Protocol):
    """A store, and what an operator sees of it and does to it."""

    store: AlarmStore

    def alarms(self, home_id: str) -> list[Alarm]: ...
    def evidence(self, alarm_id: str) -> dict[str, bool]: ...
    def move(self, alarm_id: str, fields: dict[str, object]) -> None: ...
    def proofs(self) -> dict[str, dict[str, int]]: ...
    def home(self, home_id: str) -> dict[str, object]: ...


class MemoryConsole:
    def __init__(self) -> None:
        self.memory = MemoryStore(lambda: NOW_US)
        self.store: AlarmStore = self.memory

    def alarms(self, home_id: str) -> list[Alarm]:
        return [a for a in self.memory.alarms.values() if a.home_id == home_id]

    def evidence(self, alarm_id: str) -> dict[str, bool]:
        return {name: e.late for name, e in self.memory.evidence[alarm_id].items()}

    def move(self, alarm_id: str, fields: dict[str, object]) -> None:
        self.memory.alarms[alarm_id] = self.memory.alarms[alarm_id].model_copy(update=fields)

    def proofs(self) -> dict[str, dict[str, int]]:
        return {lane: proof.model_dump() for lane, proof in self.memory.proofs.items()}

    def home(self, home_id: str) -> dict[str, object]:
        return self.memory.homes[home_id]


class FirestoreConsole:
    def __init__(self, project: str) -> None:
        self.store = firestore_store(project, lambda: NOW_US)
        self.client: firestore.Client = self.store._client

    def alarms(self, home_id: str) -> list[Alarm]:
        found = self.client.collection(ALARMS).stream(timeout=10)
        every = [Alarm.model_validate(document.to_dict()) for document in found]
        return [alarm for alarm in every if alarm.home_id == home_id]

    def evidence(self, alarm_id: str) -> dict[str, bool]:
        found = self.client.collection(ALARMS).document(alarm_id).collection(EVIDENCE).stream(timeout=10)
        return {document.id: document.get("late") for document in found}

    def move(self, alarm_id: str, fields: dict[str, object]) -> None:
        self.client.collection(ALARMS).document(alarm_id).update(fields, timeout=10)

    def proofs(self) -> dict[str, dict[str, int]]:
        return self.client.collection(OPERATIONS).document(PATH_DOCUMENT).get(timeout=10).to_dict() or {}

    def home(self, home_id: str) -> dict[str, object]:
        return self.client.collection(HOMES).document(home_id).get(timeout=10).to_dict() or {}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Firestore emulator of this module's own."""
    settings = isolated(tmp_path_factory.mktemp("alarms"), warehouse="off", emulator_heap_mb=256)
    part = next(part for part in parts.stand_ins(settings) if part.name == "firestore")
    with pytest.MonkeyPatch.context() as patch, parts.running(part, settings):
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        yield settings.project


@pytest.fixture(params=["memory", pytest.param("firestore", marks=pytest.mark.system)])
def console(request: pytest.FixtureRequest) -> Iterator[Console]:
    if request.param == "memory":
        yield MemoryConsole()
        return
    made = FirestoreConsole(request.getfixturevalue("project"))
    yield made
    made.store.close()


@pytest.fixture
def home(request: pytest.FixtureRequest) -> str:
    """A home of each test's own: the emulator keeps what other tests wrote."""
    return "home-" + str(abs(hash(request.node.nodeid)))[:12]


def test_same_evidence_twice_raises_nothing_twice(console: Console, home: str) -> None:
    first = evidence(f"{home}-a", home_id=home)
    (change,) = console.store.attach(home, FIRE, [(first, "away")])
    assert change.action == "create"
    assert console.store.attach(home, FIRE, [(first, "away")]) == []
    assert console.store.attach(home, FIRE, [(first, "away"), (first, "away")]) == []
    (alarm,) = console.alarms(home)
    assert (alarm.evidence_count, alarm.state, alarm.armed_mode) == (1, AlarmState.NEW, "away")
    assert console.evidence(alarm.alarm_id) == {f"{home}-a": False}


def test_a_bundle_of_evidence_makes_one_episode_with_all_of_it(console: Console, home: str) -> None:
    made = [evidence(f"{home}-{n}", home_id=home, sensor_id=f"s{n}", at_s=n) for n in range(5)]
    changes = console.store.attach(home, FIRE, [(e, "") for e in [*made, made[0]]])
    assert [change.action for change in changes] == ["create", "update", "update", "update", "update"]
    (alarm,) = console.alarms(home)
    assert alarm.evidence_count == 5
    assert set(console.evidence(alarm.alarm_id)) == {e.evidence_id for e in made}


def test_pipeline_leaves_the_consoles_fields_alone(console: Console, home: str) -> None:
    console.store.attach(home, FIRE, [(evidence(f"{home}-a", home_id=home), "")])
    (alarm,) = console.alarms(home)
    console.move(alarm.alarm_id, {"state": "claimed", "fence": 3, "presented_us": NOW_US})
    console.store.attach(home, FIRE, [(evidence(f"{home}-b", Code.HEAT, home_id=home), "")])
    (alarm,) = console.alarms(home)
    assert (str(alarm.state), alarm.fence, alarm.presented_us) == ("claimed", 3, NOW_US)
    assert alarm.evidence_count == 2


def test_late_evidence_annotates_and_new_evidence_opens_anew(console: Console, home: str) -> None:
    console.store.attach(home, FIRE, [(evidence(f"{home}-a", home_id=home), "")])
    (first,) = console.alarms(home)
    closing = {"state": AlarmState.CLOSED, "closed_us": NOW_US + 60 * SECOND_US}
    console.move(first.alarm_id, closing)
    late, fresh = (evidence(f"{home}-{at}", home_id=home, at_s=at) for at in (30, 90))
    changes = console.store.attach(home, FIRE, [(late, ""), (fresh, "")])
    assert [change.action for change in changes] == ["annotate", "create"]
    assert console.evidence(first.alarm_id) == {f"{home}-a": False, f"{home}-30": True}
    states = {a.alarm_id: str(a.state) for a in console.alarms(home)}
    assert states.pop(first.alarm_id) == "closed"
    assert list(states.values()) == ["new"]
    later = evidence(f"{home}-40", home_id=home, at_s=40)
    (change,) = console.store.attach(home, FIRE, [(later, "")])
    assert change.action == "annotate", "the closed episode is found behind the open one"
    assert len(console.evidence(first.alarm_id)) == 3


def test_event_sent_again_after_the_close_raises_nothing(console: Console, home: str) -> None:
    """A gateway's retry has a new publish time: with a suspect clock it would count as happening now."""
    doubtful = evidence(
        f"{home}-a", home_id=home, clock_suspect=True, occurred_us=NOW_US - 86_400 * SECOND_US
    )
    console.store.attach(home, FIRE, [(doubtful, "")])
    (alarm,) = console.alarms(home)
    console.move(alarm.alarm_id, {"state": AlarmState.CLOSED, "closed_us": NOW_US + 60 * SECOND_US})
    again = doubtful.model_copy(update={"arrived_us": NOW_US + 600 * SECOND_US})
    assert console.store.attach(home, FIRE, [(again, "")]) == []
    assert len(console.alarms(home)) == 1


def test_restore_that_comes_first_waits_across_calls(console: Console, home: str) -> None:
    early = restore(f"{home}-r", home_id=home, at_s=20)
    assert console.store.attach(home, FIRE, [(early, "")]) == []
    assert console.store.attach(home, FIRE, [(early, "")]) == []
    assert console.alarms(home) == []
    console.store.attach(home, FIRE, [(evidence(f"{home}-a", home_id=home), "")])
    (alarm,) = console.alarms(home)
    assert (alarm.restored_us, alarm.evidence_count) == (NOW_US + 20 * SECOND_US, 2)
    assert console.store.attach(home, FIRE, [(early, "")]) == []


def test_concurrent_writers_make_one_episode_and_count_right(console: Console, home: str) -> None:
    writers = 1 if isinstance(console.store, MemoryStore) else 4
    made = [evidence(f"{home}-{n}", home_id=home, sensor_id=f"s{n}", at_s=n) for n in range(12)]
    threads = [
        threading.Thread(
            target=lambda part: [console.store.attach(home, FIRE, [(e, "")]) for e in part],
            args=(made[number::writers],),
        )
        for number in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (alarm,) = console.alarms(home)
    assert alarm.evidence_count == len(console.evidence(alarm.alarm_id)) == 12


def test_proofs_are_kept_by_lane(console: Console) -> None:
    console.store.prove("urgent", LaneProof(proven_us=5, sent_us=4))
    console.store.prove("minutes", LaneProof(proven_us=7, sent_us=6))
    assert console.proofs() == {
        "urgent": {"proven_us": 5, "sent_us": 4},
        "minutes": {"proven_us": 7, "sent_us": 6},
    }


def test_home_fields_are_merged_and_replaced_whole(console: Console, home: str) -> None:
    console.store.put_home(home, {"armed_mode": "away", "sensors": {"a": {"kind": "air"}, "b": {}}})
    console.store.put_home(home, {"sensors": {"a": {"kind": "air"}}})
    assert console.home(home) == {"armed_mode": "away", "sensors": {"a": {"kind": "air"}}}


@pytest.mark.system
def test_episode_that_was_erased_is_opened_again(project: str, home: str) -> None:
    console = FirestoreConsole(project)
    console.store.attach(home, FIRE, [(evidence(f"{home}-a", home_id=home), "")])
    (alarm,) = console.alarms(home)
    console.client.collection(ALARMS).document(alarm.alarm_id).delete()
    (change,) = console.store.attach(home, FIRE, [(evidence(f"{home}-b", home_id=home), "")])
    assert change.action == "create"
    console.store.close()


@pytest.mark.system
def test_close_between_read_and_commit_is_seen(project: str, home: str) -> None:
    """Evidence newer than the close must not vanish into the episode that was closed meanwhile."""
    console = FirestoreConsole(project)
    console.store.attach(home, FIRE, [(evidence(f"{home}-a", home_id=home), "")])
    (alarm,) = console.alarms(home)

    class ClosesBeforeCommit(FirestoreStore):
        raced = False

        def _write_episodes(self, *args: object) -> None:
            super()._write_episodes(*args)  # type: ignore[arg-type]
            if not self.raced:
                self.raced = True
                console.move(alarm.alarm_id, {"state": "closed", "closed_us": NOW_US + 60 * SECOND_US})

    store = ClosesBeforeCommit(console.client, lambda: NOW_US)
    (change,) = store.attach(home, FIRE, [(evidence(f"{home}-b", home_id=home, at_s=90), "")])
    assert store.raced
    assert change.action == "create"
    assert len(console.evidence(alarm.alarm_id)) == 1
    console.store.close()


@pytest.mark.system
def test_store_that_is_down_is_reported_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own retries would hold a bundle for five minutes without a word."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:9")  # discard: nobody listens
    monkeypatch.setattr(firestore_effects, "RETRY", firestore_effects.RETRY.with_timeout(1.0))
    store = firestore_store("demo-down", lambda: NOW_US)
    began_s = time.monotonic()
    with pytest.raises(exceptions.GoogleAPIError):
        store.attach("home-0001", FIRE, [(evidence("a"), "")])
    assert time.monotonic() - began_s < 10
    store.close()
