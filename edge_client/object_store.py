"""The way of the hourly objects: a resumable upload by the JSON API of Cloud Storage, over plain HTTP.

The official client costs 25 MB of memory; a gateway needs three requests of the protocol: begin a
session, send a chunk, ask how much has arrived. What was sent before a cut is not sent again.
https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import quote

from edge_client.cloud import Authorization, NoAccess
from edge_client.fetch import Answer, fetch

CLOUD: Final = "https://storage.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
QUANTUM: Final = 256 << 10  # chunks are multiples of it, but for the last
_RESUME_INCOMPLETE: Final = 308
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_RANGE: Final = re.compile(r"bytes=0-(\d+)")


class UploadFailed(Exception):
    """Not this time: network, outage, quota, credentials. The session is as good as before."""


class SessionLost(Exception):
    """The service does not know the session any more, or refuses it: begin another."""


class ObjectStore(Protocol):
    """Where objects go. Every method may raise `UploadFailed`."""

    def begin(self, name: str, size: int, md5: bytes) -> str | None:
        """A new session for an object → its address; None if an object of this name is there already."""

    def received(self, session: str, size: int) -> int:
        """Bytes that have arrived; `size`: the object is complete.

        Raises:
            SessionLost: Begin another.
        """

    def send(self, session: str, chunk: bytes, first: int, size: int) -> int:
        """Bytes from `first` on → bytes that have arrived; `size`: the object is complete.

        Raises:
            SessionLost: Begin another.
        """


class CloudStorage:
    """One bucket, at STORAGE_EMULATOR_HOST if that is set, else in the cloud itself."""

    def __init__(self, bucket: str, *, timeout_s: float = 30.0) -> None:
        """
        Args:
            timeout_s: Real seconds that one request may take to connect, send or answer.
        """
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        self._base = emulator.rstrip("/") if emulator else CLOUD
        # Credentials are looked for at the first request: most of the time there is none to make.
        authorization = Authorization(_SCOPE)
        self._authorize: Callable[[], dict[str, str]] = dict if emulator else authorization.header
        self._bucket, self._timeout_s = bucket, timeout_s

    def begin(self, name: str, size: int, md5: bytes) -> str | None:
        """See `ObjectStore.begin`. The service compares the MD5 before it shows the object."""
        # Generation 0 "matches" only where no object is: a second upload of the same name ends here.
        url = (
            f"{self._base}/upload/storage/v1/b/{quote(self._bucket)}/o"
            f"?uploadType=resumable&ifGenerationMatch=0&name={quote(name, safe='')}"
        )
        headers = {
            "Content-Type": "application/json",
            "X-Upload-Content-Type": "application/octet-stream",
            "X-Upload-Content-Length": str(size),
        }
        answer = self._request(
            "POST", url, json.dumps({"md5Hash": base64.b64encode(md5).decode()}).encode(), headers
        )
        if answer.status == HTTPStatus.PRECONDITION_FAILED:
            return None
        location = answer.headers.get("location")
        if answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED) or not location:
            raise UploadFailed(f"{name}: no session: {_said(answer)}")
        return location

    def received(self, session: str, size: int) -> int:
        """See `ObjectStore.received`."""
        return self._put(session, b"", f"bytes */{size}", size)

    def send(self, session: str, chunk: bytes, first: int, size: int) -> int:
        """See `ObjectStore.send`."""
        return self._put(session, chunk, f"bytes {first}-{first + len(chunk) - 1}/{size}", size)

    def _put(self, session: str, body: bytes, content_range: str, size: int) -> int:
        answer = self._request("PUT", session, body, {"Content-Range": content_range})
        if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.PRECONDITION_FAILED):
            return size  # complete, or completed by an earlier session
        if answer.status == _RESUME_INCOMPLETE:
            return arrived(answer.headers.get("range"))
        if 400 <= answer.status < 500 and answer.status not in _PASSING:
            raise SessionLost(_said(answer))
        raise UploadFailed(_said(answer))

    def _request(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            return fetch(method, url, body, {**self._authorize(), **headers}, self._timeout_s)
        except NoAccess as error:
            raise UploadFailed(
                f"no access to object storage: {error} "
                "(set GOOGLE_APPLICATION_CREDENTIALS, or STORAGE_EMULATOR_HOST)"
            ) from error
        except OSError as error:
            raise UploadFailed(str(error)) from error


def arrived(content_range: str | None) -> int:
    """`Range` of an incomplete upload → bytes that need not be sent again.

    The service keeps whole quanta; what it ignores may be sent twice, so the rest is cut off (the
    stand-in says `bytes=0-0` where nothing has arrived).

    >>> arrived("bytes=0-524287"), arrived("bytes=0-0"), arrived(None)
    (524288, 0, 0)
    """
    match = _RANGE.fullmatch(content_range or "")
    return (int(match[1]) + 1) // QUANTUM * QUANTUM if match else 0


def _said(answer: Answer) -> str:
    return f"HTTP {answer.status}: {answer.data[:200].decode(errors='replace').strip()}"
