"""The audit trail in Firestore: appended inside the transaction of the change that it records."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from google.api_core.exceptions import AlreadyExists, FailedPrecondition
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from pydantic import BaseModel, ValidationError

from schemas.audit import (
    AUDIT,
    AUDIT_ANCHORS,
    AUDIT_HEADS,
    MAX_ANCHORED,
    AuditAnchor,
    AuditEntry,
    AuditHead,
)
from schemas.queries import ONCE
from webapp import audit
from webapp.audit import Record, Trail
from webapp.reaching import READ_TIMEOUT_S, reaching

log = logging.getLogger(__name__)
WHOLE_TIMEOUT_S: Final = 600.0
M = TypeVar("M", bound=BaseModel)


class AuditStore:
    """Every method raises `Unreachable` if Firestore does not answer."""

    def __init__(self, client: firestore.Client) -> None:
        self._client = client
        self._entries = client.collection(AUDIT)
        self._heads = client.collection(AUDIT_HEADS)
        self._anchors = client.collection(AUDIT_ANCHORS)

    def read_head(self, chain: str, transaction: firestore.Transaction) -> AuditHead | None:
        """Within a transaction, before its first write."""
        document = self._heads.document(chain).get(transaction=transaction).to_dict()
        return AuditHead.model_validate(document) if document else None

    def append(
        self, head: AuditHead | None, record: Record, transaction: firestore.Transaction
    ) -> AuditEntry:
        """Write an entry and its chain's head with the rest of the transaction."""
        entry = audit.link(head, record)
        transaction.create(self._entries.document(entry.entry_id), entry.model_dump(mode="json"))
        transaction.set(self._heads.document(entry.chain), audit.head_of(entry).model_dump())
        return entry

    def add(self, record: Record) -> None:
        """An entry that no change goes with: something was refused."""

        @firestore.transactional
        def run(transaction: firestore.Transaction) -> None:
            self.append(self.read_head(record.chain, transaction), record, transaction)

        with reaching():
            # A transaction would retry for a minute against a database that is gone.
            self._heads.document(record.chain).get(timeout=READ_TIMEOUT_S, retry=None)
            run(self._client.transaction())

    def anchor(self, at_us: int) -> AuditAnchor | None:
        """Anchor the heads that moved; None if none did, or if another process was faster.

        The anchor's hash goes to the log, which is the witness outside the database.
        """
        moved = self._heads.where(filter=FieldFilter("anchored", "==", False)).limit(MAX_ANCHORED)
        newest = self._anchors.order_by("seq", direction=firestore.Query.DESCENDING).limit(1)
        with reaching():
            found = list(moved.stream(timeout=READ_TIMEOUT_S, retry=ONCE))
            if not found:
                return None
            before = newest.stream(timeout=READ_TIMEOUT_S, retry=ONCE)
            last = next((AuditAnchor.model_validate(s.to_dict()) for s in before), None)
            heads = [AuditHead.model_validate(s.to_dict()) for s in found]
            made = audit.anchor(last, heads, at_us)
            batch = self._client.batch()
            batch.create(self._anchors.document(made.anchor_id), made.model_dump(mode="json"))
            for snapshot in found:
                unchanged = self._client.write_option(last_update_time=snapshot.update_time)
                batch.update(snapshot.reference, {"anchored": True}, unchanged)
            try:
                batch.commit(timeout=READ_TIMEOUT_S, retry=None)
            except (AlreadyExists, FailedPrecondition):
                return None  # a head moved on, or another process anchored: the next round has it
        log.info("audit anchor %d %s", made.seq, made.hash)
        return made

    def read(self) -> Trail:
        """All of it, as it is being written: a head may be newer than the entries that were read."""
        unreadable: list[str] = []
        with reaching():
            entries = _read(self._entries, AuditEntry, unreadable, lambda e: e.entry_id)
            anchors = _read(self._anchors, AuditAnchor, unreadable, lambda a: a.anchor_id)
            heads = _read(self._heads, AuditHead, unreadable, lambda h: h.chain)
        return Trail(entries, heads, anchors, unreadable)


def _read(
    collection: firestore.CollectionReference,
    model: type[M],
    unreadable: list[str],
    id_of: Callable[[M], str],
) -> list[M]:
    found = []
    for snapshot in collection.stream(timeout=WHOLE_TIMEOUT_S, retry=ONCE):
        try:
            one = model.model_validate(snapshot.to_dict())
        except ValidationError:
            unreadable.append(snapshot.reference.path)
            continue
        if id_of(one) == snapshot.id:
            found.append(one)
        else:
            unreadable.append(snapshot.reference.path)
    return found
