"""The notifier's documents in Firestore: what is told, the outbox, phones, choices, what owners say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from google.api_core.exceptions import AlreadyExists, FailedPrecondition, NotFound
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from schemas import owners as docs
from schemas.alarms import ALARMS, OPERATIONS, Alarm, PushMark
from schemas.events import Category
from schemas.homes import HOMES
from schemas.owners import Choices, Device, Push, PushState, Said, Told
from schemas.queries import ONCE
from webapp.notices import leased
from webapp.reaching import READ_TIMEOUT_S, reaching
from webapp.reading import read_alarm, readable

MAX_DUE: Final = 200
MAX_SAID: Final = 200
MAX_OPEN: Final = 5000


class Household(NamedTuple):
    """Who is to be told: phones by id, choices by account."""

    devices: dict[str, Device]
    choices: dict[str, Choices]


class Taken(NamedTuple):
    """Something an owner said, and where it lies."""

    path: str
    said: Said


class Outbox:
    """Every method raises `Unreachable` if Firestore does not answer."""

    def __init__(self, client: firestore.Client) -> None:
        self._client = client
        self._pushes = client.collection(docs.OUTBOX)

    def household(self, home_id: str) -> Household:
        """The home's phones and choices."""
        home = self._client.collection(HOMES).document(home_id)
        with reaching():
            devices = {s.id: readable(Device, s.to_dict()) for s in self._all(home.collection(docs.DEVICES))}
            choices = {s.id: readable(Choices, s.to_dict()) for s in self._all(home.collection(docs.CHOICES))}
        return Household(
            {key: device for key, device in devices.items() if device},
            {user: chosen for user, chosen in choices.items() if chosen},
        )

    def tell(self, told: Told, pushes: Mapping[str, Push], mark: PushMark | None) -> bool:
        """Write the owner's view, and put pushes into the outbox with the alarm's mark: all or nothing.

        Returns:
            False: another notifier has put them there, or the alarm was erased.
        """
        batch = self._client.batch()
        batch.set(self._told(told), told.document())
        if mark is not None:
            batch.update(self._client.collection(ALARMS).document(told.alarm_id), {"push": mark.model_dump()})
        for key, push in pushes.items():
            batch.create(self._pushes.document(key), push.document())
        with reaching():
            try:
                batch.commit(timeout=READ_TIMEOUT_S, retry=None)
            except (AlreadyExists, NotFound):
                return False
        return True

    def due(self, now_us: int, categories: Iterable[Category]) -> list[tuple[str, Push]]:
        """What waits, is due, and nobody is at, oldest first. What is leased is due when its lease ends."""
        query = (
            self._pushes.where(filter=FieldFilter("state", "==", PushState.WAITING.value))
            .where(filter=FieldFilter("category", "in", [category.value for category in categories]))
            .where(filter=FieldFilter("due_us", "<=", now_us))
            .order_by("due_us")
            .limit(MAX_DUE)
        )
        with reaching():
            found = [(s.id, readable(Push, s.to_dict())) for s in self._all(query)]
        return [(key, push) for key, push in found if push]

    def lease(self, key: str, now_us: int) -> Push | None:
        """Be the only one at it for a while; None: somebody else is, or it is done."""
        reference = self._pushes.document(key)
        with reaching():
            snapshot = reference.get(timeout=READ_TIMEOUT_S, retry=None)
            push = readable(Push, snapshot.to_dict()) if snapshot.exists else None
            if push is None or push.state is not PushState.WAITING or push.lease_us > now_us:
                return None
            ours = leased(push, now_us)
            unchanged = self._client.write_option(last_update_time=snapshot.update_time)
            fields = {"lease_us": ours.lease_us, "due_us": ours.due_us}
            try:
                reference.update(fields, unchanged, retry=None, timeout=READ_TIMEOUT_S)
            except (FailedPrecondition, NotFound):
                return None
        return ours

    def settle(self, key: str, **fields: Any) -> None:
        """Write how it stands; one that was erased meanwhile stays so."""
        with reaching(), contextlib.suppress(NotFound):
            self._pushes.document(key).update(fields, retry=None, timeout=READ_TIMEOUT_S)

    def forget_device(self, home_id: str, device_id: str, token: str) -> bool:
        """The phone is gone → False if it has another token by now: it came back meanwhile."""
        home = self._client.collection(HOMES).document(home_id)
        reference = home.collection(docs.DEVICES).document(device_id)
        with reaching():
            snapshot = reference.get(timeout=READ_TIMEOUT_S, retry=None)
            if not snapshot.exists:
                return True
            if (snapshot.to_dict() or {}).get("token") != token:
                return False
            unchanged = self._client.write_option(last_update_time=snapshot.update_time)
            try:
                reference.delete(unchanged, retry=None, timeout=READ_TIMEOUT_S)
            except FailedPrecondition:
                return False
        return True

    # -- what owners say ---------------------------------------------------------------------

    def watch_said(self, wake: Callable[[], None]) -> Any:
        """Call `wake` when somebody says something."""
        return self._said_query().on_snapshot(lambda *_: wake())

    def said(self) -> list[Taken]:
        """What was said and not taken yet."""
        with reaching():
            found = [(s.reference.path, readable(Said, s.to_dict())) for s in self._all(self._said_query())]
        return [Taken(path, said) for path, said in found if said]

    def take(self, path: str) -> None:
        """It is in the alarm now."""
        with reaching(), contextlib.suppress(NotFound):
            self._client.document(path).update({"taken": True}, retry=None, timeout=READ_TIMEOUT_S)

    # -- after a pause -----------------------------------------------------------------------

    def alive_us(self) -> int:
        """When a notifier was last at work; 0 for never."""
        with reaching():
            document = self._operation().get(timeout=READ_TIMEOUT_S, retry=None).to_dict() or {}
        return int(document.get("alive_us", 0))

    def note_alive(self, now_us: int) -> None:
        with reaching():
            self._operation().set({"alive_us": now_us}, retry=None, timeout=READ_TIMEOUT_S)

    def opened_since(self, from_us: int) -> list[Alarm]:
        """Alarms that were opened since then, closed or not."""
        query = self._client.collection(ALARMS).where(filter=FieldFilter("opened_us", ">=", from_us))
        with reaching():
            return [read_alarm(s.id, s.to_dict() or {}) for s in self._all(query.limit(MAX_OPEN))]

    def told_as_open(self) -> list[str]:
        """Alarms that owners believe to be open."""
        query = self._client.collection_group(docs.TOLD).where(filter=FieldFilter("closed_us", "==", None))
        with reaching():
            return [s.id for s in self._all(query.select([]).limit(MAX_OPEN))]

    def _told(self, told: Told) -> firestore.DocumentReference:
        home = self._client.collection(HOMES).document(told.home_id)
        return home.collection(docs.TOLD).document(told.alarm_id)

    def _said_query(self) -> firestore.Query:
        group = self._client.collection_group(docs.SAID)
        return group.where(filter=FieldFilter("taken", "==", False)).limit(MAX_SAID)

    def _operation(self) -> firestore.DocumentReference:
        return self._client.collection(OPERATIONS).document(docs.NOTIFIER_DOCUMENT)

    @staticmethod
    def _all(query: Any) -> Iterable[Any]:
        return query.stream(timeout=READ_TIMEOUT_S, retry=ONCE)
