"""Readiness of what is not what it should be."""

from __future__ import annotations

import socket
import threading

from local import probes


def test_a_server_that_does_not_speak_http_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(b"\x00\x00\x12\x04\x00 not a status line")

        thread = threading.Thread(target=answer)
        thread.start()
        assert not probes.http(server.getsockname()[1])()
        thread.join()
