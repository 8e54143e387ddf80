"""The alarm store in Firestore: read, decide, and commit only if nothing changed meanwhile.

A commit is one atomic batch with preconditions on the update times of what was read, in place of a
transaction that locks what it reads: the console claims and closes the same documents, locks make
contention slow (very slow on the emulator: platform.md), and this way takes one round trip less.
Whoever loses reads again and decides anew.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import google.auth.credentials
from google.api_core import exceptions, retry
from google.cloud import firestore

from schemas.alarms import (
    ALARMS,
    EVIDENCE,
    OPEN,
    OPERATIONS,
    PATH_DOCUMENT,
    Alarm,
    Evidence,
    LaneProof,
    open_id,
)
from schemas.events import AlarmKind
from schemas.homes import HOMES
from transforms.episodes import Change, Episode, Outcome, Slot, fold, wanted

TIMEOUT_S: Final = 10.0  # of one try of one call
# The client's own default tries for minutes; the runner, which retries the bundle, should know sooner.
RETRY: Final = retry.Retry(
    retry.if_exception_type(
        exceptions.ServiceUnavailable,
        exceptions.DeadlineExceeded,
        exceptions.ResourceExhausted,
        exceptions.InternalServerError,
    ),
    initial=0.05,
    maximum=1.0,
    timeout=20.0,
)
MAX_ATTEMPTS: Final = 12
_BACKOFF_S: Final = 0.02
_LOST_THE_RACE: Final = (exceptions.FailedPrecondition, exceptions.Conflict, exceptions.NotFound)
# All of an evidence document that decides anything: the charts stay where they are.
_DECIDING: Final = sorted(set(Evidence.model_fields) - {"series", "measurements"})


def firestore_client(project: str) -> firestore.Client:
    """Project → client; with FIRESTORE_EMULATOR_HOST the emulator, without credentials."""
    if os.environ.get("FIRESTORE_EMULATOR_HOST"):
        return firestore.Client(project, credentials=google.auth.credentials.AnonymousCredentials())
    return firestore.Client(project)


def firestore_store(project: str, clock_us: Callable[[], int]) -> FirestoreStore:
    """Project → store."""
    return FirestoreStore(firestore_client(project), clock_us)


class FirestoreStore:
    """`transforms.alarm_store.AlarmStore` in Firestore.

    Args:
        clock_us: µs since 1970 UTC, for `opened_us` and `updated_us`.
        sleep_s: Waits between attempts.
        chance: Jitter in [0, 1).
    """

    def __init__(
        self,
        client: firestore.Client,
        clock_us: Callable[[], int],
        sleep_s: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._clock_us = clock_us
        self._sleep_s = sleep_s
        self._chance = chance
        self._sent_us: dict[str, int] = {}

    def attach(self, home_id: str, kind: AlarmKind, raised: Sequence[tuple[Evidence, str]]) -> list[Change]:
        for attempt in range(MAX_ATTEMPTS):
            try:
                return self._attach_once(home_id, kind, raised)
            except _LOST_THE_RACE:
                if attempt == MAX_ATTEMPTS - 1:
                    raise
                self._sleep_s(_BACKOFF_S * 2 ** min(attempt, 5) * (0.5 + self._chance()))
        raise AssertionError("unreachable")

    def prove(self, lane: str, proof: LaneProof) -> None:
        # A redelivered test proves nothing newer than what is written.
        if proof.sent_us <= self._sent_us.get(lane, 0):
            return
        document = self._client.collection(OPERATIONS).document(PATH_DOCUMENT)
        document.set({lane: proof.model_dump()}, merge=True, retry=RETRY, timeout=TIMEOUT_S)
        self._sent_us[lane] = proof.sent_us

    def put_home(self, home_id: str, fields: dict[str, Any]) -> None:
        # Names of fields, not paths: a whole field is replaced, so that a removed sensor is gone.
        document = self._client.collection(HOMES).document(home_id)
        document.set(fields, merge=list(fields), retry=RETRY, timeout=TIMEOUT_S)  # type: ignore[arg-type]

    def close(self) -> None:
        self._client.close()

    def _attach_once(
        self, home_id: str, kind: AlarmKind, raised: Sequence[tuple[Evidence, str]]
    ) -> list[Change]:
        slot_ref = self._client.collection(OPEN).document(open_id(home_id, kind))
        marks = {e.evidence_id: self._mark(e.evidence_id) for e, _ in raised}
        read = self._read([slot_ref, *marks.values()])
        fresh = [(e, mode) for e, mode in raised if not read[marks[e.evidence_id].path].exists]
        if not fresh:
            return []
        slot_snapshot = read[slot_ref.path]
        slot = Slot.model_validate(slot_snapshot.to_dict() or {})
        names = wanted(slot, [e for e, _ in fresh])
        alarms = self._read([self._alarm(name) for name in names]) if names else {}
        # A document that was erased counts as no episode: its late evidence opens a new one.
        found = {name: alarms[self._alarm(name).path] for name in names}
        episodes = {name: self._episode(name, alarm) for name, alarm in found.items() if alarm.exists}
        outcome = fold(kind, slot, episodes, fresh, self._clock_us())
        batch = self._client.batch()
        self._write_episodes(batch, outcome.changes, alarms)
        self._write_evidence(batch, outcome, slot)
        if outcome.slot is not None:
            fields = outcome.slot.model_dump(mode="json") | {"home_id": home_id, "kind": str(kind)}
            if slot_snapshot.exists:
                batch.update(slot_ref, fields, option=self._unchanged(slot_snapshot))
            else:
                batch.create(slot_ref, fields)
        batch.commit(retry=RETRY, timeout=TIMEOUT_S)
        return [change for change in outcome.changes if change.action != "none"]

    def _write_episodes(
        self,
        batch: firestore.WriteBatch,
        changes: Iterable[Change],
        alarms: dict[str, firestore.DocumentSnapshot],
    ) -> None:
        """One write an episode: all of a new one, only the pipeline's fields of another."""
        created: dict[str, Alarm] = {}
        fields: dict[str, dict[str, Any]] = {}
        for change in changes:
            if change.alarm is None or change.action == "none":
                continue
            name = change.alarm.alarm_id
            if change.action == "create" or name in created:
                created[name] = change.alarm
            else:
                fields.setdefault(name, {}).update(change.fields)
        for name, alarm in created.items():
            batch.create(self._alarm(name), alarm.document())
        for name, changed in fields.items():
            snapshot = alarms[self._alarm(name).path]
            batch.update(snapshot.reference, changed, option=self._unchanged(snapshot))

    def _write_evidence(self, batch: firestore.WriteBatch, outcome: Outcome, slot: Slot) -> None:
        """Evidence where it belongs, and the mark that it is taken; "" while it waits."""
        waited = {e.evidence_id for e in slot.waiting}
        taken: dict[str, str] = {}
        for change in outcome.changes:
            evidence_id = change.evidence.evidence_id
            if change.action == "none" or change.alarm is None:
                taken.setdefault(evidence_id, "")
                continue
            taken[evidence_id] = change.alarm.alarm_id
            document = self._alarm(change.alarm.alarm_id).collection(EVIDENCE).document(evidence_id)
            batch.create(document, change.evidence.document())
        for evidence_id, name in taken.items():
            if evidence_id in waited:
                batch.update(self._mark(evidence_id), {"alarm_id": name})
            else:
                batch.create(self._mark(evidence_id), {"alarm_id": name})

    def _episode(self, name: str, snapshot: firestore.DocumentSnapshot) -> Episode:
        found = (
            self._alarm(name).collection(EVIDENCE).select(_DECIDING).stream(retry=RETRY, timeout=TIMEOUT_S)
        )
        evidence = [Evidence.model_validate(document.to_dict()) for document in found]
        return Episode(Alarm.model_validate(snapshot.to_dict()), evidence)

    def _read(self, references: list[firestore.DocumentReference]) -> dict[str, firestore.DocumentSnapshot]:
        return {s.reference.path: s for s in self._client.get_all(references, retry=RETRY, timeout=TIMEOUT_S)}

    def _unchanged(self, snapshot: firestore.DocumentSnapshot) -> Any:
        return self._client.write_option(last_update_time=snapshot.update_time)

    def _alarm(self, name: str) -> firestore.DocumentReference:
        return self._client.collection(ALARMS).document(name)

    def _mark(self, evidence_id: str) -> firestore.DocumentReference:
        return self._client.collection(EVIDENCE).document(evidence_id)
