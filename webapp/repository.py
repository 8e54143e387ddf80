"""Firestore behind one class. `tests/webapp/fakes.py` has the same in memory; both pass one contract.

Whatever the console writes to an alarm goes through a transaction that reads it first, applies a rule
of `webapp.lifecycle`, and updates only the console's fields by mask.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from google.api_core.exceptions import FailedPrecondition
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from schemas import alarms as docs
from schemas.alarms import Alarm, AlarmState, Evidence, LaneProof
from schemas.audit import AuditAnchor
from schemas.errors import BadInput
from schemas.homes import DIRECTORY, HOMES, ON_TEST, SAFE_WORDS, DirectoryEntry, HomeStatus, OnTest, SafeWord
from schemas.labels import LABELS, dispatcher_label, label_of_test
from schemas.queries import ONCE
from webapp import audit, handling, on_test
from webapp.audit_store import AuditStore
from webapp.errors import NotFound
from webapp.lifecycle import Actor, Rule, Step
from webapp.reaching import READ_TIMEOUT_S, reaching
from webapp.reading import read_alarm, readable
from webapp.report import Source, source_of
from webapp.watching import Change, FirestoreWatch, Watch

MAX_EVIDENCE: Final = 60  # newest first; a longer episode says so by its count
MAX_HISTORY: Final = 100
MAX_HOMES: Final = 50
SEARCHED: Final = ("home_id", "address")
STAMP_ATTEMPTS: Final = 3
MAX_REPORTED: Final = 5000
REPORT_TIMEOUT_S: Final = 20.0


class AlarmRepository:
    """The console's view of Firestore. Every method raises `Unreachable` if it does not answer."""

    def __init__(self, client: firestore.Client) -> None:
        self._client = client
        self._alarms = client.collection(docs.ALARMS)
        self._audit = AuditStore(client)

    # -- reading -----------------------------------------------------------------------------

    def open_alarms(self) -> list[Alarm]:
        """All that are not closed, in no order."""
        with reaching():
            found = list(self._open_query().stream(timeout=READ_TIMEOUT_S, retry=ONCE))
        return [read_alarm(snapshot.id, snapshot.to_dict() or {}) for snapshot in found]

    def watch(self, on_change: Callable[[Change], None]) -> Watch:
        """Call `on_change` with all open alarms, then with each change, on a thread of the client."""
        return FirestoreWatch(self._open_query(), on_change)

    def alarm(self, alarm_id: str) -> Alarm:
        """
        Raises:
            NotFound: No such alarm.
        """
        with reaching():
            snapshot = self._reference(alarm_id).get(timeout=READ_TIMEOUT_S, retry=None)
        if not snapshot.exists:
            raise NotFound(f"no alarm {alarm_id[:80]!r}")
        return read_alarm(alarm_id, snapshot.to_dict() or {})

    def evidence(self, alarm_id: str) -> list[Evidence]:
        """What supports it, newest first, at most `MAX_EVIDENCE`."""
        query = (
            self._reference(alarm_id)
            .collection(docs.EVIDENCE)
            .order_by("recorded_us", direction=firestore.Query.DESCENDING)
            .limit(MAX_EVIDENCE)
        )
        with reaching():
            found = [s.to_dict() or {} for s in query.stream(timeout=READ_TIMEOUT_S, retry=ONCE)]
        return [one for one in (readable(Evidence, document) for document in found) if one]

    def history(self, alarm_id: str) -> list[dict[str, Any]]:
        """What the console did with it, oldest first."""
        query = self._reference(alarm_id).collection(docs.HISTORY).order_by("at_us").limit(MAX_HISTORY)
        with reaching():
            return [s.to_dict() or {} for s in query.stream(timeout=READ_TIMEOUT_S, retry=ONCE)]

    def directory(self, home_ids: Iterable[str]) -> dict[str, DirectoryEntry]:
        """Addresses and phones of these homes; homes without an entry are left out."""
        references = [self._client.collection(DIRECTORY).document(home) for home in sorted(set(home_ids))]
        if not references:
            return {}
        with reaching():
            found = list(self._client.get_all(references, timeout=READ_TIMEOUT_S, retry=None))
        entries = {s.id: readable(DirectoryEntry, s.to_dict()) for s in found if s.exists}
        return {home: entry for home, entry in entries.items() if entry}

    def find_homes(self, text: str, fields: Sequence[str] = SEARCHED) -> list[DirectoryEntry]:
        """Homes of which one of these fields begins so, at most `MAX_HOMES` of each."""
        directory, end = self._client.collection(DIRECTORY), text + "\uf8ff"
        found: dict[str, Any] = {}
        with reaching():
            for field in fields:
                query = (
                    directory.order_by(field).start_at({field: text}).end_at({field: end}).limit(MAX_HOMES)
                )
                found |= {s.id: s.to_dict() for s in query.stream(timeout=READ_TIMEOUT_S, retry=ONCE)}
        return [entry for d in found.values() if (entry := readable(DirectoryEntry, d))]

    def some_homes(self, count: int) -> list[str]:
        """Ids of a few homes, always the same ones while they exist."""
        query = self._client.collection(HOMES).select([]).limit(count)
        with reaching():
            return [snapshot.id for snapshot in query.stream(timeout=READ_TIMEOUT_S, retry=ONCE)]

    def home(self, home_id: str) -> HomeStatus:
        """
        Raises:
            NotFound: No such home, or one that this version cannot read.
        """
        reference = document_of(self._client.collection(HOMES), home_id)
        with reaching():
            snapshot = reference.get(timeout=READ_TIMEOUT_S, retry=None)
        status = readable(HomeStatus, snapshot.to_dict()) if snapshot.exists else None
        if status is None:
            raise NotFound(f"no home {home_id[:80]!r}")
        return status

    def alarms_of(self, home_id: str) -> list[Alarm]:
        """A home's alarms, newest first, at most `MAX_HISTORY`."""
        query = (
            self._alarms.where(filter=FieldFilter("home_id", "==", home_id))
            .order_by("opened_us", direction=firestore.Query.DESCENDING)
            .limit(MAX_HISTORY)
        )
        with reaching():
            found = list(query.stream(timeout=READ_TIMEOUT_S, retry=ONCE))
        return [read_alarm(s.id, s.to_dict() or {}) for s in found]

    def path_proofs(self) -> dict[str, LaneProof]:
        """Lane → when it was last proven end to end; empty if never."""
        reference = self._client.collection(docs.OPERATIONS).document(docs.PATH_DOCUMENT)
        with reaching():
            snapshot = reference.get(timeout=READ_TIMEOUT_S, retry=None)
        lanes = {
            k: readable(LaneProof, v) for k, v in (snapshot.to_dict() or {}).items() if isinstance(v, dict)
        }
        return {lane: proof for lane, proof in lanes.items() if proof}

    def opened_between(self, from_us: int, to_us: int) -> list[Alarm]:
        """Alarms opened then, open or closed.

        Raises:
            BadInput: More than a report can hold.
        """
        query = (
            self._alarms.where(filter=FieldFilter("opened_us", ">=", from_us))
            .where(filter=FieldFilter("opened_us", "<", to_us))
            .limit(MAX_REPORTED + 1)
        )
        with reaching():
            found = list(query.stream(timeout=REPORT_TIMEOUT_S, retry=ONCE))
        if len(found) > MAX_REPORTED:
            raise BadInput(f"more than {MAX_REPORTED} alarms: choose a shorter period")
        return [read_alarm(s.id, s.to_dict() or {}) for s in found]

    def source(self, alarm_id: str) -> Source:
        """The sensors and models whose evidence an alarm has."""
        query = self._reference(alarm_id).collection(docs.EVIDENCE).select(["sensor_id", "scores"])
        with reaching():
            pieces = [
                s.to_dict() or {}
                for s in query.limit(MAX_EVIDENCE).stream(timeout=READ_TIMEOUT_S, retry=ONCE)
            ]
        return source_of(pieces)

    def safe_word(self, home_id: str) -> SafeWord | None:
        """The hash of the home's safe word; None if it has none."""
        with reaching():
            reference = self._client.collection(SAFE_WORDS).document(home_id)
            found = reference.get(timeout=READ_TIMEOUT_S, retry=None)
        return readable(SafeWord, found.to_dict()) if found.exists else None

    def homes_on_test(self, now_us: int) -> dict[str, OnTest]:
        """Homes that are on test now."""
        query = self._client.collection(ON_TEST).where(filter=FieldFilter("until_us", ">", now_us))
        with reaching():
            found = list(query.stream(timeout=READ_TIMEOUT_S, retry=ONCE))
        tests = {s.id: readable(OnTest, s.to_dict()) for s in found}
        return {home: test for home, test in tests.items() if test}

    # -- writing -----------------------------------------------------------------------------

    def presented(self, alarm_ids: Iterable[str], now_us: int) -> None:
        """Stamp alarms that a dispatcher's screen showed for the first time; ids unknown are ignored."""
        for alarm_id in sorted(set(alarm_ids)):
            self._stamp(alarm_id, now_us)

    def _stamp(self, alarm_id: str, now_us: int) -> None:
        # Optimistic instead of a transaction: every browser stamps at once, and only the first counts.
        reference = self._reference(alarm_id)
        for _ in range(STAMP_ATTEMPTS):
            with reaching():
                snapshot = reference.get(timeout=READ_TIMEOUT_S, retry=None)
                if not snapshot.exists or (snapshot.to_dict() or {}).get("presented_us") is not None:
                    return
                unchanged = self._client.write_option(last_update_time=snapshot.update_time)
                with contextlib.suppress(FailedPrecondition):
                    reference.update({"presented_us": now_us}, unchanged, retry=None, timeout=READ_TIMEOUT_S)
                    return

    def apply(self, alarm_id: str, actor: Actor, rule: Rule) -> Alarm:
        """What a rule makes of the alarm, in one transaction with its history and the audit trail.

        Of two at once one wins, and the other's rule sees what the first has written. Closing frees the
        home's slot for its kind and writes the label; reopening takes both back.

        Raises:
            NotFound, Refused, BadInput: Nothing was written.
        """
        self.alarm(alarm_id)  # fails within seconds where a transaction would retry for a minute
        reference = self._reference(alarm_id)

        @firestore.transactional
        def run(transaction: firestore.Transaction) -> Alarm:
            snapshot = reference.get(transaction=transaction)
            if not snapshot.exists:
                raise NotFound(f"no alarm {alarm_id[:80]!r}")
            alarm = read_alarm(alarm_id, snapshot.to_dict() or {})
            step = rule(alarm)
            if step is None:
                return alarm
            after = Alarm.model_validate({**alarm.model_dump(), **step.changes})
            if step.is_heartbeat:
                transaction.update(reference, step.changes)
                return after
            record = audit.of_step(alarm, actor, step)
            head = self._audit.read_head(record.chain, transaction)  # reads come before writes
            self._write_slot_and_label(alarm, after, step, transaction)
            if step.changes:
                transaction.update(reference, step.changes)
            entry = self._audit.append(head, record, transaction)
            transaction.create(reference.collection(docs.HISTORY).document(f"{entry.seq:08d}"), step.entry)
            return after

        with reaching():
            alarm: Alarm = run(self._client.transaction())
        return alarm

    def begin_test(self, home_id: str, actor: Actor, minutes: int, reason: str, now_us: int) -> OnTest:
        """See `on_test.begin`.

        Raises:
            NotFound: No such home.
        """
        return self._change_test(
            home_id,
            actor,
            "test begun",
            now_us,
            lambda _: on_test.begin(home_id, actor, minutes, reason, now_us),
        )

    def end_test(self, home_id: str, actor: Actor, now_us: int) -> OnTest:
        """See `on_test.end`.

        Raises:
            NotFound: No such home, or it is not on test.
        """

        def rule(now: OnTest | None) -> OnTest:
            if now is None or now.until_us <= now_us:
                raise NotFound(f"{home_id[:80]!r} is not on test")
            return on_test.end(now, now_us)

        return self._change_test(home_id, actor, "test ended", now_us, rule)

    def _change_test(
        self, home_id: str, actor: Actor, action: str, now_us: int, rule: Callable[[OnTest | None], OnTest]
    ) -> OnTest:
        reference = document_of(self._client.collection(ON_TEST), home_id)
        self.home(home_id)

        @firestore.transactional
        def run(transaction: firestore.Transaction) -> OnTest:
            document = reference.get(transaction=transaction).to_dict()
            before = readable(OnTest, document) if document else None
            after = rule(before)
            record = on_test.record(actor, action, before, after, now_us)
            head = self._audit.read_head(record.chain, transaction)
            transaction.set(reference, after.document())
            label = label_of_test(after)
            transaction.set(self._client.collection(LABELS).document(label.label_id), label.document())
            self._audit.append(head, record, transaction)
            return after

        with reaching():
            made: OnTest = run(self._client.transaction())
        return made

    def deny(self, actor: Actor, action: str, target: str, reason: str, now_us: int) -> None:
        """Record that something was asked for and refused."""
        self._audit.add(audit.of_denial(actor, action, target, reason, now_us))

    def anchor(self, at_us: int) -> AuditAnchor | None:
        """See `AuditStore.anchor`."""
        return self._audit.anchor(at_us)

    def _write_slot_and_label(
        self, alarm: Alarm, after: Alarm, step: Step, transaction: firestore.Transaction
    ) -> None:
        if (alarm.state is AlarmState.CLOSED) == (after.state is AlarmState.CLOSED):
            return
        slot = self._client.collection(docs.OPEN).document(docs.open_id(alarm.home_id, alarm.kind))
        merged = handling.slot_after(alarm, step, slot.get(transaction=transaction).to_dict())
        if merged is not None:
            transaction.set(slot, merged, merge=True)
        label, reference = (
            dispatcher_label(after),
            self._client.collection(LABELS).document(alarm.alarm_id),
        )
        if label:
            transaction.set(reference, label.document())
        else:
            transaction.delete(reference)

    def _reference(self, alarm_id: str) -> firestore.DocumentReference:
        return document_of(self._alarms, alarm_id)

    def _open_query(self) -> firestore.Query:
        # "not closed" rather than a list of states: a state that a newer version adds stays visible.
        return self._alarms.where(filter=FieldFilter("state", "!=", AlarmState.CLOSED.value))


def document_of(collection: firestore.CollectionReference, name: str) -> firestore.DocumentReference:
    """
    Raises:
        NotFound: No document can have this name.
    """
    if not name or len(name) > 128 or "/" in name or name.startswith("."):
        raise NotFound(f"no {collection.id} {name[:80]!r}")
    return collection.document(name)
