"""What Pub/Sub says to a publish, and what is made of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from edge_client.publisher import PublishFailed, PubsubPublisher
from tests.edge_client.test_channel import Echo, serving


class Garbage(Echo):
    """Answers with what is no message."""

    def say(self, request, context):  # noqa: ARG002
        return b"\xff"


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubsubPublisher]:
    monkeypatch.setattr("edge_client.publisher._METHOD", "/test.Echo/Say")
    with serving(Garbage()) as port:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
        with contextlib.closing(PubsubPublisher("p")) as publisher:
            yield publisher


def test_confirmation_that_cannot_be_read_is_none(publisher: PubsubPublisher) -> None:
    with pytest.raises(PublishFailed, match="urgent: confirmation"):
        publisher.publish("urgent", b"x", {"home": "h"}, 5)
