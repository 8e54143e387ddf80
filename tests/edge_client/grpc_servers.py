"""What a caller may meet: grpc's own server, one that speaks in frames, and a forwarder that forgets."""

import contextlib
import functools
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import H2Error

from edge_client.channel import Caller, Target

PATH = "/test.Echo/Say"


class Echo(grpc.GenericRpcHandler):
    """Answers with the request; `behaviour` may do something else first."""

    def __init__(self):
        self.metadata, self.behaviour, self.calls = [], lambda _request, _context: None, 0

    def service(self, details):
        if details.method != PATH:
            return None
        return grpc.unary_unary_rpc_method_handler(self.say)

    def say(self, request, context):
        self.calls += 1
        self.metadata.append(dict(context.invocation_metadata()))
        self.behaviour(request, context)
        return request


@contextlib.contextmanager
def serving(echo, port=0, credentials=None, most_streams=100):
    """→ the port of a server that is stopped at once when its block ends."""
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", most_streams),
    ]
    server = grpc.server(ThreadPoolExecutor(16), handlers=[echo], options=options)
    address = f"127.0.0.1:{port}"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def connected(port, tls=None):
    with contextlib.closing(Caller(Target("127.0.0.1", port, tls))) as caller:
        yield functools.partial(caller.call, "any")


class _Listening:
    """Takes connections on `port`, each on a thread of its own, until it is closed."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self._took, args=(self._server.accept()[0],), daemon=True).start()

    def close(self):
        self._server.close()


class Frames(_Listening):
    """A service that answers each request by `behaviour(http, stream)`, in frames, and sends no windows."""

    def __init__(self, behaviour):
        self._behaviour = behaviour
        super().__init__()

    def _took(self, client):
        config = H2Configuration(client_side=False, header_encoding=None, validate_outbound_headers=False)
        http = H2Connection(config)
        http.initiate_connection()
        with contextlib.suppress(OSError, H2Error), client:
            client.sendall(http.data_to_send())
            while data := client.recv(65536):
                for event in http.receive_data(data):
                    if isinstance(event, RequestReceived):
                        self._behaviour(http, event.stream_id)
                client.sendall(http.data_to_send())


HEADERS = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS = [(b"grpc-status", b"0")]
MESSAGE = b"\0\0\0\0\1x"


def say(headers, data=b"", trailers=None):
    """→ a behaviour: these headers, this data, these trailers."""

    def behaviour(http, stream):
        http.send_headers(stream, headers, end_stream=trailers is None)
        if trailers is not None:
            http.send_data(stream, data)
            http.send_headers(stream, trailers, end_stream=True)

    return behaviour


class Forward(_Listening):
    """A TCP forwarder; `forget()` lets it drop what its connections say without a word, as a router does."""

    def __init__(self, port):
        self._target, self.sent, self._connections = port, 0, []
        super().__init__()

    def _took(self, client):
        service = socket.create_connection(("127.0.0.1", self._target))
        alive = threading.Event()
        alive.set()
        self._connections.append((alive, client, service))
        back = threading.Thread(target=self._pass, args=(service, client, False, alive), daemon=True)
        back.start()
        self._pass(client, service, True, alive)

    def _pass(self, source, sink, counted, alive):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    self.sent += len(data)
                if alive.is_set():
                    sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def forget(self):
        for alive, _, _ in self._connections:
            alive.clear()

    def close(self):
        super().close()
        for _, client, service in self._connections:
            client.close()
            service.close()


def forwarding(port):
    return contextlib.closing(Forward(port))
