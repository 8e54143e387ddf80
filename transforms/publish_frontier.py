"""How far a subscription has been seen: the bound of the source's watermark. No IO, no threads.

The promise, on which supervision of silence rests: *what was published before the bound has been
emitted*, but for what Pub/Sub itself holds back. Two things say so:

- an **empty answer**: the service had nothing left when it was asked, so everything published before
  that is here or with another worker (whose own watermark stays behind it);
- under a backlog, when no answer is empty, the **oldest message of the last ten seconds**: Pub/Sub
  delivers roughly in order of publishing. The newest would not do: after an outage it mixes new and old.

A failed pull says nothing, so while Pub/Sub is away the bound stands still. For the length of a lease
after a start (or a failed bundle) empty answers say nothing either: what the dead worker had taken is
invisible until then. A message that was pulled and not emitted holds the bound back in any case.
"""

from __future__ import annotations

import collections
from typing import Final

# For clocks that differ, and for a full answer that is on its way while another one comes back empty.
SLACK_US: Final = 5_000_000
RECENT_S: Final = 10.0


class PublishFrontier:
    """What the pulls of one process and subscription have said so far.

    Args:
        distrust_s: For so long after a start empty answers say nothing: the lease of a message.
        now: Of the clock of all other calls, s.
    """

    def __init__(self, distrust_s: float, now: float) -> None:
        self._distrust_s = distrust_s
        self._empty_us: int | None = None
        # (second, oldest publish time of the messages pulled in it)
        self._oldest: collections.deque[tuple[int, int]] = collections.deque()
        self._answered_since: float | None = None
        self.distrust(now)

    def distrust(self, now: float) -> None:
        """Messages were out with somebody who died: empty answers say nothing until they are back."""
        self._trusted_from = now + self._distrust_s

    def pulled(self, oldest_us: int, now: float) -> None:
        """An answer with messages, the oldest of them published at `oldest_us`."""
        self._answer(now)
        second = int(now)
        if self._oldest and self._oldest[-1][0] == second:
            oldest_us = min(oldest_us, self._oldest.pop()[1])
        self._oldest.append((second, oldest_us))

    def empty(self, asked_us: int, now: float) -> None:
        """An empty answer to a call made at wall clock `asked_us`."""
        self._answer(now)
        if now >= self._trusted_from:
            self._empty_us = max(asked_us, self._empty_us or asked_us)

    def failed(self) -> None:
        """A call without an answer."""
        self._answered_since = None
        self._oldest.clear()

    def bound_us(self, waiting_us: int | None, now: float) -> int | None:
        """→ µs since 1970 before which everything was seen; None: nothing can be said yet.

        Args:
            waiting_us: Publish time of the oldest message that was pulled and not emitted, if any.
        """
        known = [us for us in (self._empty_us, self._backlog_us(now)) if us is not None]
        if not known:
            return None
        bound = max(known)
        return (bound if waiting_us is None else min(bound, waiting_us)) - SLACK_US

    def _answer(self, now: float) -> None:
        if self._answered_since is None:
            self._answered_since = now

    def _backlog_us(self, now: float) -> int | None:
        while self._oldest and self._oldest[0][0] < int(now - RECENT_S):
            self._oldest.popleft()
        long_enough = self._answered_since is not None and now - self._answered_since >= RECENT_S
        if not self._oldest or not long_enough or now < self._trusted_from:
            return None
        return min(us for _, us in self._oldest)
