"""Unary gRPC calls from any thread over a connection that comes back: what a gateway needs of gRPC, in 3 MB.

grpc's C core is 16 MB of a gateway's memory (decision 041), and REST would carry every payload as base64 and
the access token in full with each. One thread owns the socket; callers wait.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future

from edge_client.link import CONNECT_S, Call, CallFailed, Link, Target, fail


class Channel:
    """Calls from any thread; it connects at the first, and again whenever the connection is lost."""

    def __init__(self, target: Target, name: str) -> None:
        """
        Args:
            name: Of the thread.
        """
        self._target = target
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._closed = False
        self._waker, self._wakes = socket.socketpair()
        self._waker.setblocking(False)
        self._wakes.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, path: str, request: bytes, metadata: Iterable[tuple[str, str]], timeout_s: float) -> bytes:
        """One request message → the response message.

        Args:
            path: "/package.Service/Method".

        Raises:
            CallFailed: The service refused, did not answer in time, or could not be reached.
        """
        if self._closed:
            raise CallFailed("CANCELLED", "channel closed")
        call = Call(path, list(metadata), request, time.monotonic() + timeout_s, Future())
        self._submit(call)
        try:
            return call.answer.result(timeout_s + 0.5)
        except TimeoutError:  # its thread is busy connecting
            call.answer.cancel()
            raise CallFailed("DEADLINE_EXCEEDED", f"no answer for {timeout_s:g} s") from None

    def close(self) -> None:
        """End the connection; calls under way fail."""
        self._closed = True
        self._submit(None)
        self._thread.join(CONNECT_S + 1)

    def _submit(self, call: Call | None) -> None:
        self._calls.put(call)
        with contextlib.suppress(OSError):  # so often woken that it is full, or closed
            self._waker.send(b"x")

    def _run(self) -> None:
        again: list[Call] = []
        while True:
            if not again:
                if (call := self._calls.get()) is None:
                    break
                again = [call]
            try:
                link = Link(self._target, self._wakes)
            except OSError as error:
                for one in (*again, *self._waiting()):
                    fail(one, "UNAVAILABLE", f"{self._target.authority}: {error}")
                again = []
            else:
                again = link.serve(again, self._calls)
        for left in self._waiting():
            fail(left, "CANCELLED", "channel closed")
        self._waker.close()
        self._wakes.close()

    def _waiting(self) -> list[Call]:
        """Calls that nobody has begun; a closing that waits among them stays the last."""
        found: list[Call] = []
        with contextlib.suppress(queue.Empty):
            while (call := self._calls.get_nowait()) is not None:
                found.append(call)
            self._calls.put(None)
        return found
