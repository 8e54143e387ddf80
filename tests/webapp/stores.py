"""A repository of either kind, with what a pipeline does to the same database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from schemas.alarms import Alarm, LaneProof
from schemas.events import AlarmKind, Code
from schemas.homes import HomeStatus, SafeWord
from tests.webapp.fakes import MemoryAlarms
from tests.webapp.seed import make_alarm
from webapp.audit import Trail
from webapp.audit_store import AuditStore
from webapp.lifecycle import Actor
from webapp.repository import AlarmRepository

NOW = 1_790_000_000_000_000
PROJECT = "demo-repository-tests"  # its own: the console of the browser tests sweeps theirs
ANNA, BEN = Actor("u-anna", "Anna"), Actor("u-ben", "Ben")


COLLECTIONS = (
    *("alarms", "open", "directory", "operations", "console_sessions", "labels", "safe_words"),
    *("audit", "audit_heads", "audit_anchors", "homes", "on_test"),
)


class FirestoreStore:
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


class MemoryStore:
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


def put(store: Any, home: str = "home-0001", code: Code = Code.SMOKE, **fields: Any) -> str:
    alarm = make_alarm(home, code, NOW, 5, **fields)
    store.put(alarm)
    return alarm.alarm_id


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
