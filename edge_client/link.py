"""One HTTP/2 connection that makes unary gRPC calls, by hyper's h2. One thread uses it (channel.py).

A call whose connection turns out dead comes back to be made once more on a new one: who calls must be
idempotent, as everything here is by its identity.
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import ssl
import struct
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

# https://github.com/grpc/grpc/blob/master/doc/statuscodes.md, by number
_CODES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
    *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
_PREFIX: Final = struct.Struct(">BI")  # compressed or not, length
CONNECT_S: Final = 5.0
_SILENT_S: Final = 30.0  # a connection that was silent for longer has to prove that it lives
_PROOF_S: Final = 1.5  # within this: a router that forgot it costs a second, not an alarm's whole timeout
_TRIES: Final = 2
_READ: Final = 64 << 10
_WRITE: Final = 16 << 10


class CallFailed(Exception):
    """`code` is the name of gRPC's status; UNAVAILABLE also for a connection that failed."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class Target(NamedTuple):
    """Where a channel connects to. tls: None for plain text."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @property
    def authority(self) -> str:
        """As a request names it."""
        return f"{self.host}:{self.port}"


@dataclass(eq=False)
class Call:
    """One request on its way. ends_s: monotonic."""

    path: str
    metadata: list[tuple[str, str]]
    request: bytes
    ends_s: float
    answer: Future[bytes]
    tries: int = 0


@dataclass(eq=False)
class _Stream:
    call: Call
    unsent: memoryview
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Link:
    """One connection, from when it stands until it is lost. Used by the channel's thread alone."""

    def __init__(self, target: Target, wakes: socket.socket) -> None:
        """Connect.

        Raises:
            OSError: Not in time, or refused; also for a certificate or a protocol that does not do.
        """
        self._target, self._wakes = target, wakes
        self._socket = socket.create_connection((target.host, target.port), CONNECT_S)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.tls is not None:
                self._socket = target.tls.wrap_socket(self._socket, server_hostname=target.host)
                if self._socket.selected_alpn_protocol() != "h2":
                    raise ssl.SSLError(f"{target.authority} does not speak HTTP/2")
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        # Not normalized: h2 would never index the token, and send all of it with every request.
        config = H2Configuration(client_side=True, header_encoding="utf-8", normalize_outbound_headers=False)
        self._http = H2Connection(config)
        self._http.initiate_connection()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(wakes, selectors.EVENT_READ)
        self._streams: dict[int, _Stream] = {}
        self._outgoing = bytearray()
        self._heard_s = time.monotonic()
        self._prove_until_s: float | None = None

    def serve(self, again: list[Call], calls: queue.SimpleQueue[Call | None]) -> list[Call]:
        """Make calls until the connection is lost or the channel closed → those to make once more."""
        try:
            for call in again:
                self._begin(call)
            while True:
                self._wait()
                while not calls.empty() and self._has_room():
                    if (next_call := calls.get()) is None:
                        calls.put(None)
                        return self._end("CANCELLED", "channel closed")
                    self._begin(next_call)
                self._expire(time.monotonic())
                self._read()
        except (OSError, H2Error) as error:
            why = str(error) or type(error).__name__
            return self._end("UNAVAILABLE", f"{self._target.authority}: {why}")

    def _has_room(self) -> bool:
        return self._http.open_outbound_streams < self._http.remote_settings.max_concurrent_streams

    def _begin(self, call: Call) -> None:
        now_s = time.monotonic()
        if call.answer.cancelled() or now_s >= call.ends_s:
            fail(call, "DEADLINE_EXCEEDED", "not sent in time")
            return
        call.tries += 1
        if now_s - self._heard_s > _SILENT_S and self._prove_until_s is None:
            self._http.ping(struct.pack(">d", now_s))
            self._prove_until_s = now_s + _PROOF_S
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(
            stream,
            [
                (":method", "POST"),
                (":scheme", "https" if self._target.tls else "http"),
                (":path", call.path),
                (":authority", self._target.authority),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                *call.metadata,
            ],
        )
        body = _PREFIX.pack(0, len(call.request)) + call.request
        self._streams[stream] = _Stream(call, memoryview(body))

    def _wait(self) -> None:
        """Until something can be read or written, or is due."""
        self._pump()
        moments = [stream.call.ends_s for stream in self._streams.values()]
        if self._prove_until_s is not None:
            moments.append(self._prove_until_s)
        wait_s = max(0.0, min(moments) - time.monotonic()) if moments else None
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            wait_s = 0.0
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._selector.modify(self._socket, wanted)
        ready = self._selector.select(wait_s)
        if any(key.fileobj is self._wakes for key, _ in ready):
            with contextlib.suppress(BlockingIOError):
                while self._wakes.recv(_READ):
                    pass

    def _expire(self, now_s: float) -> None:
        """Give up what is due, and a connection that shows no sign of life."""
        if self._prove_until_s is not None and now_s > self._prove_until_s:
            raise ConnectionError(f"no sign of life for {_PROOF_S:g} s")
        for number, stream in list(self._streams.items()):
            if now_s >= stream.call.ends_s:
                del self._streams[number]
                self._http.reset_stream(number, ErrorCodes.CANCEL)
                fail(stream.call, "DEADLINE_EXCEEDED", "no answer in time")
                if now_s - self._heard_s > _PROOF_S:
                    raise ConnectionError("no answer in time, nor anything else")

    def _read(self) -> None:
        while True:
            try:
                data = self._socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not data:
                raise ConnectionError("connection closed by the service")
            self._heard_s, self._prove_until_s = time.monotonic(), None
            for event in self._http.receive_data(data):
                self._heard(event)

    def _pump(self) -> None:
        """Give h2 what the service's windows have room for, and the socket what it takes."""
        for number, stream in self._streams.items():
            while stream.unsent:
                room = min(
                    self._http.local_flow_control_window(number), self._http.max_outbound_frame_size, _WRITE
                )
                if room <= 0:
                    break
                chunk, stream.unsent = stream.unsent[:room], stream.unsent[room:]
                self._http.send_data(number, bytes(chunk), end_stream=not stream.unsent)
        self._outgoing += self._http.data_to_send()
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing[:_WRITE])]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return

    def _heard(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            # h2 lets nothing more happen on it, so that what is under way goes to a new one as well.
            raise ConnectionError("ended by the service")
        number = getattr(event, "stream_id", None)
        stream = self._streams.get(number) if number is not None else None
        if isinstance(event, DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if stream is None or number is None:
            return
        if isinstance(event, DataReceived):
            stream.body += event.data
        elif isinstance(event, ResponseReceived | TrailersReceived):
            stream.headers.update((_text(name), _text(value)) for name, value in event.headers or [])
        elif isinstance(event, StreamReset):
            del self._streams[number]
            fail(stream.call, "UNAVAILABLE", f"stream reset: {event.error_code}")
        elif isinstance(event, StreamEnded):
            del self._streams[number]
            _answer(stream)

    def _end(self, code: str, detail: str) -> list[Call]:
        self._selector.close()
        self._socket.close()
        again = []
        for stream in self._streams.values():
            if code == "UNAVAILABLE" and stream.call.tries < _TRIES:
                again.append(stream.call)
            else:
                fail(stream.call, code, detail)
        self._streams.clear()
        return again


def _answer(stream: _Stream) -> None:
    """A whole response → what the call gets."""
    call, headers = stream.call, stream.headers
    status = headers.get("grpc-status", "")
    if headers.get(":status") != "200" or not status.isdecimal():
        fail(call, "UNAVAILABLE", f"HTTP {headers.get(':status')}, grpc-status {status or 'missing'}")
    elif int(status) != 0:
        code = _CODES[int(status)] if int(status) < len(_CODES) else "UNKNOWN"
        fail(call, code, unquote(headers.get("grpc-message", "")))
    elif len(stream.body) < _PREFIX.size or _PREFIX.unpack_from(stream.body) != (
        0,
        len(stream.body) - _PREFIX.size,
    ):
        fail(call, "INTERNAL", f"answer of {len(stream.body)} bytes is no message")
    elif call.answer.set_running_or_notify_cancel():
        call.answer.set_result(bytes(stream.body[_PREFIX.size :]))


def fail(call: Call, code: str, detail: str) -> None:
    """A call gets an error instead of an answer."""
    if call.answer.set_running_or_notify_cancel():
        call.answer.set_exception(CallFailed(code, detail))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
