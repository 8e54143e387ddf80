"""Load for fault runs: messages published as a gateway does, again and again until each is confirmed."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Final

import grpc
from google.api_core.exceptions import GoogleAPIError
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1 import types as pubsub
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

_CALL_S: Final = 5.0
_PAUSE_S: Final = 0.2
_CHANNEL: Final = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
]


class Load(threading.Thread):
    """Publishes one message after the other at a pace; a context manager that stops when left.

    Args:
        port: Of Pub/Sub, or of the proxy before it.
        topic: "projects/P/topics/T".
        per_s: Messages a second, while Pub/Sub takes them.
        repeat: Share of messages that are sent once more some time later, behind newer ones: what a
            gateway does that never saw its confirmation. Duplicate and disorder at once.
        seed: Of what is repeated and when.

    Attributes:
        acknowledged: Payloads that Pub/Sub confirmed at least once.
        sendings: Confirmed publishes, repeated ones included.
    """

    def __init__(
        self,
        port: int,
        topic: str,
        messages: Iterable[bytes],
        per_s: float,
        *,
        repeat: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(name=f"load of {topic}", daemon=True)
        self._topic = topic
        self._messages = messages
        self._per_s = per_s
        self._repeat = repeat
        self._chance = random.Random(seed)
        self._enough = threading.Event()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=_CHANNEL)
        self._client = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self.acknowledged: list[bytes] = []
        self.sendings = 0

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._channel.close()

    def stop(self) -> None:
        """Send no more; returns when what is under way is confirmed or given up."""
        self._enough.set()
        self.join()

    def run(self) -> None:
        began = time.monotonic()
        later: list[tuple[int, bytes]] = []
        for number, payload in enumerate(self._messages):
            if self._enough.wait(max(0.0, began + number / self._per_s - time.monotonic())):
                return
            if self._publish(payload):
                self.acknowledged.append(payload)
            if self._chance.random() < self._repeat:
                later.append((number + self._chance.randint(1, 50), payload))
            for due in [one for one in later if one[0] <= number]:
                later.remove(due)
                self._publish(due[1])

    def _publish(self, payload: bytes) -> bool:
        """Until confirmed; False if told to stop before."""
        message = pubsub.PubsubMessage(data=payload)
        while True:
            try:
                self._client.publish(topic=self._topic, messages=[message], timeout=_CALL_S, retry=None)
            except GoogleAPIError:
                if self._enough.wait(_PAUSE_S):
                    return False
            else:
                self.sendings += 1
                return True


def numbered(run: bytes, size: int) -> Iterator[bytes]:
    """Payloads of `size` bytes without end: the run's mark, a number of four bytes, zeros."""
    for number in itertools.count():
        yield (run + number.to_bytes(4, "big")).ljust(size, b"\0")


def number_of(payload: bytes, run: bytes) -> int:
    """
    >>> number_of(next(numbered(b"run", 20)), b"run")
    0
    """
    return int.from_bytes(payload[len(run) : len(run) + 4], "big")
