"""Readiness: one question to a part, answered within a second with yes or no."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Final

from local.config import HOST

Probe = Callable[[], bool]
TIMEOUT_S: Final = 1.0
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tcp(port: int) -> Probe:
    """Somebody accepts connections on the port."""

    def ready() -> bool:
        try:
            with socket.create_connection((HOST, port), TIMEOUT_S):
                return True
        except OSError:
            return False

    return ready


def http(port: int, path: str = "/") -> Probe:
    """An HTTP server answers on the port; any status below 500 counts, for it proves that it serves."""

    def ready() -> bool:
        try:
            with _DIRECT.open(f"http://{HOST}:{port}{path}", timeout=TIMEOUT_S):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500
        except (OSError, HTTPException):  # the latter: no HTTP server
            return False

    return ready


def grpc_channel(port: int) -> Probe:
    """A gRPC server completes its handshake on the port."""

    def ready() -> bool:
        import grpc

        with grpc.insecure_channel(f"{HOST}:{port}") as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=TIMEOUT_S)
            except grpc.FutureTimeoutError:
                return False
        return True

    return ready


def path_proven(firestore_port: int, project: str, lane: str) -> Probe:
    """The synthetic gateway's test has come through the lane into Firestore: the whole path works."""
    return document_has(firestore_port, project, "operations/path", lane)


def document_has(firestore_port: int, project: str, path: str, field: str) -> Probe:
    """A document of Firestore has a field."""
    url = f"http://{HOST}:{firestore_port}/v1/projects/{project}/databases/(default)/documents/{path}"
    # "owner" is the emulator's administrator; rules do not apply to it.
    request = urllib.request.Request(url, headers={"Authorization": "Bearer owner"})

    def ready() -> bool:
        try:
            with _DIRECT.open(request, timeout=TIMEOUT_S) as answer:
                return field in json.load(answer).get("fields", {})
        except (OSError, HTTPException):
            return False

    return ready
