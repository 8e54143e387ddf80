"""One way to ask a service: a silent one is `Unreachable`, said within seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import requests
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError

from webapp.errors import Unreachable

READ_TIMEOUT_S: Final = 3.0


@contextlib.contextmanager
def reaching(service: str = "Firestore") -> Iterator[None]:
    """
    Raises:
        Unreachable: It did not answer, answered with an error, or others kept getting in between.
    """
    try:
        yield
    except (
        GoogleAPICallError,
        RetryError,
        GoogleAuthError,
        requests.RequestException,
        TimeoutError,
    ) as error:
        raise Unreachable(f"{service}: {type(error).__name__}") from error
    except ValueError as error:
        # So the client says that a transaction was tried five times and each time came too late.
        if not isinstance(error.__cause__, GoogleAPICallError):
            raise
        raise Unreachable(f"{service}: {error}") from error
