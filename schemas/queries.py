"""How a query of Firestore is asked once."""

from __future__ import annotations

from typing import Final

from google.api_core import retry

# For `Query.stream`, whose `retry=None` means "once" only until the stream has begun: of one that breaks
# later the client (2.34) asks `retry._predicate`, and the caller gets an AttributeError in place of the
# service's error.
ONCE: Final = retry.Retry(predicate=retry.if_exception_type())
