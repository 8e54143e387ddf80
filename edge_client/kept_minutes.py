"""Minutes whose payloads follow in an hourly object: who reads them, and how they give way.

They lie in the outbox's file (edge_client/raw_rows.py) from the transaction that seals them. When space runs
out they go before every batch, oldest first; a minute that no notice names yet is then a declared gap.
"""

from __future__ import annotations

from edge_client.journal import Journal
from edge_client.raw_rows import RawMinute
from schemas import hearthwatch_v1_pb2 as pb


class KeptMinutes:
    """The kept minutes of one outbox. Every public method raises OutboxUnavailable if the disk refuses."""

    def __init__(self, journal: Journal, max_bytes: int) -> None:
        """
        Args:
            max_bytes: Of envelopes and minutes together.
        """
        self._journal, self._max_bytes = journal, max_bytes

    def waiting(self) -> list[RawMinute]:
        """Those that no notice names yet, oldest first."""
        return self._journal.read(lambda: self._journal.rows.raw.waiting())

    def read(self, number: int) -> list[pb.Reading] | None:
        """Readings of a minute; None if it is gone or damaged."""
        return self._journal.read(lambda: self._journal.rows.raw.read(number))

    def lose(self, number: int) -> None:
        """A minute cannot be read: it is dropped and declared."""
        self._journal.write(lambda: self._drop(number, pb.GAP_REASON_CORRUPT_ROW))

    def give_way(self, size: int) -> None:
        """Drop until `size` more bytes fit, or none is left; inside a transaction."""
        rows = self._journal.rows
        while (
            rows.bytes + rows.raw.bytes + size > self._max_bytes and (oldest := rows.raw.oldest()) is not None
        ):
            self._drop(oldest, pb.GAP_REASON_OUTBOX_FULL)

    def _drop(self, number: int, reason: pb.GapReason) -> None:
        """What a notice names already is in the cloud: only the rest is a loss."""
        dropped = self._journal.rows.raw.drop(number)
        if dropped is not None and not dropped.announced:
            self._journal.skip(reason, dropped.minute_us)
