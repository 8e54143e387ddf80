"""Which bundle holds which messages, and when they may be acknowledged. No IO.

Bundles of a source follow one another: each begins where the one before it ended, so that places in its
restriction tell whether a bundle continues what this process holds. One that does not (the engine went
back to a checkpoint, or the source was elsewhere meanwhile) means that what is held was, or may have
been, undone: it is given up, and Pub/Sub delivers it again. The source leaves a stretch of random length
after each bundle, so that places tell one course of events from another.

Why an acknowledgement waits for two finalizations. Flink finalizes *all* outstanding bundles when a
checkpoint completes, also those that finished after its snapshot (docs/decisions/021-finalization.md).
What finished before a bundle that is finalized is therefore acknowledged by the finalization of another
one that *started after* that: by then a later checkpoint has completed, and contains it.

Why not every bundle asks. The SDK keeps a bundle's processor, with its DoFns and clients, until it is
finalized: one that asks at a time is enough, and speaks for all that finished before it.
"""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

# (monotonic time of the pull, ack id)
Held = tuple[float, str]

# After this a request counts as forgotten by the engine and another is made: slower checkpoints than
# this cost a second bundle processor, no message.
REQUEST_S: Final = 60.0


class Bundle(NamedTuple):
    """A bundle that has ended.

    Attributes:
        token: Its name within the process.
        start, end: First place in the restriction that it had, and the one after its last.
        started: Monotonic time at which it began, s.
        held: What it emitted.
    """

    token: object
    start: int
    end: int
    started: float
    held: list[Held]


class HeldBundles:
    """The emitted messages of a process that are not acknowledged yet. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: int | None = None  # where the next bundle begins, if nothing was undone
        self._ended: list[Bundle] = []  # in this order
        self._requests: dict[object, tuple[Bundle, float]] = {}  # with the time of the request
        self._once: list[tuple[float, list[Held]]] = []  # with the time of their finalization

    def begin(self, start: int) -> list[str]:
        """A bundle begins at this place → ack ids of what is held and was perhaps undone."""
        with self._lock:
            return [] if self._next in (None, start) else self._give_up()

    def finished(self, bundle: Bundle, now: float) -> bool:
        """A bundle has ended → whether it must ask for finalization."""
        with self._lock:
            self._next = bundle.end
            self._ended.append(bundle)
            waits = any(one.held for one in self._ended) or bool(self._once)
            asked = any(now - at < REQUEST_S for _, at in self._requests.values())
            if waits and not asked:
                self._requests[bundle.token] = bundle, now
            return waits and not asked

    def finalize(self, token: object, now: float) -> list[str]:
        """The bundle that asked was finalized → ack ids of what has been so before it started."""
        with self._lock:
            if token not in self._requests:  # of what was given up since
                return []
            bundle, _ = self._requests.pop(token)
            ready = [ack_id for moment, held in self._once if moment < bundle.started for _, ack_id in held]
            self._once = [(moment, held) for moment, held in self._once if moment >= bundle.started]
            if bundle in self._ended:
                upto = self._ended.index(bundle) + 1
                told = [pair for one in self._ended[:upto] for pair in one.held]
                del self._ended[:upto]
                if told:
                    self._once.append((now, told))
            return ready

    def abandon(self, token: object) -> list[str]:
        """The bundle failed → ack ids that nobody will commit; none if it was finalized."""
        with self._lock:
            self._requests.pop(token, None)
            failed = [one for one in self._ended if one.token == token]
            self._ended = [one for one in self._ended if one.token != token]
            return [ack_id for one in failed for _, ack_id in one.held]

    def held(self) -> list[Held]:
        """All messages that a bundle holds."""
        with self._lock:
            return self._held()

    def count(self) -> int:
        """How many messages bundles hold."""
        with self._lock:
            return sum(len(one.held) for one in self._ended) + sum(len(held) for _, held in self._once)

    def forget(self, oldest: float) -> None:
        """Drop bundles pulled before `oldest` and never finalized: Pub/Sub redelivers them."""
        with self._lock:
            self._ended = [one for one in self._ended if not one.held or one.held[0][0] > oldest]

    def _held(self) -> list[Held]:
        ended = [pair for one in self._ended for pair in one.held]
        return ended + [pair for _, held in self._once for pair in held]

    def _give_up(self) -> list[str]:
        ids = [ack_id for _, ack_id in self._held()]
        self._ended, self._requests, self._once = [], {}, []
        return ids
