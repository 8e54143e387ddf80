"""The outbox: everything acknowledged waits here, in order and on disk, until it is confirmed.

`(epoch, seq)` is the identity of a batch. `seq` rises by one over all lanes, in the transaction
that stores the sealed bytes; a new random `epoch` begins where continuity cannot be proven. When
space runs out, minutes go before events and old before new, and every loss is a declared gap that
the following headers carry until one of them is confirmed.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from edge_client import store
from edge_client.identity import Identity
from edge_client.minute import SealedSensor
from edge_client.rows import Batch, Rows
from edge_client.store import IntakeRow, OutboxUnavailable
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import seal

__all__ = ["Batch", "Change", "Draft", "IntakeRow", "Outbox", "OutboxUnavailable"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_CLOCK_UNSET_US: Final = 1_735_689_600_000_000  # 2025: before this software was written
MAX_HEADER_GAPS: Final = 500  # oldest first; the others follow when these are confirmed


class Draft(NamedTuple):
    """A body to be sealed."""

    lane: pb.Lane
    body: pb.Body


@dataclass
class Change:
    """What becomes durable in one transaction.

    Attributes:
        now_us: Gateway clock.
        arming: Snapshot for the headers.
        frames: Messages to keep until their minute is sealed.
        drafts: To seal and queue, in this order.
        sealed: Sensors' minutes that `drafts` contain.
        sealed_minutes: Minutes whose kept messages are now in `drafts`.
        notes: What the rules want to find again after a restart, by name.
    """

    now_us: int
    arming: pb.Arming
    frames: list[IntakeRow] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    sealed: list[SealedSensor] = field(default_factory=list)
    sealed_minutes: list[int] = field(default_factory=list)
    notes: dict[str, bytes] = field(default_factory=dict)


class Outbox:
    """One gateway's outbox. Thread-safe: one connection behind one lock."""

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        max_bytes: int,
        random_bytes: Callable[[int], bytes],
        software_version: str = "",
        synthetic: bool = False,
    ) -> None:
        """
        Args:
            max_bytes: Of envelopes kept.
            random_bytes: n → n random bytes, for epochs.

        Raises:
            BadInput: The path is unusable or in use.
            OutboxUnavailable: The disk refuses.
        """
        self._path, self._identity, self._max_bytes = path, identity, max_bytes
        self._random_bytes = random_bytes
        self._software_version, self._synthetic = software_version, synthetic
        self._lock = threading.RLock()
        self._in_flight: set[int] = set()
        self._epoch, self._head = b"", 0
        self._epoch_start: pb.EpochStart | None = None  # None once the cloud is known to have seen it
        self.set_aside: Path | None = None  # where a corrupt file of this run lies
        try:
            self._db = store.open_file(path)
            self._load()
        except sqlite3.DatabaseError as error:
            if not store.is_corrupt(error):
                raise OutboxUnavailable(f"{path}: {error}") from error
            self._start_over(error)

    @property
    def epoch(self) -> bytes:
        """The epoch that new batches carry, 16 bytes."""
        return self._epoch

    @property
    def head_seq(self) -> int:
        """Highest seq given out in this epoch, 0 for none."""
        return self._head

    def note(self, name: str) -> bytes | None:
        """What `Change.notes` last kept under this name."""
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
        return int(self._run(lambda: self._rows.one("SELECT count(*) FROM outbox WHERE lane = ?", lane))[0])

    def commit(self, change: Change) -> list[int]:
        """Make a change durable, all or nothing → the seq of each draft.

        Raises:
            OutboxUnavailable: Nothing was committed.
        """

        def write() -> list[int]:
            self._rows.keep_frames(change.frames)
            seqs = [self._append(draft, change) for draft in change.drafts]
            for minute_us in change.sealed_minutes:
                self._rows.seal_minute(minute_us)
            self._rows.record_sealed(change.sealed)
            for name, value in change.notes.items():
                self._rows.put_meta(f"note.{name}", value)
            return seqs

        return self._run(lambda: self._transaction(write))

    def take(
        self, lane: int, *, newest_since_us: int | None = None, skip: Iterable[int] = ()
    ) -> Batch | None:
        """The lane's oldest batch that is not in flight, which is in flight from now on.

        Args:
            newest_since_us: Instead, its newest, if that was created then or later.
            skip: Row ids to pass over.

        Raises:
            OutboxUnavailable: The disk refuses.
        """

        def read() -> Batch | None:
            while found := self._rows.pick(lane, {*self._in_flight, *skip}, newest_since_us):
                batch, whole = found
                if whole:
                    self._in_flight.add(batch.row_id)
                    return batch
                self._transaction(lambda broken=batch: self._rows.lose(broken))  # type: ignore[misc]
            return None

        return self._run(read)

    def confirm(self, batch: Batch) -> None:
        """It was published: delete it, and with it what its header made known.

        Raises:
            OutboxUnavailable: It stays and will be published again, which changes nothing.
        """

        def write() -> None:
            row = self._rows.one(
                "SELECT id, gap_mark, starts_epoch, length(envelope) FROM outbox WHERE epoch = ? AND seq = ?",
                batch.epoch,
                batch.seq,
            )
            if not row:
                return
            self._rows.drop(row[0], row[3])
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
        with self._lock:
            self._in_flight.discard(batch.row_id)

    def close(self) -> None:
        """Close the file; everything committed stays."""
        with self._lock:
            self._db.close()

    def _append(self, draft: Draft, change: Change) -> int:
        seq = self._head + 1
        oldest = self._rows.one("SELECT min(seq) FROM outbox WHERE epoch = ?", self._epoch)[0]
        told = self._rows.header_gaps(MAX_HEADER_GAPS)
        header = pb.Header(
            home_id=self._identity.home_id,
            gateway_id=self._identity.gateway_id,
            epoch=self._epoch,
            seq=seq,
            lane=draft.lane,
            created_us=change.now_us,
            clock_unset=change.now_us < _CLOCK_UNSET_US,
            oldest_unsent_seq=seq if oldest is None else oldest,
            head_seq=seq,
            gaps=told.gaps,
            arming=change.arming,
            epoch_start=self._epoch_start,
            software_version=self._software_version,
            synthetic=self._synthetic,
        )
        envelope = seal(header, draft.body, self._identity.key, self._identity.certificate)
        self._rows.put_meta("head", str(seq).encode())
        self._head = seq
        if self._rows.make_room(len(envelope), self._max_bytes, draft.lane, self._in_flight):
            batch = Batch(0, self._epoch, seq, draft.lane, change.now_us, envelope)
            self._rows.insert(batch, gap_mark=told.mark, starts_epoch=self._epoch_start is not None)
        else:  # events alone fill it: the minute gives way
            self._rows.declare(self._epoch, seq, pb.GAP_REASON_OUTBOX_FULL, change.now_us)
        return seq

    def _transaction(self, write: Callable[[], _T]) -> _T:
        before = (self._epoch, self._head, self._epoch_start, self._rows.bytes)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            result = write()
            self._db.execute("COMMIT")
        except BaseException:
            self._epoch, self._head, self._epoch_start, self._rows.bytes = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return result

    def _run(self, work: Callable[[], _T]) -> _T:
        """Do it under the lock; if the file turns out corrupt, go on in a new one and do it again."""
        with self._lock:
            try:
                return work()
            except sqlite3.Error as error:
                if not store.is_corrupt(error):
                    raise OutboxUnavailable(f"{self._path}: {error}") from error
                self._start_over(error)
            try:
                return work()
            except sqlite3.Error as error:
                raise OutboxUnavailable(f"{self._path}: {error}") from error

    def _load(self) -> None:
        """Go on in the epoch of the file, or begin the first one of a new file."""
        self._rows = Rows(self._db)
        meta = store.read_meta(self._db)
        if "epoch" not in meta:
            start = pb.EpochStart(reason=pb.EPOCH_REASON_NEW_OUTBOX)
            self._transaction(lambda: self._begin_epoch(start))
            return
        self._epoch, self._head = meta["epoch"], int(meta["head"])
        newest = self._rows.one("SELECT coalesce(max(seq), 0) FROM outbox WHERE epoch = ?", self._epoch)[0]
        if newest > self._head:
            raise store.malformed(f"head is {self._head}, a row has {newest}")
        start_bytes = meta.get("epoch_start")
        self._epoch_start = pb.EpochStart.FromString(start_bytes) if start_bytes is not None else None

    def _begin_epoch(self, start: pb.EpochStart) -> None:
        self._epoch, self._head, self._epoch_start = self._random_bytes(16), 0, start
        self._rows.put_meta("epoch", self._epoch)
        self._rows.put_meta("head", b"0")
        self._rows.put_meta("epoch_start", start.SerializeToString())

    def _start_over(self, cause: sqlite3.Error) -> None:
        """Set the corrupt file aside, save what is whole in it, begin a new epoch."""
        if hasattr(self, "_db"):
            self._db.close()
        found = store.salvage(self._path)
        self.set_aside = store.set_aside(self._path)
        _log.error(
            "outbox is corrupt (%s): set aside as %s; %d batches and %d messages saved",
            cause,
            self.set_aside,
            len(found.outbox),
            len(found.intake),
        )
        self._db = store.open_file(self._path)
        self._rows = Rows(self._db)
        self._in_flight.clear()
        start = pb.EpochStart(
            previous_epoch=found.meta.get("epoch", b""),
            previous_head_seq=int(found.meta.get("head", b"0")),
            reason=pb.EPOCH_REASON_CORRUPT_OUTBOX,
        )

        def write() -> None:
            self._begin_epoch(start)
            for key, value in found.meta.items():
                if key.startswith("note."):
                    self._rows.put_meta(key, value)
            self._rows.restore(found)

        self._transaction(write)
