"""Threads that hand pushes over, life safety's apart, and what is due in the outbox.

A push is leased only for a sender that is free: a lease that runs out while its push waits for a thread
would have two notifiers push it. What is not leased waits in the outbox, where any notifier finds it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from schemas.alarms import Alarm
from schemas.events import Category
from schemas.owners import Push
from webapp.delivery import Delivery
from webapp.errors import NotFound, Unreachable
from webapp.outbox import Household, Outbox
from webapp.repository import AlarmRepository

log = logging.getLogger(__name__)
SENDERS: Final = 16  # of each pool
_REST: Final = tuple(category for category in Category if category is not Category.LIFE)
POOLS: Final = ((Category.LIFE,), _REST)


class _Pool:
    """Threads that take no more work than there are of them."""

    def __init__(self, size: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(size, name)
        self._free = threading.Semaphore(size)

    def reserve(self) -> bool:
        """A thread is kept for the caller, who submits to it or gives it back."""
        return self._free.acquire(blocking=False)

    def give_back(self) -> None:
        self._free.release()

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        self._threads.submit(work, *args).add_done_callback(lambda _: self._free.release())

    def stop(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


class Senders:
    """Hands over what is leased.

    Args:
        clock: µs since 1970 UTC.
    """

    def __init__(
        self, alarms: AlarmRepository, outbox: Outbox, delivery: Delivery, clock: Callable[[], int]
    ) -> None:
        self._alarms, self._outbox, self._delivery, self._clock = alarms, outbox, delivery, clock
        pools = {categories: _Pool(SENDERS, f"sender-{categories[0]}") for categories in POOLS}
        self._pools = {category: pool for categories, pool in pools.items() for category in categories}

    def reserve(self, category: Category) -> bool:
        """Whether a push of it can go out now; then it is sent, or the sender given back."""
        return self._pools[category].reserve()

    def give_back(self, category: Category) -> None:
        """Nothing came of it."""
        self._pools[category].give_back()

    def send(self, key: str, push: Push, alarm: Alarm, household: Household) -> None:
        """Hand over what is leased, by the sender that was reserved."""
        self._pools[push.category].submit(self._deliver, key, push, alarm, household)

    def sweep(self) -> None:
        """Lease what is due, as much as there are senders.

        Raises:
            Unreachable: Firestore does not answer.
        """
        now = self._clock()
        for categories in POOLS:
            for key, due in self._outbox.due(now, categories):
                if not self.reserve(due.category):
                    break
                push = None
                try:
                    push = self._outbox.lease(key, now)
                finally:
                    if push is None:
                        self.give_back(due.category)
                if push is not None:
                    self._pools[due.category].submit(self._look_and_deliver, key, push)

    def stop(self) -> None:
        """Finish what is under way."""
        for pool in set(self._pools.values()):
            pool.stop()

    def _look_and_deliver(self, key: str, push: Push) -> None:
        try:
            alarm = self._alarms.alarm(push.alarm_id)
            household = self._outbox.household(push.home_id)
        except NotFound:  # erased
            self._outbox.settle(key, state="dropped", reason="no alarm")
        except Unreachable as error:
            log.warning("a push stays in the outbox: %s", error)
        else:
            self._deliver(key, push, alarm, household)

    def _deliver(self, key: str, push: Push, alarm: Alarm, household: Household) -> None:
        try:
            self._delivery.deliver(key, push, alarm, household)
        except Unreachable as error:
            log.warning("a push stays in the outbox: %s", error)
        except Exception:  # the pool would swallow it; the lease lapses and it is tried again
            log.exception("a push failed")
            raise
