"""One HTTP request, answered whole: what a gateway needs of HTTP beside its calls to Pub/Sub."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """headers: Names in lower case. data: The body."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def fetch(method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """One request on a connection of its own; redirects are not followed.

    Args:
        timeout_s: Real seconds to connect, to send a part, or to wait for one.

    Raises:
        OSError: No answer, or none that is HTTP.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout_s)
    try:
        target = parts._replace(scheme="", netloc="", fragment="").geturl()
        connection.request(method, target or "/", body, dict(headers))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"{method} {parts.netloc}: {error or type(error).__name__}") from error
    finally:
        connection.close()
