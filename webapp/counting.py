"""How often something happened in the last minute, by key, in this process's memory."""

from __future__ import annotations

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


class PerMinute:
    """At most `limit` a minute and key."""

    def __init__(self, limit: int) -> None:
        self._limit = RateLimitItemPerMinute(limit)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def take(self, key: str) -> bool:
        """Count one; False, and nothing is counted, if there were enough."""
        return bool(self._window.hit(self._limit, key))

    def is_used_up(self, key: str) -> bool:
        """Whether the next `take` would be refused."""
        return not self._window.test(self._limit, key)
