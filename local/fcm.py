"""A loopback recorder in place of Firebase Cloud Messaging and its token endpoint.

`firebase-admin` sends to it unchanged. Every push goes as one JSON line to a file, with the time at which it
arrived. A token tells what shall become of it: `gone-…` is not registered any more, `busy-N-…` is refused N
times for `RETRY_AFTER_S` (429), `down-N-…` fails N times (503), `bad-…` is malformed; any other is taken.

`python -m local.fcm --port N --file PATH`. GET / answers with what was recorded.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from local.config import HOST

ENDPOINT: Final = "/v1/projects/{0}/messages:send"
_FAULTS: Final = {
    "gone": (404, "UNREGISTERED"),
    "busy": (429, "QUOTA_EXCEEDED"),
    "down": (503, "UNAVAILABLE"),
    "bad": (400, "INVALID_ARGUMENT"),
}
RETRY_AFTER_S: Final = 2
_STATUS: Final = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


class Recorder(ThreadingHTTPServer):
    """Listens on loopback; `pushes` is what arrived."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, file: Path) -> None:
        super().__init__((HOST, port), _Handler)
        self.file = file
        self.pushes: list[dict[str, Any]] = []
        self._refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, message: dict[str, Any]) -> tuple[int, str]:
        """A push → status and error code ("": taken)."""
        token = str(message.get("token", ""))
        kind, _, rest = token.partition("-")
        with self._lock:
            status, code = _FAULTS.get(kind, (200, ""))
            times = rest.partition("-")[0]
            if kind in ("busy", "down") and times.isdecimal():
                self._refused[token] += 1
                if self._refused[token] > int(times):
                    status, code = 200, ""
            line = {"at_us": time.time_ns() // 1000, "status": status, "message": message}
            self.pushes.append(line)
            with self.file.open("a") as output:
                output.write(json.dumps(line, ensure_ascii=False) + "\n")
        return status, code


class _Handler(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: without this each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(200, self.server.pushes)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/token":
            self._answer(200, {"access_token": "loopback", "token_type": "Bearer", "expires_in": 3600})
            return
        status, code = self.server.take(json.loads(body)["message"])
        if status == 200:
            self._answer(200, {"name": f"projects/loopback/messages/{len(self.server.pushes)}"})
            return
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        error = {"code": status, "status": _STATUS[status], "message": code}
        self._answer(status, {"error": {**error, "details": [{"@type": kind, "errorCode": code}]}})

    def _answer(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", str(RETRY_AFTER_S))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """The file is the log."""


def credentials_document(port: int, key_pem: str) -> dict[str, str]:
    """A throw-away service account whose tokens come from the recorder."""
    return {
        "type": "service_account",
        "project_id": "loopback",
        "private_key_id": "throw-away",
        "private_key": key_pem,
        "client_email": "throw-away@loopback.invalid",
        "client_id": "0",
        "token_uri": f"http://{HOST}:{port}/token",
    }


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m local.fcm", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    options = parser.parse_args()
    Recorder(options.port, options.file).serve_forever()


if __name__ == "__main__":
    main()
