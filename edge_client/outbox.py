"""The outbox: everything acknowledged waits here, in order and on disk, until it is confirmed.

`(epoch, seq)` is the identity of a batch. `seq` rises by one over all lanes, in the transaction
that stores the sealed bytes (edge_client/journal.py has the file and the epochs). When space runs out,
minutes kept for an hourly object go before batches, minutes before events and old before new, and every
loss is a declared gap that the following headers carry until one of them is confirmed. While the
disk refuses, events can still be sent from memory (`send_unkept`), and the file is tried again at
every call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from edge_client.emergency import Emergency
from edge_client.identity import Identity
from edge_client.journal import Journal
from edge_client.kept_minutes import KeptMinutes
from edge_client.minute import SealedSensor
from edge_client.rows import Batch
from edge_client.sealing import Change, Draft, Place, Sealer
from edge_client.store import IntakeRow, OutboxUnavailable
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb

__all__ = ["Batch", "Change", "Draft", "IntakeRow", "Outbox", "OutboxUnavailable"]

_OVERHEAD: Final = 4096  # of an envelope at most, but for hundreds of gaps
MAX_HEADER_GAPS: Final = 500  # oldest first; the others follow when these are confirmed


class Outbox:
    """One gateway's outbox. Thread-safe: one connection, on one thread, which nobody waits for long.

    Attributes:
        kept: Minutes whose payloads follow in an hourly object.
    """

    def __init__(
        self,
        path: Path,
        identity: Identity,
        witness: Witness,
        *,
        max_bytes: int,
        random_bytes: Callable[[int], bytes],
        patience_s: float = 2.0,
        software_version: str = "",
        synthetic: bool = False,
    ) -> None:
        """Open the file; where the disk refuses, go on without and try again at every call.

        Args:
            max_bytes: Of envelopes and minutes kept.
            random_bytes: n → n random bytes, for epochs.
            patience_s: Real seconds after which a disk that does not answer counts as one that refuses.
                What it was doing may still come true: everything that is tried again has its own id.

        Raises:
            BadInput: The path is unusable or in use.
        """
        self._max_bytes = max_bytes
        self._sealer = Sealer(identity, software_version, synthetic)
        self._memory = threading.Lock()  # for what needs no disk: the two that follow
        self._in_flight: set[int] = set()
        self._emergency = Emergency(self._sealer, random_bytes)
        self._journal = Journal(
            path,
            witness,
            random_bytes=random_bytes,
            patience_s=patience_s,
            name=f"{identity.gateway_id}-disk",
            let_go=self._forget_in_flight,
        )
        self.kept = KeptMinutes(self._journal, max_bytes)

    @property
    def epoch(self) -> bytes:
        """The epoch that new batches carry, 16 bytes; empty before the file could be opened."""
        return self._journal.epoch

    @property
    def head_seq(self) -> int:
        """Highest seq given out in this epoch, 0 for none."""
        return self._journal.head

    @property
    def set_aside(self) -> Path | None:
        """Where a corrupt file of this run lies."""
        return self._journal.set_aside

    @property
    def damaged_epoch(self) -> bytes:
        """Begun because the file was found corrupt or put back, and no batch of it has said so yet."""
        return self._journal.damaged_epoch

    def note(self, name: str) -> bytes | None:
        """What `Change.notes` last kept under this name.

        Raises:
            OutboxUnavailable: The disk refuses. So do all methods that read or write the file.
        """
        query = "SELECT value FROM meta WHERE key = ?"
        row = self._journal.read(lambda: self._journal.rows.one(query, f"note.{name}"))
        return bytes(row[0]) if row else None

    def kept_frames(self) -> list[IntakeRow]:
        """Messages whose minute is not sealed, in the order of arrival."""
        return self._journal.read(lambda: self._journal.rows.frames())

    def sealed_sensors(self) -> list[SealedSensor]:
        """Sensors' minutes on record as sealed."""
        return self._journal.read(lambda: self._journal.rows.sealed())

    def pending(self, lane: int) -> int:
        """Batches of a lane that wait or are in flight."""
        query = "SELECT count(*) FROM outbox WHERE lane = ?"
        count = self._journal.read(lambda: self._journal.rows.one(query, lane)[0])
        with self._memory:
            return int(count) + (len(self._emergency) if lane == pb.LANE_URGENT else 0)

    def commit(self, change: Change) -> list[int]:
        """Make a change durable, all or nothing → the seq of each draft.

        Raises:
            OutboxUnavailable: Nothing was committed.
        """
        journal = self._journal

        def write() -> list[int]:
            rows = journal.rows
            rows.keep_frames(change.frames)
            for reason, minute_us in change.lost:
                journal.skip(reason, minute_us)
            for minute_us, readings in change.raw.items():
                rows.raw.keep(minute_us, readings)
            self.kept.give_way(0)
            seqs = [self._append(draft, change) for draft in change.drafts]
            if change.announced:
                rows.raw.announce(change.announced, journal.epoch, seqs[-1])
            for minute_us in change.sealed_minutes:
                rows.seal_minute(minute_us)
            rows.record_sealed(change.sealed)
            for name, value in change.notes.items():
                rows.put_meta(f"note.{name}", value)
            return seqs

        return journal.write(write)

    def send_unkept(self, change: Change) -> None:
        """Queue the drafts of a change that could not be committed, urgent, in memory only."""
        with self._memory:
            self._emergency.add(change, self._journal.epoch, self._journal.head)

    def confirmed_unkept(self) -> set[bytes]:
        """Ids of the events of `send_unkept` that were published since this was asked last."""
        with self._memory:
            return self._emergency.confirmed_events()

    def take(
        self, lane: int, *, newest_since_us: int | None = None, skip: Collection[int] = ()
    ) -> Batch | None:
        """The lane's oldest batch that is not in flight, which is in flight from now on.

        Args:
            newest_since_us: Instead, its newest, if that was created then or later.
            skip: Row ids to pass over.

        Raises:
            OutboxUnavailable: The disk refuses.
        """
        journal = self._journal
        taken: set[int] = set()
        wanted = threading.Event()  # until its caller has given up
        wanted.set()

        def read() -> Batch | None:
            while found := journal.rows.pick(lane, {*self._flying(), *skip}, newest_since_us):
                batch, whole = found
                if whole:
                    with self._memory:
                        if wanted.is_set():
                            taken.add(batch.row_id)
                            self._in_flight |= taken
                    return batch
                journal.transaction(lambda broken=batch: journal.rows.lose(broken))  # type: ignore[misc]
            return None

        with self._memory:
            urgent = self._emergency.take(skip) if lane == pb.LANE_URGENT else None
        try:
            return urgent or journal.read(read)
        except OutboxUnavailable:
            with self._memory:
                wanted.clear()
                self._in_flight -= taken
            raise

    def confirm(self, batch: Batch) -> None:
        """It was published: delete it, and with it what its header made known.

        Raises:
            OutboxUnavailable: It stays and will be published again, which changes nothing.
        """
        with self._memory:
            if self._emergency.holds(batch):
                self._emergency.confirm(batch)
                return

        def write() -> None:
            rows = self._journal.rows
            row = rows.one(
                "SELECT id, gap_mark, starts_epoch, length(envelope) FROM outbox WHERE epoch = ? AND seq = ?",
                batch.epoch,
                batch.seq,
            )
            if not row:
                return
            rows.drop(row[0], row[3])
            rows.raw.confirmed(batch.epoch, batch.seq)
            rows.gaps_known(row[1])
            if row[2]:
                self._journal.start_is_known(batch.epoch)

        try:
            self._journal.write(write)
        finally:
            self.release(batch)

    def release(self, batch: Batch) -> None:
        """It was not published; it may be taken again."""
        with self._memory:
            if self._emergency.holds(batch):
                self._emergency.release(batch)
            else:
                self._in_flight.discard(batch.row_id)

    def close(self) -> None:
        """Close the file; everything committed stays."""
        self._journal.close()

    def _append(self, draft: Draft, change: Change) -> int:
        journal, rows = self._journal, self._journal.rows
        self.kept.give_way(draft.body.ByteSize() + _OVERHEAD)
        oldest = rows.one("SELECT min(seq) FROM outbox WHERE epoch = ?", journal.epoch)[0]
        told = rows.header_gaps(MAX_HEADER_GAPS)
        seq = journal.next_seq()
        place = Place(journal.epoch, seq, seq if oldest is None else oldest, told.gaps, journal.start)
        envelope = self._sealer.seal(draft, change, place)
        if rows.make_room(len(envelope), self._max_bytes, draft.lane, self._flying()):
            batch = Batch(0, journal.epoch, seq, draft.lane, change.now_us, envelope)
            rows.insert(batch, gap_mark=told.mark, starts_epoch=journal.start is not None)
        else:  # events alone fill it: the minute gives way
            rows.declare(journal.epoch, seq, pb.GAP_REASON_OUTBOX_FULL, change.now_us)
        return seq

    def _flying(self) -> set[int]:
        with self._memory:
            return set(self._in_flight)

    def _forget_in_flight(self) -> None:
        """The file was left: row ids of another one would be other batches."""
        with self._memory:
            self._in_flight.clear()
