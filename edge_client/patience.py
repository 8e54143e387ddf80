"""Work that may hang, on a thread of its own, waited for no longer than a while."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Hanging(Exception):
    """It has not been done in time. What had begun goes on and may still be done; the rest is not."""


class Patience:
    """Calls from any thread, done one after the other."""

    def __init__(self, limit_s: float, name: str) -> None:
        """
        Args:
            limit_s: Real seconds that a caller waits. While one call has been going on for longer, others
                are not waited for at all.
            name: Of the thread.
        """
        self._limit_s = limit_s
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._began_s: float | None = None  # of the call that is going on, monotonic
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def call(self, work: Callable[[], _T]) -> _T:
        """Do it → its result.

        Raises:
            Hanging: Not in time.
        """
        began_s = self._began_s
        if began_s is not None and time.monotonic() - began_s > self._limit_s:
            raise Hanging(f"no answer for {time.monotonic() - began_s:.1f} s, limit {self._limit_s:g}")
        future: Future[_T] = Future()
        self._calls.put((future, work))
        try:
            return future.result(self._limit_s)
        except (TimeoutError, CancelledError) as error:
            if future.done() and not future.cancelled():
                raise
            future.cancel()
            raise Hanging(f"no answer for {self._limit_s:g} s") from error

    def end(self) -> None:
        """No more calls."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, work = call
            if not future.set_running_or_notify_cancel():
                continue
            self._began_s = time.monotonic()
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 it is raised where it was called for
                future.set_exception(error)
            else:
                future.set_result(result)
            self._began_s = None
