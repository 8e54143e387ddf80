"""Calls to grpc's own server: answers, errors, deadlines, and connections that die."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge_client import channel
from edge_client.channel import Caller, CallFailed, Target
from tests.edge_client.grpc_servers import (
    HEADERS,
    MESSAGE,
    PATH,
    TRAILERS,
    Echo,
    Frames,
    connected,
    forwarding,
    say,
    serving,
)
from tests.edge_client.outside import wait


@pytest.fixture
def echo():
    return Echo()


def test_message_comes_back_with_its_metadata(echo):
    with serving(echo) as port, connected(port) as call:
        assert call(PATH, b"hello", [("authorization", "Bearer x" * 100)], 5) == b"hello"
        assert call(PATH, b"", [], 5) == b""
    assert echo.metadata[0]["authorization"] == "Bearer x" * 100


def test_message_larger_than_all_windows_passes(echo):
    body = bytes(range(256)) * 8_000
    with serving(echo) as port, connected(port) as call:
        for _ in range(3):
            assert call(PATH, body, [], 20) == body


def test_many_threads_share_one_connection(echo):
    with serving(echo) as port, connected(port) as call, ThreadPoolExecutor(20) as pool:
        bodies = [str(number).encode() * 5_000 for number in range(200)]
        assert list(pool.map(lambda body: call(PATH, body, [], 20), bodies)) == bodies


def test_token_is_sent_in_full_only_once(echo):
    """HPACK's table holds it after the first request."""
    with serving(echo) as port, forwarding(port) as forward, connected(forward.port) as call:
        sizes = []
        for _ in range(3):
            before = forward.sent
            call(PATH, b"x", [("authorization", "Bearer " + "x7" * 400)], 5)
            sizes.append(forward.sent - before)
    assert sizes[0] > 500
    assert max(sizes[1:]) < 100


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED])
def test_status_of_the_service_is_named(echo, code):
    echo.behaviour = lambda _request, context: context.abort(code, "bad: größer")
    with serving(echo) as port, connected(port) as call:
        with pytest.raises(CallFailed, match=f"{code.name}: bad: größer") as caught:
            call(PATH, b"x", [], 5)
        assert caught.value.code == code.name
        with pytest.raises(CallFailed, match="UNIMPLEMENTED"):
            call("/test.Echo/Nothing", b"x", [], 5)


def test_call_ends_at_its_deadline_and_the_others_live(echo):
    release = threading.Event()
    echo.behaviour = lambda request, _context: request == b"slow" and release.wait(20)
    with serving(echo) as port, connected(port) as call:
        began_s = time.monotonic()
        with pytest.raises(CallFailed, match="DEADLINE_EXCEEDED"):
            call(PATH, b"slow", [], 0.5)
        assert time.monotonic() - began_s < 2
        assert call(PATH, b"quick", [], 5) == b"quick"
        release.set()


def test_call_waits_for_room_at_the_service_and_no_longer_than_its_deadline(echo):
    release = threading.Event()
    echo.behaviour = lambda request, _context: request == b"slow" and release.wait(20)
    with serving(echo, most_streams=1) as port, connected(port) as call, ThreadPoolExecutor(2) as pool:
        assert call(PATH, b"first", [], 5) == b"first"
        slow = pool.submit(call, PATH, b"slow", [], 20)
        wait(lambda: echo.calls == 2)
        began_s = time.monotonic()
        with pytest.raises(CallFailed, match="DEADLINE_EXCEEDED"):
            call(PATH, b"hurried", [], 0.5)
        assert time.monotonic() - began_s < 2
        patient = pool.submit(call, PATH, b"patient", [], 20)
        release.set()
        assert (slow.result(10), patient.result(10)) == (b"slow", b"patient")


@pytest.mark.parametrize(
    "behaviour",
    [
        say([*HEADERS, (b"x", b"\xff\xfe")], MESSAGE, TRAILERS),
        say(HEADERS, b"\1" + MESSAGE[1:], TRAILERS),
        say(HEADERS, b"\0\0", TRAILERS),
        say(HEADERS, MESSAGE, [(b"grpc-status", b"many")]),
        say(HEADERS, MESSAGE, [(b"grpc-message", b"no status")]),
        say([*HEADERS, (b"grpc-status", b"3"), (b"grpc-message", b"%ff%")]),
        say([(b":status", b"200"), (b"content-type", b"text/html")], b"<html>", [(b"x", b"y")]),
        say([(b":status", b"503")]),
        say([(b"content-type", b"application/grpc")], MESSAGE, TRAILERS),
        say(HEADERS),
    ],
    ids=["bytes", "compressed", "cut", "status", "none", "message", "page", "503", "nothing", "empty"],
)
def test_answer_that_is_no_grpc_fails_its_call_and_the_next_is_made(behaviour):
    now = [behaviour]
    service = Frames(lambda http, stream: now[0](http, stream))
    with contextlib.closing(service), connected(service.port) as call:
        for _ in range(2):
            with pytest.raises(CallFailed):
                call(PATH, b"x", [], 2)
        now[0] = say(HEADERS, MESSAGE, TRAILERS)
        assert call(PATH, b"x", [], 2) == b"x"


