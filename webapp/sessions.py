"""Sessions on the server: the browser holds only a random id, Firestore its hash and what it means.

Kept in Firestore, not in memory, so that a restart of the console at 4 a.m. signs nobody out, and not
in a signed cookie, so that signing out ends a session for good. The collection is this process's own.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple, Protocol

from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
from google.cloud import firestore

from webapp.accounts import Account
from webapp.errors import Unreachable

COLLECTION: Final = "console_sessions"
TIMEOUT_S: Final = 3.0
SECOND_US: Final = 1_000_000
TOUCH_EVERY_US: Final = 60 * SECOND_US  # one write a minute keeps it alive, not one a request


class Session(NamedTuple):
    """Who is signed in, since when, and when the page was last heard (µs)."""

    user: str
    name: str
    role: str
    started_us: int
    seen_us: int


class Sessions(Protocol):
    """Where sessions are kept, by the hash of their id."""

    def load(self, key: str) -> Session | None: ...

    def save(self, key: str, session: Session, expires_us: int) -> None: ...

    def end(self, key: str) -> None: ...


class FirestoreSessions:
    """Sessions in Firestore. Every method raises `Unreachable` if it does not answer."""

    def __init__(self, client: firestore.Client) -> None:
        self._collection = client.collection(COLLECTION)

    def load(self, key: str) -> Session | None:
        """Hash of the id → session, None if there is none."""
        try:
            snapshot = self._collection.document(key).get(timeout=TIMEOUT_S, retry=None)
        except (GoogleAPICallError, RetryError) as error:
            raise Unreachable(f"Firestore: {type(error).__name__}") from error
        document: dict[str, Any] = snapshot.to_dict() or {}
        return Session(*(document[field] for field in Session._fields)) if document else None

    def save(self, key: str, session: Session, expires_us: int) -> None:
        """Write it; `expires_us` is for a clean-up policy of the database."""
        try:
            self._collection.document(key).set(
                {**session._asdict(), "expires_us": expires_us}, retry=None, timeout=TIMEOUT_S
            )
        except (GoogleAPICallError, RetryError) as error:
            raise Unreachable(f"Firestore: {type(error).__name__}") from error

    def end(self, key: str) -> None:
        """Forget it."""
        try:
            self._collection.document(key).delete(retry=None, timeout=TIMEOUT_S)
        except NotFound:
            return
        except (GoogleAPICallError, RetryError) as error:
            raise Unreachable(f"Firestore: {type(error).__name__}") from error


class Limits(NamedTuple):
    """How long a session lasts.

    Attributes:
        idle_s: Without a word from its page. An open page speaks every minute: a dispatcher who
            watches a quiet night is at work, so this ends closed browsers and stolen ids.
        absolute_s: In any case.
    """

    idle_s: int
    absolute_s: int


def current(sessions: Sessions, token: str, now_us: int, limits: Limits) -> Session | None:
    """Cookie's id → session, None if it is unknown or over; notes that its page was heard."""
    key = key_of(token)
    session = sessions.load(key)
    if session is None:
        return None
    if is_over(session, now_us, limits):
        sessions.end(key)
        return None
    if now_us - session.seen_us >= TOUCH_EVERY_US:
        session = session._replace(seen_us=now_us)
        sessions.save(key, session, session.started_us + limits.absolute_s * SECOND_US)
    return session


def begin(sessions: Sessions, token: str, account: Account, now_us: int, limits: Limits) -> Session:
    """A fresh id and an account → its session."""
    session = Session(account.user, account.name, account.role, now_us, now_us)
    sessions.save(key_of(token), session, now_us + limits.absolute_s * SECOND_US)
    return session


def is_over(session: Session, now_us: int, limits: Limits) -> bool:
    """
    >>> is_over(Session("u", "n", "dispatcher", 0, 0), 61_000_000, Limits(60, 3600))
    True
    """
    idle_us, age_us = now_us - session.seen_us, now_us - session.started_us
    return idle_us >= limits.idle_s * SECOND_US or age_us >= limits.absolute_s * SECOND_US


def key_of(token: str) -> str:
    """The id itself is never stored: who reads the database cannot sign in with it."""
    return hashlib.sha256(b"session|" + token.encode()).hexdigest()


def csrf_of(token: str) -> str:
    """The page's proof that it is ours: derived from the id, from which nobody can get back."""
    return hashlib.sha256(b"csrf|" + token.encode()).hexdigest()
