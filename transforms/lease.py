"""Lease: the messages of one subscription that this process has taken and not acknowledged.

Threads pull ahead into a bounded queue, extend the deadline of everything held (queued or emitted),
acknowledge what has been committed, and give back at once what will not be: what a failed bundle had,
and the queue when nobody asks for it any more. A lease is not extended for ever: a bundle that failed
without telling us must be redelivered.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import ClassVar, Final, NamedTuple

from transforms.held_bundles import Bundle, HeldBundles
from transforms.publish_frontier import PublishFrontier
from transforms.pubsub_client import PubSubAway, Received, Subscriber, SubscriberClient

_LOG = logging.getLogger(__name__)

# What a killed worker held is invisible for so long; what is held is extended three times as often.
ACK_DEADLINE_S: Final = 30
EXTEND_EVERY_S: Final = 10.0
MAX_LEASE_S: Final = 600.0
PROBE_EVERY_S: Final = 1.0
IDLE_S: Final = 15.0
_PULL_MESSAGES: Final = 500
_RPC_IDS: Final = 1_000  # acknowledge and extend at most this many ids a call


class FlowLimits(NamedTuple):
    """How much one process may hold; at a limit it pulls no more.

    Attributes:
        queued_messages, queued_bytes: Pulled ahead and not yet emitted.
        held_messages: Emitted and not yet acknowledged.
    """

    queued_messages: int = 2_000
    queued_bytes: int = 64 << 20
    held_messages: int = 100_000


class Taken(NamedTuple):
    """A message with the monotonic time of its pull."""

    pulled: float
    message: Received


class Lease:
    """Hands messages to bundles and moves them on as bundles are committed or fail.

    Args:
        monotonic: Seconds, for deadlines. wall_us: µs since 1970 UTC, for the watermark.
    """

    _instances: ClassVar[dict[str, Lease]] = {}
    _guard = threading.Lock()

    @classmethod
    def of(cls, subscription: str) -> Lease:
        """The one lease of this process and subscription."""
        with cls._guard:
            if subscription not in cls._instances:
                cls._instances[subscription] = Lease(subscription, SubscriberClient())
                cls._instances[subscription].start()
            return cls._instances[subscription]

    def __init__(
        self,
        subscription: str,
        client: Subscriber,
        limits: FlowLimits = FlowLimits(),  # noqa: B008
        monotonic: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._subscription = subscription
        self._client = client
        self._limits = limits
        self._monotonic = monotonic
        self._wall_us = wall_us
        self._queue: collections.deque[Taken] = collections.deque()
        self._queued_bytes = 0
        self._in_hand: dict[object, list[Taken]] = {}
        self._last_take = monotonic()
        self._arrived = threading.Condition()
        self._frontier = PublishFrontier(ACK_DEADLINE_S, monotonic())
        self._bundles = HeldBundles()
        self._committed: collections.deque[str] = collections.deque()
        self._abandoned: collections.deque[str] = collections.deque()
        self._settle = threading.Event()
        self._failures = 0

    def start(self) -> None:
        """Start the threads; they live as long as the process."""
        for target in (self._pull_forever, self._probe_forever, self._settle_forever, self._extend_forever):
            threading.Thread(
                target=target, daemon=True, name=f"{target.__name__} {self._subscription}"
            ).start()

    # What bundles call

    def take(self, token: object, limit: int, wait_s: float) -> list[Taken]:
        """Up to `limit` messages for the bundle `token`; waits only if none is there."""
        with self._arrived:
            self._last_take = self._monotonic()
            if not self._queue and wait_s > 0:
                self._arrived.wait(wait_s)
            taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
            self._queued_bytes -= _bytes_of(taken)
            self._in_hand[token] = taken
            self._arrived.notify_all()
            return list(taken)

    def give_back(self, token: object, messages: Iterable[Taken]) -> None:
        """Return what is left of the last `take` of a bundle; another bundle gets it."""
        messages = list(messages)
        with self._arrived:
            self._in_hand.pop(token, None)
            self._queue.extendleft(reversed(messages))
            self._queued_bytes += _bytes_of(messages)

    def begin(self, start: int) -> None:
        """A bundle begins at this place of its restriction. If the one before did not end there, the engine
        went back or was elsewhere meanwhile: what is held and not acknowledged is given back."""
        self._give_back(self._bundles.begin(start))

    def finished(self, bundle: Bundle) -> bool:
        """A bundle has emitted what it held → whether it must ask to be told of its commit."""
        return self._bundles.finished(bundle, self._monotonic())

    def abandon(self, token: object) -> None:
        """The bundle failed, or its worker ends: give back at once what it emitted and nobody committed."""
        self._give_back(self._bundles.abandon(token))

    def finalize(self, token: object) -> None:
        """The runner committed the bundle `token`, which had asked to be told."""
        ready = self._bundles.finalize(token, self._monotonic())
        if ready:
            self._committed.extend(ready)
            self._settle.set()

    def watermark_us(self) -> int | None:
        """→ what was published before this was emitted (transforms/publish_frontier.py); None: unknown."""
        with self._arrived:
            waiting = [taken.message.publish_us for taken in self._queue]
            waiting += [taken.message.publish_us for hand in self._in_hand.values() for taken in hand]
            return self._frontier.bound_us(min(waiting, default=None), self._monotonic())

    # What the threads do, one step each

    def pull_once(self) -> None:
        """Fetch messages, if there is room and somebody asks for them."""
        if self._may_pull():
            self._receive(self._client.pull)

    def probe_once(self) -> None:
        """Ask for what is there now: an empty answer is what the watermark lives on.

        A connection on which two probes in a row get no answer is given up.
        """
        if not self._may_pull():
            return
        try:
            self._receive(self._client.probe)
        finally:
            if self._failures >= 2:
                self._client.reconnect()

    def settle_once(self) -> None:
        """Acknowledge what was committed, and give back what was abandoned."""
        while self._committed:
            ids = _first(self._committed)
            self._client.acknowledge(self._subscription, ids)
            _drop(self._committed, len(ids))
        while self._abandoned:
            ids = _first(self._abandoned)
            self._client.extend(self._subscription, ids, 0)
            _drop(self._abandoned, len(ids))

    def extend_once(self) -> None:
        """Extend what is held, give back a queue that nobody asks for, let go of what is too old."""
        now = self._monotonic()
        oldest = now - MAX_LEASE_S
        with self._arrived:
            if now - self._last_take > IDLE_S:
                self._abandoned.extend(taken.message.ack_id for taken in self._queue)
                self._queue.clear()
                self._frontier.distrust(now)
                self._settle.set()
            # Redelivered already, or soon: emitting them as well would only make copies.
            self._queue = collections.deque(taken for taken in self._queue if taken.pulled > oldest)
            self._queued_bytes = _bytes_of(self._queue)
            held = [(pulled, message.ack_id) for pulled, message in self._queue]
            held += [(pulled, message.ack_id) for hand in self._in_hand.values() for pulled, message in hand]
        held += self._bundles.held()
        self._bundles.forget(oldest)
        ids = [ack_id for pulled, ack_id in held if pulled > oldest]
        for start in range(0, len(ids), _RPC_IDS):
            self._client.extend(self._subscription, ids[start : start + _RPC_IDS], ACK_DEADLINE_S)

    def _give_back(self, ids: list[str]) -> None:
        if ids:
            with self._arrived:
                self._frontier.distrust(self._monotonic())
            self._abandoned.extend(ids)
            self._settle.set()

    def _may_pull(self) -> bool:
        with self._arrived:
            return (
                len(self._queue) < self._limits.queued_messages
                and self._queued_bytes < self._limits.queued_bytes
                and self._bundles.count() < self._limits.held_messages
                and self._monotonic() - self._last_take <= IDLE_S
            )

    def _receive(self, pull: Callable[[str, int], list[Received]]) -> None:
        asked_us = self._wall_us()
        try:
            messages = pull(self._subscription, _PULL_MESSAGES)
        except PubSubAway:
            with self._arrived:
                self._failures += 1
                self._frontier.failed()
            raise
        now = self._monotonic()
        with self._arrived:
            self._failures = 0
            if not messages:
                self._frontier.empty(asked_us, now)
                return
            self._frontier.pulled(min(message.publish_us for message in messages), now)
            taken = [Taken(now, message) for message in messages]
            self._queue.extend(taken)
            self._queued_bytes += _bytes_of(taken)
            self._arrived.notify_all()

    def _pull_forever(self) -> None:
        while True:
            with self._arrived:
                if not self._may_pull():
                    self._arrived.wait(1)
                    continue
            self._attempt(self.pull_once)

    def _probe_forever(self) -> None:
        while True:
            time.sleep(PROBE_EVERY_S)
            self._attempt(self.probe_once)

    def _settle_forever(self) -> None:
        while True:
            self._settle.wait()
            self._settle.clear()
            if not self._attempt(self.settle_once):
                self._settle.set()

    def _extend_forever(self) -> None:
        while True:
            time.sleep(EXTEND_EVERY_S)
            self._attempt(self.extend_once)

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except PubSubAway as error:
            _LOG.warning("%s of %s: %s", step.__name__, self._subscription, error)
            time.sleep(1)
            return False
        return True


def _bytes_of(messages: Iterable[Taken]) -> int:
    return sum(len(taken.message.data) for taken in messages)


def _first(ids: collections.deque[str]) -> list[str]:
    return [ids[index] for index in range(min(_RPC_IDS, len(ids)))]


def _drop(ids: collections.deque[str], count: int) -> None:
    for _ in range(count):
        ids.popleft()
