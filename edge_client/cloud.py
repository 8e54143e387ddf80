"""Access tokens for Google's services, without `requests` and what it brings: 7 MB."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from edge_client.fetch import Answer, fetch

_log = logging.getLogger(__name__)
_TIMEOUT_S: Final = 20.0


class NoAccess(Exception):
    """There are no credentials, or no token is given for them."""


class Authorization:
    """Yields the header of an access token. Credentials are looked for at the first call."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._credentials: Any = None
        self._renewal: threading.Thread | None = None

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

    def header(self) -> dict[str, str]:
        """Waits for a token only where there is none that is good; one that soon ends is renewed beside.

        Raises:
            NoAccess: There are no credentials, or no token is given for them now.
        """
        self.find()
        from google.auth.credentials import TokenState

        state = self._credentials.token_state
        if state is TokenState.INVALID:
            self._renew()  # without a lock: no alarm waits for what a minute's lane asked for
        elif state is TokenState.STALE:
            with self._lock:
                if self._renewal is None or not self._renewal.is_alive():
                    self._renewal = threading.Thread(target=self._renew_beside, name="token", daemon=True)
                    self._renewal.start()
        headers: dict[str, str] = {}
        self._credentials.apply(headers)
        return headers

    def _renew(self) -> None:
        import google.auth.exceptions

        try:
            self._credentials.refresh(_fetch)
        except google.auth.exceptions.GoogleAuthError as error:
            raise NoAccess(str(error)) from error

    def _renew_beside(self) -> None:
        try:
            self._renew()
        except NoAccess as error:  # the next call tries again
            _log.warning("access token not renewed: %s", error)


def _fetch(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: Any,
) -> Answer:
    """google.auth.transport.Request.

    Raises:
        google.auth.exceptions.TransportError: No answer.
    """
    import google.auth.exceptions

    try:
        return fetch(method, url, body, headers or {}, timeout or _TIMEOUT_S)
    except OSError as error:
        raise google.auth.exceptions.TransportError(error) from error
