"""Which bundle holds which messages, and when they may be acknowledged. No IO.

Why an acknowledgement waits for two finalizations. Flink finalizes *all* outstanding bundles when a
checkpoint completes, also those that finished after that checkpoint's snapshot was taken
(docs/decisions/002-acknowledge.md). A bundle's messages are therefore acknowledged by the
finalization of a bundle that *started after* its own finalization: by then a later checkpoint, which
contains it, has completed.
"""

from __future__ import annotations

import threading

# (monotonic time of the pull, ack id)
Held = tuple[float, str]


class HeldBundles:
    """The emitted messages of a process that are not acknowledged yet. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[object, list[Held]] = {}
        self._once: list[tuple[float, list[Held]]] = []

    def finished(self, token: object, held: list[Held]) -> None:
        """A bundle has emitted these."""
        with self._lock:
            self._open[token] = held

    def abandon(self, token: object) -> list[str]:
        """The bundle failed → ack ids that nobody will commit; none if it was finalized before."""
        with self._lock:
            return [ack_id for _, ack_id in self._open.pop(token, [])]

    def finalize(self, token: object, started: float, now: float) -> list[str]:
        """→ ack ids of bundles whose own finalization came before this bundle `started`."""
        with self._lock:
            ready = [ack_id for moment, held in self._once if moment < started for _, ack_id in held]
            self._once = [(moment, held) for moment, held in self._once if moment >= started]
            held = self._open.pop(token, [])
            if held:
                self._once.append((now, held))
            return ready

    def held(self) -> list[Held]:
        """All messages that a bundle holds."""
        with self._lock:
            return [pair for held in self._open.values() for pair in held] + [
                pair for _, held in self._once for pair in held
            ]

    def count(self) -> int:
        """How many messages bundles hold."""
        with self._lock:
            return sum(map(len, self._open.values())) + sum(len(held) for _, held in self._once)

    def waiting(self) -> bool:
        """Whether a finalized bundle waits for that of a later one."""
        with self._lock:
            return bool(self._once)

    def forget(self, oldest: float) -> None:
        """Drop bundles pulled before `oldest` and never finalized: Pub/Sub redelivers them."""
        with self._lock:
            self._open = {
                token: held for token, held in self._open.items() if not held or held[0][0] > oldest
            }
