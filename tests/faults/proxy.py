"""A byte proxy before a stand-in, whose connections can be cut, delayed, half-opened or robbed of replies.

It forwards bytes and knows of HTTP only how a reply begins: a reply that is lost makes a client send its
request again, so that the server carries it out twice. Duplicates and disorder of *messages* are made by
the publisher (`tests.faults.load`), where a message can be told from the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Final, Literal

from local.config import HOST

Mode = Literal["pass", "cut", "half_open", "lose_replies"]
_CHUNK: Final = 1 << 16
_FRAME_HEAD: Final = 9  # bytes: length 3, type 1, flags 1, stream 4 (RFC 9113)
_HEADERS_FRAME: Final = 1


class FaultProxy:
    """Listens on `port` and forwards to `target`; a context manager with a thread of its own.

    Attributes:
        port: Where clients connect.
        connections: Accepted so far.
        lost_replies: Connections whose reply was swallowed so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._mode: Mode = "pass"
        self._delay_s = 0.0
        self._lose_every = 0
        self._replies = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}", daemon=True)
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self.lost_replies = 0

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, sock=self._socket))
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection, and every new one at once, as a network that is down nearby."""
        self._switch("cut")

    def half_open(self) -> None:
        """Take what clients send and answer nothing, as a peer that vanished without a word."""
        self._switch("half_open")

    def lose_replies(self, every: int) -> None:
        """Deliver every request, but reset the connection at every so-manyth reply: the client asks again."""
        self._lose_every = every
        self._switch("lose_replies")

    def delay(self, seconds: float) -> None:
        """Hold every chunk for so long, each way."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Be a plain proxy again; connections that lost bytes are reset."""
        self._delay_s = 0.0
        self._switch("pass")

    def _switch(self, mode: Mode) -> None:
        self._call(self._set(mode))

    async def _set(self, mode: Mode) -> None:
        broken = self._mode == "half_open" or mode == "cut"
        self._mode = mode
        if broken:
            self._reset_all()

    async def _close(self) -> None:
        self._server.close()
        self._reset_all()
        # A reset ends them; a cancelled one would be reported as if it had failed.
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=2)

    def _reset_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._mode == "cut":
            writer.transport.abort()
            return
        if self._mode == "half_open":
            # Healing resets it; until then what it sends is read and forgotten.
            with self._tracked(writer):
                await self._forget(reader)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        with self._tracked(writer), self._tracked(server_writer):
            await asyncio.gather(
                self._pump(reader, server_writer), self._pump(server_reader, writer, client=writer)
            )

    @contextlib.contextmanager
    def _tracked(self, writer: asyncio.StreamWriter) -> Any:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter | None = None,
    ) -> None:
        """Forward one direction; `client` is given for the one that carries replies."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if self._mode == "half_open":
                    continue
                if client and self._mode == "lose_replies" and begins_reply(chunk) and self._is_due():
                    client.transport.abort()
                    return
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    def _is_due(self) -> bool:
        self._replies += 1
        due = self._replies % self._lose_every == 0
        self.lost_replies += due
        return due

    @staticmethod
    async def _forget(reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(_CHUNK):
                pass


def begins_reply(chunk: bytes) -> bool:
    """Whether bytes from a server hold the head of a reply: HTTP/1's status line or HTTP/2's headers frame.

    >>> begins_reply(b"HTTP/1.1 200 OK"), begins_reply(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    (True, False)
    """
    if chunk.startswith(b"HTTP/1"):
        return True
    place = 0
    while place + _FRAME_HEAD <= len(chunk):
        if chunk[place + 3] == _HEADERS_FRAME:
            return True
        place += _FRAME_HEAD + int.from_bytes(chunk[place : place + 3], "big")
    return False
