"""Unary gRPC calls from any thread: what a gateway needs of gRPC, by grpclib over h2.

grpc's C core is 16 MB of a gateway's memory (decision 041), and REST would carry every payload as base64 and
the access token in full with each. One thread serves all connections of a process; callers wait. grpclib
makes the calls; that a dead connection or address costs a second instead of a call's timeout is ours.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
import threading
import time
from collections.abc import Collection
from typing import Any, Final, NamedTuple, cast

import grpclib.client
from grpclib.const import Cardinality
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.metadata import Deadline
from grpclib.protocol import H2Protocol
from h2.exceptions import H2Error

_CONNECT_S: Final = 5.0  # over all addresses of the service
_NEXT_ADDRESS_S: Final = 0.3  # then another address is tried beside the first (RFC 8305)
_SILENT_S: Final = 30.0  # a connection that was silent for longer has to prove that it lives
_PROOF_S: Final = 1.5  # within this: a router that forgot it costs a second, not an alarm's whole timeout
_TRIES: Final = 2  # who calls must be idempotent, as everything here is by its identity

_NO_GRPC: Final = (ValueError, LookupError, NotImplementedError, AssertionError)  # grpclib of an answer


class CallFailed(Exception):
    """`code` is the name of gRPC's status; UNAVAILABLE also for a connection that failed."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Target(NamedTuple):
    """Where to connect to. tls: None for plain text."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Caller:
    """Calls to one service over connections that come back whenever they are lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connections: dict[str, _Connection] = {}
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="grpc", daemon=True)
        self._thread.start()

    def call(
        self,
        connection: str,
        path: str,
        request: bytes,
        metadata: Collection[tuple[str, str]],
        timeout_s: float,
    ) -> bytes:
        """One request message → the response message.

        Args:
            connection: Any name: calls of one name share a connection, and its windows.
            path: "/package.Service/Method".
            metadata: Names in lower case.

        Raises:
            CallFailed: The service refused, did not answer in time, or could not be reached.
        """
        with self._lock:  # so that whatever the loop is given is given before its end
            if self._closed:
                raise CallFailed("CANCELLED", "closed")
            call = self._call(connection, path, request, metadata, timeout_s)
            answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return answer.result()
        except concurrent.futures.CancelledError:
            raise CallFailed("CANCELLED", "closed") from None

    def close(self) -> None:
        """End the connections; calls under way fail."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _call(
        self, name: str, path: str, request: bytes, metadata: Collection[tuple[str, str]], timeout_s: float
    ) -> bytes:
        if name not in self._connections:
            self._connections[name] = _Connection(self._target)
        connection, deadline, why = self._connections[name], Deadline.from_timeout(timeout_s), ""
        for _ in range(_TRIES):
            if self._closed:  # which is why the try before ended
                raise CallFailed("CANCELLED", "closed")
            stream = connection.request(
                path, Cardinality.UNARY_UNARY, bytes, bytes, deadline=deadline, metadata=metadata
            )
            try:
                async with stream:
                    await stream.send_message(request, end=True)
                    answer = await stream.recv_message()
                if answer is not None:
                    return answer
                why = "ended without an answer"
            except GRPCError as error:
                raise CallFailed(error.status.name, error.message or "") from error
            except TimeoutError as error:
                connection.distrust()
                raise CallFailed("DEADLINE_EXCEEDED", f"no answer for {timeout_s:g} s") from error
            except OSError as error:
                raise CallFailed("UNAVAILABLE", f"{self._target.host}: {error}") from error
            except (StreamTerminatedError, H2Error) as error:
                why = str(error)
            except _NO_GRPC as error:
                raise CallFailed("INTERNAL", f"answer is no gRPC: {error!r}") from error
        raise CallFailed("UNAVAILABLE", f"{self._target.host}: {why}")

    async def _end(self) -> None:
        for connection in self._connections.values():
            connection.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


class _Bytes(CodecBase):
    """Messages are bytes here."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ARG002
        return cast(bytes, message)

    def decode(self, data: bytes, message_type: Any) -> bytes:  # noqa: ARG002
        return data


class _Heard(H2Protocol):
    """Knows when the service said something last, be it the answer to a ping."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.heard_s = cast(asyncio.Transport, transport), time.monotonic()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.heard_s = time.monotonic()
        super().data_received(data)

    def abort_if_silent_since(self, moment_s: float) -> None:
        """Its calls end, and are made again on another connection."""
        if self.heard_s <= moment_s:
            self.transport.abort()


class _Connection(grpclib.client.Channel):
    """One connection at a time. The three methods of grpclib that are overridden are not documented."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, ssl=target.tls, codec=_Bytes())

    def distrust(self) -> None:
        """A call got no answer: if it heard nothing else either, the connection is dead."""
        if self._connected:
            cast(_Heard, self._protocol).abort_if_silent_since(time.monotonic() - _PROOF_S)

    async def __connect__(self) -> H2Protocol:
        protocol = cast(_Heard, await super().__connect__())
        now_s = time.monotonic()
        if now_s - protocol.heard_s > _SILENT_S:
            protocol.connection._connection.ping(bytes(8))
            protocol.connection.flush()
            self._loop.call_later(_PROOF_S, protocol.abort_if_silent_since, now_s)
        return protocol

    def _protocol_factory(self) -> H2Protocol:
        return _Heard(grpclib.client.Handler(), self._config, self._h2_config)

    async def _create_connection(self) -> H2Protocol:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, protocol = await self._loop.create_connection(
                    self._protocol_factory,
                    self._host,
                    self._port,
                    ssl=self._ssl,
                    happy_eyeballs_delay=_NEXT_ADDRESS_S,
                )
        except TimeoutError as error:
            raise ConnectionError(f"no connection within {_CONNECT_S:g} s") from error
        return protocol
