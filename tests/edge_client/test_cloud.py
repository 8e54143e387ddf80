"""Access tokens: from a metadata server as it answers, and without making anybody wait."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import google.auth
import pytest
from google.auth import compute_engine
from google.auth.credentials import Credentials
from google.auth.exceptions import RefreshError

from edge_client.cloud import Authorization, NoAccess, _fetch
from tests.edge_client.outside import wait


class Metadata(http.server.BaseHTTPRequestHandler):
    """As Google's metadata server writes its headers."""

    content: ClassVar[dict[str, object]] = {
        "email": "g@p",
        "scopes": ["scope"],
        "access_token": "t0",
        "expires_in": 3600,
        "token_type": "Bearer",
    }

    def do_GET(self) -> None:
        body = json.dumps(self.content).encode()
        self.send_response(200)
        for name, value in (
            ("Metadata-Flavor", "Google"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def metadata() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_names_of_headers_are_found_in_any_case(metadata: str) -> None:
    answer = _fetch(f"{metadata}/computeMetadata/v1/token?scopes=a")
    assert answer.headers["metadata-flavor"] == "Google"
    assert answer.headers["content-type"] == "application/json"


def test_token_of_a_metadata_server_is_read(metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "google.auth.compute_engine._metadata._get_metadata_root", lambda *_args, **_more: f"{metadata}/v1/"
    )
    credentials = compute_engine.Credentials()
    monkeypatch.setattr(google.auth, "default", lambda **_: (credentials, "p"))
    assert Authorization("scope").header()["authorization"] == "Bearer t0"


class Renewed(Credentials):
    """Its token ends in so many seconds; renewing it takes until `given`, and may fail."""

    def __init__(self, token: str | None, ends_in_s: float, error: Exception | None = None) -> None:
        super().__init__()
        self.token, self.error = token, error
        self.expiry = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=ends_in_s)
        self.given, self.asked = threading.Event(), 0

    def refresh(self, request: Any) -> None:  # noqa: ARG002
        self.asked += 1
        assert self.given.wait(10)
        if self.error is not None:
            raise self.error
        self.token, self.expiry = "new", self.expiry + dt.timedelta(hours=1)


def authorization(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> Authorization:
    monkeypatch.setattr(google.auth, "default", lambda **_: (credentials, "p"))
    return Authorization("scope")


def test_token_that_soon_ends_is_renewed_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Renewed("old", 60)
    access = authorization(credentials, monkeypatch)
    for _ in range(3):
        assert access.header() == {"authorization": "Bearer old"}
    credentials.given.set()
    wait(lambda: access.header() == {"authorization": "Bearer new"})
    assert credentials.asked == 1


def test_renewal_that_fails_leaves_the_token_that_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Renewed("old", 60, RefreshError("outage"))
    credentials.given.set()
    access = authorization(credentials, monkeypatch)
    wait(lambda: access.header() == {"authorization": "Bearer old"} and credentials.asked > 1)


def test_no_token_is_no_access(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Renewed(None, 60, RefreshError("outage"))
    credentials.given.set()
    with pytest.raises(NoAccess, match="outage"):
        authorization(credentials, monkeypatch).header()


def test_a_lane_that_waits_for_a_token_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Renewed("ended", -60)
    access = authorization(credentials, monkeypatch)
    waiting = [threading.Thread(target=access.header, daemon=True) for _ in range(2)]
    for thread in waiting:
        thread.start()
    wait(lambda: credentials.asked == 2)
    credentials.given.set()
    for thread in waiting:
        thread.join(5)
    assert access.header() == {"authorization": "Bearer new"}
