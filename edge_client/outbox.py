"""The outbox: everything acknowledged waits here, in order and on disk, until it is confirmed.

`(epoch, seq)` is the identity of a batch. `seq` rises by one over all lanes, in the transaction
that stores the sealed bytes; a new random `epoch` begins where continuity cannot be proven. Minutes
whose payloads are to follow in an hourly object are kept beside the batches (edge_client/raw_rows.py).
When space runs out, these go before batches, minutes before events and old before new, and every
loss is a declared gap that the following headers carry until one of them is confirmed. While the
disk refuses, events can still be sent from memory (`send_unkept`), and the file is tried again at
every call.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, TypeVar

from edge_client import store
from edge_client.emergency import Emergency
from edge_client.identity import Identity
from edge_client.minute import SealedSensor
from edge_client.patience import Hanging, Patience
from edge_client.raw_rows import RawMinute
from edge_client.rows import Batch, Rows
from edge_client.sealing import Change, Draft, Place, Sealer
from edge_client.store import IntakeRow, OutboxUnavailable
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput

__all__ = ["Batch", "Change", "Draft", "IntakeRow", "Outbox", "OutboxUnavailable"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_DAMAGES: Final = (pb.EPOCH_REASON_CORRUPT_OUTBOX, pb.EPOCH_REASON_RESTORED_DISK)
_OVERHEAD: Final = 4096  # of an envelope at most, but for hundreds of gaps
MAX_HEADER_GAPS: Final = 500  # oldest first; the others follow when these are confirmed


class Outbox:
    """One gateway's outbox. Thread-safe: one connection, on one thread, which nobody waits for long."""

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
        self._path, self._witness, self._max_bytes = path, witness, max_bytes
        self._random_bytes = random_bytes
        self._sealer = Sealer(identity, software_version, synthetic)
        self._memory = threading.Lock()  # for what needs no disk: the two that follow
        self._in_flight: set[int] = set()
        self._emergency = Emergency(self._sealer, random_bytes)
        self._epoch, self._head = b"", 0
        self._epoch_start: pb.EpochStart | None = None  # None once the cloud is known to have seen it
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self.set_aside: Path | None = None  # where a corrupt file of this run lies
        # Begun because the file was found corrupt or put back, and no batch of it has said so yet.
        self.damaged_epoch = b""
        self._disk = Patience(patience_s, f"{identity.gateway_id}-disk")
        try:
            self._disk.call(lambda: self._attempt(lambda: None))
        except (sqlite3.Error, OSError, OutboxUnavailable, Hanging) as error:
            _log.error("%s: %s; going on without", path, error)

    @property
    def epoch(self) -> bytes:
        """The epoch that new batches carry, 16 bytes; empty before the file could be opened."""
        return self._epoch

    @property
    def head_seq(self) -> int:
        """Highest seq given out in this epoch, 0 for none."""
        return self._head

    def note(self, name: str) -> bytes | None:
        """What `Change.notes` last kept under this name.

        Raises:
            OutboxUnavailable: The disk refuses. So do all methods that read or write the file.
        """
        row = self._run(lambda: self._rows.one("SELECT value FROM meta WHERE key = ?", f"note.{name}"))
        return bytes(row[0]) if row else None

    def kept_frames(self) -> list[IntakeRow]:
        """Messages whose minute is not sealed, in the order of arrival."""
        return self._run(lambda: self._rows.frames())

    def sealed_sensors(self) -> list[SealedSensor]:
        """Sensors' minutes on record as sealed."""
        return self._run(lambda: self._rows.sealed())

    def pending(self, lane: int) -> int:
        """Batches of a lane that wait or are in flight."""
        count = self._run(lambda: self._rows.one("SELECT count(*) FROM outbox WHERE lane = ?", lane)[0])
        with self._memory:
            return int(count) + (len(self._emergency) if lane == pb.LANE_URGENT else 0)

    def commit(self, change: Change) -> list[int]:
        """Make a change durable, all or nothing → the seq of each draft.

        Raises:
            OutboxUnavailable: Nothing was committed.
        """

        def write() -> list[int]:
            self._rows.keep_frames(change.frames)
            for reason, minute_us in change.lost:
                self._skip(reason, minute_us)
            for minute_us, readings in change.raw.items():
                self._rows.raw.keep(minute_us, readings)
            self._evict_raw(0)
            seqs = [self._append(draft, change) for draft in change.drafts]
            if change.announced:
                self._rows.raw.announce(change.announced, self._epoch, seqs[-1])
            for minute_us in change.sealed_minutes:
                self._rows.seal_minute(minute_us)
            self._rows.record_sealed(change.sealed)
            for name, value in change.notes.items():
                self._rows.put_meta(f"note.{name}", value)
            return seqs

        return self._run(lambda: self._transaction(write))

    def raw_waiting(self) -> list[RawMinute]:
        """Kept minutes that no notice names yet, oldest first."""
        return self._run(lambda: self._rows.raw.waiting())

    def raw_read(self, number: int) -> list[pb.Reading] | None:
        """Readings of a kept minute; None if it is gone or damaged."""
        return self._run(lambda: self._rows.raw.read(number))

    def lose_raw(self, number: int) -> None:
        """A kept minute cannot be read: it is dropped and declared."""
        self._run(lambda: self._transaction(lambda: self._drop_raw(number, pb.GAP_REASON_CORRUPT_ROW)))

    def send_unkept(self, change: Change) -> None:
        """Queue the drafts of a change that could not be committed, urgent, in memory only."""
        with self._memory:
            self._emergency.add(change, self._epoch, self._head)

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

        taken: set[int] = set()
        wanted = threading.Event()  # until its caller has given up
        wanted.set()

        def read() -> Batch | None:
            while found := self._rows.pick(lane, {*self._flying(), *skip}, newest_since_us):
                batch, whole = found
                if whole:
                    with self._memory:
                        if wanted.is_set():
                            taken.add(batch.row_id)
                            self._in_flight |= taken
                    return batch
                self._transaction(lambda broken=batch: self._rows.lose(broken))  # type: ignore[misc]
            return None

        with self._memory:
            urgent = self._emergency.take(skip) if lane == pb.LANE_URGENT else None
        try:
            return urgent or self._run(read)
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
            row = self._rows.one(
                "SELECT id, gap_mark, starts_epoch, length(envelope) FROM outbox WHERE epoch = ? AND seq = ?",
                batch.epoch,
                batch.seq,
            )
            if not row:
                return
            self._rows.drop(row[0], row[3])
            self._rows.raw.confirmed(batch.epoch, batch.seq)
            self._rows.gaps_known(row[1])
            if row[2] and batch.epoch == self._epoch and self._epoch_start is not None:
                self._rows.forget_meta("epoch_start")
                self._epoch_start = None

        try:
            self._run(lambda: self._transaction(write))
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
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Hanging):
            self._disk.call(self._end)
        self._disk.end()

    def _end(self) -> None:
        self._let_go()
        self._witness.close()

    def _skip(self, reason: pb.GapReason, minute_us: int) -> None:
        """Give out a seq that no batch will have, and declare it."""
        self._head += 1
        self._rows.put_meta("head", str(self._head).encode())
        self._rows.declare(self._epoch, self._head, reason, minute_us)

    def _evict_raw(self, size: int) -> None:
        """Let kept minutes give way until `size` more bytes fit, or none is left."""
        raw = self._rows.raw
        while self._rows.bytes + raw.bytes + size > self._max_bytes and (oldest := raw.oldest()) is not None:
            self._drop_raw(oldest, pb.GAP_REASON_OUTBOX_FULL)

    def _drop_raw(self, number: int, reason: pb.GapReason) -> None:
        """What a notice names already is in the cloud: only the rest is a loss."""
        dropped = self._rows.raw.drop(number)
        if dropped is not None and not dropped.announced:
            self._skip(reason, dropped.minute_us)

    def _append(self, draft: Draft, change: Change) -> int:
        self._evict_raw(draft.body.ByteSize() + _OVERHEAD)
        seq = self._head + 1
        oldest = self._rows.one("SELECT min(seq) FROM outbox WHERE epoch = ?", self._epoch)[0]
        told = self._rows.header_gaps(MAX_HEADER_GAPS)
        place = Place(self._epoch, seq, seq if oldest is None else oldest, told.gaps, self._epoch_start)
        envelope = self._sealer.seal(draft, change, place)
        self._rows.put_meta("head", str(seq).encode())
        self._head = seq
        if self._rows.make_room(len(envelope), self._max_bytes, draft.lane, self._flying()):
            batch = Batch(0, self._epoch, seq, draft.lane, change.now_us, envelope)
            self._rows.insert(batch, gap_mark=told.mark, starts_epoch=self._epoch_start is not None)
        else:  # events alone fill it: the minute gives way
            self._rows.declare(self._epoch, seq, pb.GAP_REASON_OUTBOX_FULL, change.now_us)
        return seq

    def _transaction(self, write: Callable[[], _T]) -> _T:
        assert self._db is not None
        before = (self._epoch, self._head, self._epoch_start, self._rows.bytes, self._rows.raw.bytes)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            result = write()
            self._db.execute("COMMIT")
        except BaseException:
            self._epoch, self._head, self._epoch_start, self._rows.bytes, self._rows.raw.bytes = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._witness.record(self._epoch, self._head)
        return result

    def _run(self, work: Callable[[], _T]) -> _T:
        """Do it on the disk's thread, with the file opened if it is not."""
        if self._closed:
            raise OutboxUnavailable(f"{self._path}: closed")
        try:
            return self._disk.call(lambda: self._attempt(work))
        except (sqlite3.Error, OSError, BadInput, Hanging) as error:
            raise OutboxUnavailable(f"{self._path}: {error}") from error

    def _attempt(self, work: Callable[[], _T]) -> _T:
        """Do it; if the file turns out corrupt, go on in a new one and do it again."""
        try:
            self._open()
            return work()
        except sqlite3.Error as error:
            if not store.is_corrupt(error):
                raise
            self._start_over(error)
        self._open()
        return work()

    def _flying(self) -> set[int]:
        with self._memory:
            return set(self._in_flight)

    def _open(self) -> None:
        if self._db is not None:
            return
        self._db = store.open_file(self._path, check=self._witness.seen is None)
        try:
            self._rows = Rows(self._db)
            self._load()
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
            with self._memory:
                self._in_flight.clear()

    def _load(self) -> None:
        """Go on in the epoch of the file if the witness has seen nothing newer, else begin one."""
        meta, seen = self._rows.meta(), self._witness.seen
        if "epoch" not in meta:
            new = pb.EpochStart(reason=pb.EPOCH_REASON_NEW_OUTBOX)
            self._transaction(lambda: self._begin_epoch(self._rows, new))
            return
        self._epoch, self._head = meta["epoch"], int(meta["head"])
        newest = self._rows.one("SELECT coalesce(max(seq), 0) FROM outbox WHERE epoch = ?", self._epoch)[0]
        if newest > self._head:
            raise store.malformed(f"head is {self._head}, a row has {newest}")
        start_bytes = meta.get("epoch_start")
        self._epoch_start = pb.EpochStart.FromString(start_bytes) if start_bytes is not None else None
        if seen is not None and seen.epoch == self._epoch and seen.head <= self._head:
            self._note_damage()
            self._transaction(self._declare_damaged)
            return
        reason = pb.EPOCH_REASON_UNWITNESSED if seen is None else pb.EPOCH_REASON_RESTORED_DISK
        start = pb.EpochStart(previous_epoch=self._epoch, previous_head_seq=self._head, reason=reason)
        if seen is not None and seen.epoch != self._epoch:
            start.previous_epoch, start.previous_head_seq = seen.epoch, 0
        elif seen is None and self._head == 0 and self._epoch_start is not None:
            start = self._epoch_start  # nothing was sent of it: name the epoch that the cloud knows
        _log.warning("%s: new epoch: %s", self._path, pb.EpochReason.Name(start.reason))

        def write() -> None:
            self._begin_epoch(self._rows, start)
            self._declare_damaged()

        self._transaction(write)

    def _declare_damaged(self) -> None:
        """Kept messages that the disk has damaged will be in no batch."""
        for minute_us in self._rows.drop_damaged():
            self._skip(pb.GAP_REASON_CORRUPT_ROW, minute_us)

    def _begin_epoch(self, rows: Rows, start: pb.EpochStart) -> None:
        self._epoch, self._head, self._epoch_start = self._random_bytes(16), 0, start
        self._note_damage()
        rows.put_meta("epoch", self._epoch)
        rows.put_meta("head", b"0")
        rows.put_meta("epoch_start", start.SerializeToString())

    def _note_damage(self) -> None:
        if self._head == 0 and self._epoch_start is not None and self._epoch_start.reason in _DAMAGES:
            self.damaged_epoch = self._epoch

    def _start_over(self, cause: sqlite3.Error) -> None:
        """Set the corrupt file aside, save what is whole in it, begin a new epoch."""
        self._let_go()
        found, seen = store.salvage(self._path), self._witness.seen
        start = pb.EpochStart(reason=pb.EPOCH_REASON_CORRUPT_OUTBOX)
        if "epoch" in found.meta and "head" in found.meta:
            start.previous_epoch, start.previous_head_seq = found.meta["epoch"], int(found.meta["head"])
        if seen is not None and start.previous_epoch in (b"", seen.epoch):
            start.previous_epoch, start.previous_head_seq = seen

        def fill(connection: sqlite3.Connection) -> None:
            rows = Rows(connection)
            self._begin_epoch(rows, start)
            for key, value in found.meta.items():
                if key.startswith("note."):
                    rows.put_meta(key, value)
            rows.restore(found)

        self.set_aside = store.replace(self._path, fill)
        self._witness.record(self._epoch, self._head)
        _log.error(
            "outbox is corrupt (%s): set aside as %s; %d batches and %d messages saved",
            cause,
            self.set_aside,
            len(found.outbox),
            len(found.intake),
        )
