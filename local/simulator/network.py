"""The homes' ways to the Internet, which can fail one by one."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from edge_client.publisher import Publisher, PublishFailed
from schemas import hearthwatch_v1_pb2 as pb


class Network:
    """A Publisher that fails for homes whose network is cut."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._lock = threading.Lock()
        self._cut: set[str] = set()

    def cut(self, home_id: str) -> None:
        """From now on nothing of this home goes out."""
        with self._lock:
            self._cut.add(home_id)

    def mend(self, home_id: str) -> None:
        """It works again."""
        with self._lock:
            self._cut.discard(home_id)

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str], timeout_s: float) -> str:
        """See edge_client.publisher.Publisher."""
        home_id = pb.Header.FromString(pb.Envelope.FromString(data).header).home_id
        with self._lock:
            if home_id in self._cut:
                raise PublishFailed(f"{home_id} has no network")
        return self._publisher.publish(topic, data, attributes, timeout_s)

    def close(self) -> None:
        """Close the connection beneath."""
        self._publisher.close()
