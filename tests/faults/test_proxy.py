"""The proxy does to a connection what it says, and nothing else."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from local.config import HOST
from tests.faults.proxy import FaultProxy


class _Counting(http.server.ThreadingHTTPServer):
    served = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.served += 1  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to the console."""


@pytest.fixture
def server() -> Iterator[_Counting]:
    with _Counting((HOST, 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(server: _Counting) -> Iterator[FaultProxy]:
    with FaultProxy(server.server_address[1]) as proxy:
        yield proxy


def _client(proxy: FaultProxy, timeout_s: float = 5.0) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(HOST, proxy.port, timeout=timeout_s)


def _post(client: http.client.HTTPConnection, body: bytes) -> bytes:
    client.request("POST", "/", body)
    return client.getresponse().read()


def test_a_healthy_proxy_changes_nothing(proxy: FaultProxy) -> None:
    body = bytes(range(256)) * 2_000
    assert _post(_client(proxy), body) == body


def test_a_cut_resets_open_and_new_connections_until_it_is_healed(proxy: FaultProxy) -> None:
    open_before = _client(proxy)
    assert _post(open_before, b"a") == b"a"
    proxy.cut()
    for client in (open_before, _client(proxy)):
        with pytest.raises(ConnectionError):
            _post(client, b"b")
    proxy.heal()
    assert _post(_client(proxy), b"c") == b"c"


def test_half_open_takes_requests_answers_nothing_and_delivers_nothing(
    proxy: FaultProxy, server: _Counting
) -> None:
    proxy.half_open()
    with pytest.raises(TimeoutError):
        _post(_client(proxy, timeout_s=0.3), b"a")
    assert server.served == 0
    proxy.heal()
    assert _post(_client(proxy), b"b") == b"b"


def test_a_lost_reply_lets_the_server_see_the_request_and_the_client_an_error(
    proxy: FaultProxy, server: _Counting
) -> None:
    proxy.lose_replies(every=2)
    assert _post(_client(proxy), b"a") == b"a"
    with pytest.raises(ConnectionError):
        _post(_client(proxy), b"b")
    assert server.served == 2
    assert proxy.lost_replies == 1


def test_a_delay_is_paid_each_way(proxy: FaultProxy) -> None:
    proxy.delay(0.1)
    began = time.monotonic()
    assert _post(_client(proxy), b"a") == b"a"
    assert time.monotonic() - began >= 0.2
