"""Counts what was confirmed at the way out: the "sent" that an oracle compares with the archive."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from edge_client.publisher import Publisher
from schemas.envelope import read_envelope


class CountingPublisher:
    """Passes batches on and notes which were confirmed.

    It reads the header of what was confirmed and knows nothing of the outbox, so a gateway that
    deleted what it never sent would be found out.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._lock = threading.Lock()
        self._seqs: dict[str, dict[str, set[int]]] = {}

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str], timeout_s: float) -> str:
        """See edge_client.publisher.Publisher."""
        message_id = self._publisher.publish(topic, data, attributes, timeout_s)
        _, header = read_envelope(data)
        with self._lock:
            epochs = self._seqs.setdefault(header.gateway_id, {})
            epochs.setdefault(header.epoch.hex(), set()).add(header.seq)
        return message_id

    def close(self) -> None:
        """Close the connection beneath."""
        self._publisher.close()

    def sent(self) -> dict[str, list[dict[str, Any]]]:
        """For each gateway and epoch the highest confirmed seq and how many were confirmed."""
        with self._lock:
            return {
                gateway: [
                    {"epoch": epoch, "last_confirmed_seq": max(seqs), "confirmed": len(seqs)}
                    for epoch, seqs in epochs.items()
                ]
                for gateway, epochs in sorted(self._seqs.items())
            }
