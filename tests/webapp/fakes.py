"""In-memory stand-ins. `MemoryAlarms` passes the same contract as `webapp.repository.AlarmRepository`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from schemas.alarms import Alarm, AlarmState, Evidence, LaneProof, open_id
from schemas.audit import AuditAnchor, AuditEntry, AuditHead
from schemas.homes import DirectoryEntry, HomeStatus, OnTest, SafeWord
from schemas.incidents import HomeLosses, HomePath
from schemas.labels import Label, dispatcher_label, label_of_test
from webapp import audit, handling, on_test
from webapp.accounts import Account, Owner
from webapp.audit import Record, Trail
from webapp.errors import NotFound, SignInRefused, Unreachable
from webapp.lifecycle import Actor, Rule
from webapp.reading import read_alarm
from webapp.report import Source, source_of
from webapp.repository import SEARCHED
from webapp.sessions import Session
from webapp.warehouse import Minute, ModelSeen
from webapp.watched import Watched
from webapp.watching import Change


class Clock:
    """A clock that stands still until told."""

    def __init__(self, now_us: int = 1_790_000_000_000_000) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def pass_s(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)


class MemoryWatch:
    """A listener of `MemoryAlarms`."""

    def __init__(self) -> None:
        self.active = True

    def close(self) -> None:
        self.active = False


class MemoryAlarms:
    """Alarms in a dict. `down` makes every call fail; `deaf` silences the listeners."""

    def __init__(self) -> None:
        self.alarms: dict[str, dict[str, Any]] = {}
        self.pieces: dict[str, list[Evidence]] = {}
        self.entries: dict[str, list[dict[str, Any]]] = {}
        self.slots: dict[str, dict[str, Any]] = {}
        self.homes: dict[str, DirectoryEntry] = {}
        self.path: dict[str, LaneProof] = {}
        self.down = self.deaf = False
        self.watches = 0
        self.safe_words: dict[str, SafeWord] = {}
        self.labels: dict[str, Label] = {}
        self.statuses: dict[str, HomeStatus] = {}
        self.tests: dict[str, OnTest] = {}
        self.audit: list[AuditEntry] = []
        self.heads: dict[str, AuditHead] = {}
        self.anchors: list[AuditAnchor] = []
        self._lock = threading.RLock()
        self._listeners: list[tuple[MemoryWatch, Callable[[Change], None]]] = []

    # what a pipeline does

    def put(self, alarm: Alarm) -> None:
        with self._lock:
            self.alarms[alarm.alarm_id] = alarm.document()
            self.slots.setdefault(
                open_id(alarm.home_id, alarm.kind), {"alarm_id": alarm.alarm_id, "state": "open"}
            )
        self._tell(alarm.alarm_id)

    def add_evidence(self, alarm_id: str, evidence: Evidence) -> None:
        self.pieces.setdefault(alarm_id, []).append(evidence)

    def add_home(self, entry: DirectoryEntry) -> None:
        self.homes[entry.home_id] = entry

    def slot(self, home_id: str, kind: Any) -> dict[str, Any] | None:
        return self.slots.get(open_id(home_id, kind))

    # what the console does

    def open_alarms(self) -> list[Alarm]:
        self._reach()
        with self._lock:
            return [read_alarm(k, d) for k, d in self.alarms.items() if d["state"] != AlarmState.CLOSED]

    def watch(self, on_change: Callable[[Change], None]) -> MemoryWatch:
        self.watches += 1
        watch = MemoryWatch()
        self._listeners.append((watch, on_change))
        if not self.deaf and not self.down:
            on_change(Change(self.open_alarms(), [], True))
        return watch

    def alarm(self, alarm_id: str) -> Alarm:
        self._reach()
        if alarm_id not in self.alarms:
            raise NotFound(f"no alarm {alarm_id!r}")
        return read_alarm(alarm_id, self.alarms[alarm_id])

    def evidence(self, alarm_id: str) -> list[Evidence]:
        self._reach()
        return sorted(self.pieces.get(alarm_id, []), key=lambda e: -e.recorded_us)

    def history(self, alarm_id: str) -> list[dict[str, Any]]:
        self._reach()
        return sorted(self.entries.get(alarm_id, []), key=lambda e: int(e["at_us"]))

    def directory(self, home_ids: Iterable[str]) -> dict[str, DirectoryEntry]:
        self._reach()
        return {home: self.homes[home] for home in set(home_ids) if home in self.homes}

    def find_homes(self, text: str, fields: Sequence[str] = SEARCHED) -> list[DirectoryEntry]:
        self._reach()
        return [e for e in self.homes.values() if any(getattr(e, f).startswith(text) for f in fields)]

    def some_homes(self, count: int) -> list[str]:
        self._reach()
        return sorted(self.statuses)[:count]

    def home(self, home_id: str) -> HomeStatus:
        self._reach()
        if home_id not in self.statuses:
            raise NotFound(f"no home {home_id!r}")
        return self.statuses[home_id]

    def alarms_of(self, home_id: str) -> list[Alarm]:
        self._reach()
        found = [read_alarm(k, d) for k, d in self.alarms.items() if d["home_id"] == home_id]
        return sorted(found, key=lambda a: -a.opened_us)

    def path_proofs(self) -> dict[str, LaneProof]:
        self._reach()
        return dict(self.path)

    def presented(self, alarm_ids: Iterable[str], now_us: int) -> None:
        self._reach()
        for alarm_id in set(alarm_ids) & self.alarms.keys():
            if self.alarms[alarm_id].get("presented_us") is None:
                self.alarms[alarm_id]["presented_us"] = now_us
                self._tell(alarm_id)

    def opened_between(self, from_us: int, to_us: int) -> list[Alarm]:
        self._reach()
        alarms = [read_alarm(k, d) for k, d in self.alarms.items()]
        return [a for a in alarms if from_us <= a.opened_us < to_us]

    def source(self, alarm_id: str) -> Source:
        self._reach()
        return source_of([e.document() for e in self.pieces.get(alarm_id, [])])

    def safe_word(self, home_id: str) -> SafeWord | None:
        self._reach()
        return self.safe_words.get(home_id)

    def apply(self, alarm_id: str, actor: Actor, rule: Rule) -> Alarm:
        with self._lock:
            alarm = self.alarm(alarm_id)
            step = rule(alarm)
            if step is None:
                return alarm
            key = open_id(alarm.home_id, alarm.kind)
            slot = handling.slot_after(alarm, step, self.slots.get(key))
            if slot:
                self.slots[key] = self.slots.get(key, {}) | slot
            self.alarms[alarm_id] |= step.changes
            if not step.is_heartbeat:
                self.entries.setdefault(alarm_id, []).append(step.entry)
                self._record(audit.of_step(alarm, actor, step))
            label = dispatcher_label(self.alarm(alarm_id))
            self.labels.pop(alarm_id, None)
            if label:
                self.labels[alarm_id] = label
        self._tell(alarm_id)
        return self.alarm(alarm_id)

    def homes_on_test(self, now_us: int) -> dict[str, OnTest]:
        self._reach()
        return {home: test for home, test in self.tests.items() if test.until_us > now_us}

    def begin_test(self, home_id: str, actor: Actor, minutes: int, reason: str, now_us: int) -> OnTest:
        self.home(home_id)
        after = on_test.begin(home_id, actor, minutes, reason, now_us)
        return self._change_test(actor, "test begun", after, now_us)

    def end_test(self, home_id: str, actor: Actor, now_us: int) -> OnTest:
        self.home(home_id)
        if home_id not in self.homes_on_test(now_us):
            raise NotFound(f"{home_id!r} is not on test")
        return self._change_test(actor, "test ended", on_test.end(self.tests[home_id], now_us), now_us)

    def _change_test(self, actor: Actor, action: str, after: OnTest, now_us: int) -> OnTest:
        self._record(on_test.record(actor, action, self.tests.get(after.home_id), after, now_us))
        self.tests[after.home_id] = after
        label = label_of_test(after)
        self.labels[label.label_id] = label
        return after

    def deny(self, actor: Actor, action: str, target: str, reason: str, now_us: int) -> None:
        self._reach()
        self._record(audit.of_denial(actor, action, target, reason, now_us))

    def anchor(self, at_us: int) -> AuditAnchor | None:
        self._reach()
        moved = [head for head in self.heads.values() if not head.anchored]
        if not moved:
            return None
        self.heads |= {head.chain: head.model_copy(update={"anchored": True}) for head in moved}
        self.anchors.append(audit.anchor(self.anchors[-1] if self.anchors else None, moved, at_us))
        return self.anchors[-1]

    def trail(self) -> Trail:
        return Trail(list(self.audit), list(self.heads.values()), list(self.anchors))

    def _record(self, record: Record) -> None:
        entry = audit.link(self.heads.get(record.chain), record)
        self.audit.append(entry)
        self.heads[entry.chain] = audit.head_of(entry)

    def _tell(self, alarm_id: str) -> None:
        if self.deaf or self.down:
            return
        alarm = read_alarm(alarm_id, self.alarms[alarm_id])
        closed = alarm.state is AlarmState.CLOSED
        change = Change([] if closed else [alarm], [alarm_id] if closed else [], False)
        for watch, on_change in self._listeners:
            if watch.active:
                on_change(change)

    def _reach(self) -> None:
        if self.down:
            raise Unreachable("Firestore: told to be down")


class MemoryWatched:
    """What supervision says, as given. `down` makes every call fail."""

    def __init__(self) -> None:
        self.said = Watched([], [], None)
        self.paths: dict[str, HomePath] = {}
        self.down = False

    def watched(self) -> Watched:
        self._reach()
        return self.said

    def path(self, home_id: str) -> HomePath | None:
        self._reach()
        return self.paths.get(home_id)

    def losses(self, home_id: str) -> HomeLosses | None:
        self._reach()
        return next((one for one in self.said.losses if one.home_id == home_id), None)

    def _reach(self) -> None:
        if self.down:
            raise Unreachable("Firestore: told to be down")


class MemorySessions:
    """Sessions in a dict."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def load(self, key: str) -> Session | None:
        return self.sessions.get(key)

    def save(self, key: str, session: Session, expires_us: int) -> None:
        assert expires_us > session.started_us
        self.sessions[key] = session

    def end(self, key: str) -> None:
        self.sessions.pop(key, None)


