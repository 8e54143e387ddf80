"""What the disk would not take and must leave all the same: life safety waits for no disk.

Such an event is sealed in an epoch of its own that lives in this process' memory: its numbers can
neither collide with the file's nor be used again. The epoch names the file's epoch, which goes on
beside it. The message behind the event stays unacknowledged, so that a sudden end costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Final

from edge_client.rows import Batch
from edge_client.sealing import Change, Place, Sealer
from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import is_life_safety

_log = logging.getLogger(__name__)
MAX_WAITING: Final = 200  # an event with ten minutes of curves is about 10 kB


class Emergency:
    """Batches in memory, oldest first. Not thread-safe: `Outbox` holds a lock around each call."""

    def __init__(self, sealer: Sealer, random_bytes: Callable[[int], bytes]) -> None:
        """
        Args:
            random_bytes: n → n random bytes, for the epoch.
        """
        self._sealer, self._random_bytes = sealer, random_bytes
        self._epoch, self._seq = b"", 0
        self._start: pb.EpochStart | None = None
        self._waiting: dict[int, tuple[Batch, pb.Body]] = {}  # by seq, in order
        self._in_flight: set[int] = set()
        self._confirmed: set[bytes] = set()
        self._gaps: list[pb.Gap] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, change: Change, file_epoch: bytes, file_head: int) -> None:
        """Seal the drafts of a change that was not committed.

        Args:
            file_epoch, file_head: Where the file's own epoch stands, as far as is known.
        """
        if not self._epoch:
            self._epoch = self._random_bytes(16)
            self._start = pb.EpochStart(
                previous_epoch=file_epoch, previous_head_seq=file_head, reason=pb.EPOCH_REASON_EMERGENCY
            )
        for draft in change.drafts:
            if len(self._waiting) >= MAX_WAITING:
                self._give_way()
            self._seq += 1
            oldest = next(iter(self._waiting), self._seq)
            place = Place(self._epoch, self._seq, oldest, self._gaps, self._start)
            envelope = self._sealer.seal(draft, change, place)
            batch = Batch(-self._seq, self._epoch, self._seq, draft.lane, change.now_us, envelope)
            self._waiting[self._seq] = batch, draft.body

    def take(self, skip: Container[int]) -> Batch | None:
        """The oldest that is not in flight, which is in flight from now on."""
        for seq, (batch, _) in self._waiting.items():
            if seq not in self._in_flight and batch.row_id not in skip:
                self._in_flight.add(seq)
                return batch
        return None

    def holds(self, batch: Batch) -> bool:
        """Is it one of these, rather than one of the file's?"""
        return batch.epoch == self._epoch

    def confirm(self, batch: Batch) -> None:
        """It was published."""
        self._in_flight.discard(batch.seq)
        _, body = self._waiting.pop(batch.seq)
        self._confirmed |= {event.event_id for event in body.events}
        self._start = None

    def release(self, batch: Batch) -> None:
        """It was not; it may be taken again."""
        self._in_flight.discard(batch.seq)

    def confirmed_events(self) -> set[bytes]:
        """Ids of the events that were published since this was asked last."""
        confirmed, self._confirmed = self._confirmed, set()
        return confirmed

    def _give_way(self) -> None:
        """Forget the oldest that is no matter of life, else the oldest: the caller still has its event."""
        free = [seq for seq in self._waiting if seq not in self._in_flight]
        lesser = [s for s in free if not any(is_life_safety(e.code) for e in self._waiting[s][1].events)]
        for seq in (lesser or free)[:1]:
            _log.error("batch %d of the emergency epoch gives way, limit %d", seq, MAX_WAITING)
            batch, _ = self._waiting.pop(seq)
            if not self._gaps or self._gaps[-1].last_seq + 1 != seq:
                reason = pb.GAP_REASON_DISK_ERROR
                gap = pb.Gap(epoch=self._epoch, first_seq=seq, reason=reason, first_us=batch.created_us)
                self._gaps.append(gap)
            self._gaps[-1].last_seq, self._gaps[-1].last_us = seq, batch.created_us