def test_header_that_nobody_reads_costs_no_answer():
    answer = say([*HEADERS, (b"x-bin", b"no base64!")], MESSAGE, TRAILERS)
    with contextlib.closing(Frames(answer)) as service, connected(service.port) as call:
        assert call(PATH, b"x", [], 2) == b"x"


def test_answer_that_comes_before_the_whole_request_is_taken_and_its_stream_ended():
    def refuse(http, stream):
        say([*HEADERS, (b"grpc-status", b"3"), (b"grpc-message", b"too large")])(http, stream)
        http.reset_stream(stream, 0)

    with contextlib.closing(Frames(refuse)) as service, connected(service.port) as call:
        for _ in range(3):
            with pytest.raises(CallFailed, match="INVALID_ARGUMENT: too large"):
                call(PATH, bytes(1_000_000), [], 5)


def test_address_that_takes_nobody_costs_a_moment(echo, monkeypatch):
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serving(echo))
        full = stack.enter_context(socket.create_server(("127.0.0.2", port), backlog=0))
        for _ in range(3):  # its queue is full then, and the kernel drops who comes
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in (2, 1)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)
        caller = stack.enter_context(contextlib.closing(Caller(Target("service.test", port, None))))
        began_s = time.monotonic()
        assert caller.call("any", PATH, b"x", [], 10) == b"x"
        assert time.monotonic() - began_s < 3


def test_nobody_there_fails_at_once_and_is_found_when_it_comes(echo):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with connected(port) as call:
        with pytest.raises(CallFailed, match="UNAVAILABLE"):
            call(PATH, b"x", [], 5)
        with serving(echo, port):
            assert call(PATH, b"x", [], 5) == b"x"


def test_service_that_restarts_is_found_again_without_an_error(echo):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with connected(port) as call:
        for _ in range(3):
            with serving(echo, port):
                assert call(PATH, b"x", [], 5) == b"x"


def test_connection_that_a_router_forgot_costs_a_moment_and_no_call(echo, monkeypatch):
    monkeypatch.setattr(channel, "_SILENT_S", 0.2)
    with (
        serving(echo) as port,
        forwarding(port) as forward,
        connected(forward.port) as call,
    ):
        call(PATH, b"before", [], 5)
        forward.forget()
        time.sleep(0.3)
        began_s = time.monotonic()
        assert call(PATH, b"after", [], 5) == b"after"
        assert time.monotonic() - began_s < 3


def test_service_that_never_answers_fails_the_call_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent, connected(silent.getsockname()[1]) as call:
        began_s = time.monotonic()
        with pytest.raises(CallFailed):
            call(PATH, b"x", [], 1)
        assert time.monotonic() - began_s < 3


def test_service_of_another_protocol_is_told():
    def answer(server):
        with contextlib.suppress(OSError):
            client, _ = server.accept()
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(2):
            threading.Thread(target=answer, args=(server,), daemon=True).start()
        with connected(server.getsockname()[1]) as call, pytest.raises(CallFailed, match="UNAVAILABLE"):
            call(PATH, b"x", [], 3)


@pytest.fixture
def certificate():
    """→ a server's key and certificate for 127.0.0.1, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, made.public_bytes(Encoding.PEM)


def trusting(*certificates):
    context = ssl.create_default_context(cadata="".join(c.decode() for c in certificates) or None)
    context.set_alpn_protocols(["h2"])
    return context


def test_calls_over_tls(echo, certificate):
    credentials = grpc.ssl_server_credentials([certificate])
    body = bytes(300_000)
    tls = trusting(certificate[1])
    with (
        serving(echo, credentials=credentials) as port,
        connected(port, tls) as call,
        ThreadPoolExecutor(8) as pool,
    ):
        assert list(pool.map(lambda _: call(PATH, body, [], 20), range(20))) == [body] * 20


def test_certificate_that_is_not_trusted_is_refused(echo, certificate):
    credentials = grpc.ssl_server_credentials([certificate])
    refused = pytest.raises(CallFailed, match=r"UNAVAILABLE.*certificate verify failed")
    with serving(echo, credentials=credentials) as port, connected(port, trusting()) as call, refused:
        call(PATH, b"x", [], 5)
    assert echo.calls == 0


def test_call_under_way_fails_when_its_connection_is_closed(echo):
    release = threading.Event()
    echo.behaviour = lambda _request, _context: release.wait(20)
    with serving(echo) as port, ThreadPoolExecutor(1) as pool:
        with connected(port) as call:
            slow = pool.submit(call, PATH, b"slow", [], 20)
            wait(lambda: echo.calls == 1)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 5
        with pytest.raises(CallFailed, match="closed"):
            slow.result(5)
        release.set()
    assert echo.calls == 1


def test_closed_channel_makes_no_call(echo):
    with serving(echo) as port:
        with connected(port) as call:
            call(PATH, b"x", [], 5)
        with pytest.raises(CallFailed, match="closed"):
            call(PATH, b"x", [], 5)
