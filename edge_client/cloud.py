"""Access tokens for Google's services, without `requests` and what it brings: 7 MB."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 20.0


class NoAccess(Exception):
    """There are no credentials, or no token is given for them."""


class Authorization:
    """Yields the header of a fresh access token. Credentials are looked for at the first call."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._credentials: Any = None

    def find(self) -> None:
        """Find the credentials.

        Raises:
            NoAccess: There are none.
        """
        # 3 MB that a gateway against the emulators does without.
        import google.auth
        import google.auth.exceptions

        request: Any = _fetch  # what google.auth.transport.Request asks for
        with self._lock:
            if self._credentials is None:
                try:
                    self._credentials, _ = google.auth.default(scopes=[self._scope], request=request)
                except google.auth.exceptions.GoogleAuthError as error:
                    raise NoAccess(str(error)) from error

    def header(self, url: str) -> dict[str, str]:
        """
        Args:
            url: Of the service that is called.

        Raises:
            NoAccess: There are no credentials, or no token is given for them now.
        """
        self.find()
        import google.auth.exceptions

        headers: dict[str, str] = {}
        try:
            with self._lock:
                self._credentials.before_request(_fetch, "POST", url, headers)
        except google.auth.exceptions.GoogleAuthError as error:
            raise NoAccess(str(error)) from error
        return headers


class _Answer:
    """google.auth.transport.Response."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status, self.headers, self.data = status, headers, data


def _fetch(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: Any,
) -> _Answer:
    """google.auth.transport.Request: one request, no redirects.

    Raises:
        google.auth.exceptions.TransportError: No answer.
    """
    import google.auth.exceptions

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout or _TIMEOUT_S)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target or "/", body, dict(headers or {}))
        response = connection.getresponse()
        return _Answer(response.status or HTTPStatus.OK, dict(response.getheaders()), response.read())
    except (OSError, http.client.HTTPException) as error:
        raise google.auth.exceptions.TransportError(error) from error
    finally:
        connection.close()
