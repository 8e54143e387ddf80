"""A Firestore listener as changes of the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from google.cloud import firestore

from schemas.alarms import Alarm
from webapp.reading import read_alarm


class Change(NamedTuple):
    """What a listener saw: alarms new or changed, ids that left the queue.

    Attributes:
        whole: The first of a listener: `upserts` is all there is.
    """

    upserts: list[Alarm]
    removed: list[str]
    whole: bool


class Watch(Protocol):
    """A running listener."""

    @property
    def active(self) -> bool: ...

    def close(self) -> None: ...


class FirestoreWatch:
    """`on_snapshot` of the client, as changes."""

    def __init__(self, query: firestore.Query, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._whole = True
        self._watch = query.on_snapshot(self._on_snapshot)

    @property
    def active(self) -> bool:
        return bool(self._watch.is_active)

    def close(self) -> None:
        self._watch.close()

    def _on_snapshot(self, _documents: Any, changes: Any, _read_time: Any) -> None:
        gone = [c.document.id for c in changes if c.type.name == "REMOVED"]
        kept = [read_alarm(c.document.id, c.document.to_dict()) for c in changes if c.type.name != "REMOVED"]
        whole, self._whole = self._whole, False
        self._on_change(Change(kept, gone, whole))