class MemoryAccounts:
    """Tokens that name an account; every other token is refused. `down` silences the service."""

    def __init__(self, **accounts: Account) -> None:
        self.accounts = accounts
        self.homes: dict[str, frozenset[str]] = {}
        self.signed_out_us: dict[str, int] = {}
        self.down = False

    def verify(self, id_token: str, now_us: int) -> Account:
        if id_token not in self.accounts:
            raise SignInRefused(f"not valid at {now_us}")
        return self.accounts[id_token]

    def role_now(self, user: str, since_us: int) -> str:
        if self.down:
            raise Unreachable("Firebase Auth: told to be down")
        known = [account for account in self.accounts.values() if account.user == user]
        if not known or self.signed_out_us.get(user, 0) > since_us:
            raise SignInRefused("This account was signed out.")
        return known[0].role

    def owner(self, id_token: str) -> Owner:
        if id_token not in self.homes:
            raise SignInRefused("not valid")
        return Owner(f"u-{id_token}", self.homes[id_token])


class MemoryWarehouse:
    """Models and objects as given. `down` makes every call fail."""

    def __init__(self) -> None:
        self.seen: list[ModelSeen] = []
        self.held: dict[str, list[str]] = {}
        self.minutes: dict[tuple[str, str], list[Minute]] = {}
        self.asked = 0
        self.down = False

    def models(self, home_ids: Sequence[str], since_us: int) -> list[ModelSeen]:
        self._reach()
        return [model for model in self.seen if home_ids and model.newest_us >= since_us]

    def objects(self, home_id: str, since_us: int) -> list[str]:
        self._reach()
        assert since_us > 0
        return self.held.get(home_id, [])

    def history(self, home_id: str, sensor_id: str, since_us: int) -> list[Minute]:
        self._reach()
        assert since_us > 0
        return self.minutes.get((home_id, sensor_id), [])

    def _reach(self) -> None:
        self.asked += 1
        if self.down:
            raise Unreachable("BigQuery: told to be down")
