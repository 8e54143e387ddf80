"""A database that is not there is `Unreachable`, said within seconds, whatever is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.events import Category
from tests.webapp import emulators
from webapp.app import firestore_client
from webapp.errors import Unreachable
from webapp.outbox import Outbox
from webapp.watched import FirestoreWatched

ASKED: dict[str, Callable[[Any], Any]] = {
    "phones": lambda client: Outbox(client).household("home-0001"),
    "what is due": lambda client: Outbox(client).due(1, [Category.LIFE]),
    "what was said": lambda client: Outbox(client).said(),
    "what is told": lambda client: Outbox(client).told_as_open(),
    "incidents": lambda client: FirestoreWatched(client).watched(),
}


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a database that refuses connections."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{emulators.free_port()}")
    client = firestore_client("demo-gone")
    yield client
    client.close()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("ask", ASKED.values(), ids=list(ASKED))
def test_a_database_that_is_not_there_is_unreachable(gone: Any, ask: Callable[[Any], Any]) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match="Firestore"):
        ask(gone)
    assert time.monotonic() - began < 10
