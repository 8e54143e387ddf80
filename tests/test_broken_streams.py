"""A query whose stream breaks on the way fails as the service failed, wherever Firestore is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import google.auth.credentials
import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.cloud import firestore

from transforms.show_watched import FirestoreLive
from webapp.audit_store import AuditStore
from webapp.errors import Unreachable
from webapp.outbox import Outbox
from webapp.repository import AlarmRepository


class _Breaking:
    """Firestore's API: each stream begins, and breaks."""

    def run_query(self, **_: Any) -> Iterator[Any]:
        raise ServiceUnavailable("stream reset")
        yield


@pytest.fixture
def client() -> firestore.Client:
    client = firestore.Client("demo", credentials=google.auth.credentials.AnonymousCredentials())
    client._firestore_api_internal = _Breaking()
    return client


@pytest.mark.parametrize(
    ("read", "failure"),
    [
        (lambda client: FirestoreLive(client).watched(1), ServiceUnavailable),
        (lambda client: AlarmRepository(client).open_alarms(), Unreachable),
        (lambda client: AlarmRepository(client).find_homes("a"), Unreachable),
        (lambda client: AuditStore(client).read(), Unreachable),
        (lambda client: AuditStore(client).anchor(1), Unreachable),
        (lambda client: Outbox(client).told_as_open(), Unreachable),
    ],
    ids=["who is watched", "open alarms", "homes", "audit trail", "audit heads", "outbox"],
)
def test_a_stream_that_breaks_is_the_services_failure(
    client: firestore.Client, read: Callable[[firestore.Client], object], failure: type[Exception]
) -> None:
    with pytest.raises(failure):
        read(client)
