"""Sessions: one contract for the fake and for Firestore."""

from __future__ import annotations

from typing import Any

from tests.webapp.fakes import MemorySessions
from tests.webapp.stores import NOW, FirestoreStore
from webapp.accounts import Account
from webapp.sessions import FirestoreSessions, Limits, Sessions, begin, current, key_of


def test_sessions_begin_last_and_end(store: Any) -> None:
    real = isinstance(store, FirestoreStore)
    sessions: Sessions = FirestoreSessions(store.client) if real else MemorySessions()
    limits = Limits(idle_s=60, absolute_s=300)
    session = begin(sessions, "secret", Account("u", "Anna", "dispatcher"), NOW, limits)
    assert current(sessions, "secret", NOW + 1, limits) == session
    assert current(sessions, "other", NOW + 1, limits) is None
    sessions.end(key_of("secret"))
    assert current(sessions, "secret", NOW + 2, limits) is None
    begin(sessions, "idle", Account("u", "Anna", "dispatcher"), NOW, limits)
    assert current(sessions, "idle", NOW + 60_000_000, limits) is None
    assert sessions.load(key_of("idle")) is None
