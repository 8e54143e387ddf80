"""Messages of dead letters → Pub/Sub, whole and with their attributes, confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.cloud import pubsub_v1  # type: ignore[attr-defined]

from transforms.resend_dead_letters import ATTRIBUTE_RESENT, Letter, Publisher

CONFIRM_S: Final = 60.0


def open_publisher(to: str) -> Publisher:
    """pubsub://PROJECT or pubsub://PROJECT/TOPIC → publisher."""
    project, _, topic = to.removeprefix("pubsub://").rstrip("/").partition("/")
    return PubsubPublisher(pubsub_v1.PublisherClient(), project, topic)


class PubsubPublisher:
    """Publishes to one topic, or without one to that of each message's lane."""

    def __init__(self, client: pubsub_v1.PublisherClient, project: str, topic: str = "") -> None:
        self._client = client
        self._project = project
        self._topic = topic

    def publish(self, letters: Iterable[Letter]) -> None:
        """Publish all and wait until each is confirmed.

        Raises:
            GoogleAPIError, TimeoutError: One was not; the runner tries the bundle again.
        """
        sent = []
        for letter in letters:
            attributes = dict(pair.split("=", 1) for pair in letter.attributes if "=" in pair)
            attributes[ATTRIBUTE_RESENT] = letter.message_id
            topic = f"projects/{self._project}/topics/{self._topic or letter.lane}"
            sent.append(self._client.publish(topic, letter.message, **attributes))
        for confirmation in sent:
            confirmation.result(timeout=CONFIRM_S)

    def close(self) -> None:
        """Release connections."""
        self._client.stop()
