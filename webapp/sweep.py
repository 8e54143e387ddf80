"""What happens when nobody does anything: leases run out, alarms escalate, the audit trail is anchored.

Runs in every console's process. Each step is decided again inside its transaction, so that several
processes come to one result and a step that another has done is no step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from schemas.alarms import Alarm
from schemas.audit import AuditAnchor
from webapp import escalation, lifecycle
from webapp.errors import NotFound, Unreachable
from webapp.lifecycle import SECOND_US, SYSTEM, Actor, Rule, Step
from webapp.on_test import is_set_apart

log = logging.getLogger(__name__)
SWEEP_S: Final = 2.0
ANCHOR_S: Final = 60
MAX_STEPS: Final = 50  # a sweep; the most urgent first, the rest at the next


class Desk(Protocol):
    """What the sweeper needs of the repository."""

    def apply(self, alarm_id: str, actor: Actor, rule: Rule) -> Alarm: ...

    def anchor(self, at_us: int) -> AuditAnchor | None: ...


class Queue(Protocol):
    """What it needs of the live queue: a sweep costs no reads unless something is due."""

    def open_alarms(self) -> list[Alarm]: ...

    @property
    def homes_on_test(self) -> frozenset[str]: ...


def due(alarm: Alarm, now_us: int, homes_on_test: frozenset[str]) -> Step | None:
    """The step that time itself takes: a lease that ran out first, then escalation."""
    lapsed = lifecycle.lapse(alarm, now_us)
    if lapsed or is_set_apart(alarm, homes_on_test):
        return lapsed
    return escalation.escalate(alarm, now_us)


class Sweeper:
    """`start()` once a process, after any fork.

    Args:
        clock: µs since 1970 UTC.
    """

    def __init__(self, desk: Desk, queue: Queue, clock: Callable[[], int]) -> None:
        self._desk, self._queue, self._clock = desk, queue, clock
        self._anchored_us = clock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Sweep on a thread of its own until stopped."""
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the sweep under way."""
        self._stop.set()
        if self._thread:
            self._thread.join(5)

    def sweep(self) -> int:
        """Take every step that is due; returns how many this process took.

        Raises:
            Unreachable: Firestore does not answer. Nothing is lost: what is due stays due.
        """
        now_us = self._clock()
        on_test = self._queue.homes_on_test
        waiting = [alarm for alarm in self._queue.open_alarms() if due(alarm, now_us, on_test)]
        waiting.sort(key=lambda a: (list(type(a.category)).index(a.category), a.opened_us))
        taken = sum(self._take(alarm, now_us, on_test) for alarm in waiting[:MAX_STEPS])
        if now_us - self._anchored_us >= ANCHOR_S * SECOND_US:
            self._anchored_us = now_us
            self._desk.anchor(now_us)
        return taken

    def _take(self, alarm: Alarm, now_us: int, on_test: frozenset[str]) -> bool:
        taken = False

        def rule(fresh: Alarm) -> Step | None:
            nonlocal taken
            step = due(fresh, now_us, on_test)
            taken = step is not None
            return step

        try:
            self._desk.apply(alarm.alarm_id, SYSTEM, rule)
        except NotFound:  # erased meanwhile
            return False
        return taken

    def _run(self) -> None:
        while not self._stop.wait(SWEEP_S):
            try:
                self.sweep()
            except Unreachable as error:
                log.warning("not swept: %s", error)
