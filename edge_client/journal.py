"""The outbox's file while it is in use: its epoch and head, and transactions that survive what a disk does.

One connection, on one thread (edge_client/patience.py), which nobody waits for long. Where the disk
refuses, the file is tried again at every call; where the file is corrupt, it is set aside, what is whole
in it is saved into a new one, and the work is done there. Continuity (decision 009) is settled whenever
the file is opened: what the witness has not seen passed goes on, everything else begins a new epoch.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from edge_client import store
from edge_client.patience import Hanging, Patience
from edge_client.rows import Rows
from edge_client.store import OutboxUnavailable
from edge_client.witness import Witness
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_DAMAGES: Final = (pb.EPOCH_REASON_CORRUPT_OUTBOX, pb.EPOCH_REASON_RESTORED_DISK)


class Journal:
    """`read` and `write` on the file, and where its numbers stand.

    Attributes:
        epoch: That new batches carry, 16 bytes; empty before the file could be opened.
        head: Highest seq given out in it, 0 for none.
        start: What its batches say of its beginning, None once the cloud is known to have seen it.
        rows: The file's rows, for work inside `read` and `write`.
        set_aside: Where a corrupt file of this run lies.
        damaged_epoch: Begun because the file was found corrupt or put back, and no batch of it has said
            so yet.
    """

    rows: Rows

    def __init__(
        self,
        path: Path,
        witness: Witness,
        *,
        random_bytes: Callable[[int], bytes],
        patience_s: float,
        name: str,
        let_go: Callable[[], None],
    ) -> None:
        """Open the file; where the disk refuses, go on without.

        Args:
            random_bytes: n → n random bytes, for epochs.
            name: Of the thread.
            let_go: Told when the file is left: its row ids mean nothing from then on.

        Raises:
            BadInput: The path is unusable or in use.
        """
        self._path, self._witness, self._random_bytes, self._left = path, witness, random_bytes, let_go
        self.epoch, self.head = b"", 0
        self.start: pb.EpochStart | None = None
        self.set_aside: Path | None = None
        self.damaged_epoch = b""
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._disk = Patience(patience_s, name)
        try:
            self._disk.call(lambda: self._attempt(lambda: None))
        except (sqlite3.Error, OSError, OutboxUnavailable, Hanging) as error:
            _log.error("%s: %s; going on without", path, error)

    def read(self, work: Callable[[], _T]) -> _T:
        """Do it on the disk's thread, with the file opened if it is not.

        Raises:
            OutboxUnavailable: The disk refuses or does not answer.
        """
        if self._closed:
            raise OutboxUnavailable(f"{self._path}: closed")
        try:
            return self._disk.call(lambda: self._attempt(work))
        except (sqlite3.Error, OSError, BadInput, Hanging) as error:
            raise OutboxUnavailable(f"{self._path}: {error}") from error

    def write(self, work: Callable[[], _T]) -> _T:
        """The same as one transaction: all of it is durable on return, or nothing happened.

        Raises:
            OutboxUnavailable: Nothing was committed.
        """
        return self.read(lambda: self.transaction(work))

    def transaction(self, work: Callable[[], _T]) -> _T:
        """For work inside `read` that finds something to write."""
        assert self._db is not None
        before = (self.epoch, self.head, self.start, self.rows.bytes, self.rows.raw.bytes)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            result = work()
            self._db.execute("COMMIT")
        except BaseException:
            self.epoch, self.head, self.start, self.rows.bytes, self.rows.raw.bytes = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._witness.record(self.epoch, self.head)
        return result

    def next_seq(self) -> int:
        """Give out a number, inside a transaction."""
        self.head += 1
        self.rows.put_meta("head", str(self.head).encode())
        return self.head

    def skip(self, reason: pb.GapReason, minute_us: int) -> None:
        """Give out a number that no batch will have, and declare it."""
        self.rows.declare(self.epoch, self.next_seq(), reason, minute_us)

    def start_is_known(self, epoch: bytes) -> None:
        """A batch of this epoch that told of its start was confirmed."""
        if epoch == self.epoch and self.start is not None:
            self.rows.forget_meta("epoch_start")
            self.start = None

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

    def _open(self) -> None:
        if self._db is not None:
            return
        self._db = store.open_file(self._path, check=self._witness.seen is None)
        try:
            self.rows = Rows(self._db)
            self._load()
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
            self._left()

    def _load(self) -> None:
        """Go on in the epoch of the file if the witness has seen nothing newer, else begin one."""
        meta, seen = self.rows.meta(), self._witness.seen
        if "epoch" not in meta:
            new = pb.EpochStart(reason=pb.EPOCH_REASON_NEW_OUTBOX)
            self.transaction(lambda: self._begin_epoch(self.rows, new))
            return
        self.epoch, self.head = meta["epoch"], int(meta["head"])
        newest = self.rows.one("SELECT coalesce(max(seq), 0) FROM outbox WHERE epoch = ?", self.epoch)[0]
        if newest > self.head:
            raise store.malformed(f"head is {self.head}, a row has {newest}")
        start_bytes = meta.get("epoch_start")
        self.start = pb.EpochStart.FromString(start_bytes) if start_bytes is not None else None
        if seen is not None and seen.epoch == self.epoch and seen.head <= self.head:
            self._note_damage()
            self.transaction(self._declare_damaged)
            return
        reason = pb.EPOCH_REASON_UNWITNESSED if seen is None else pb.EPOCH_REASON_RESTORED_DISK
        start = pb.EpochStart(previous_epoch=self.epoch, previous_head_seq=self.head, reason=reason)
        if seen is not None and seen.epoch != self.epoch:
            start.previous_epoch, start.previous_head_seq = seen.epoch, 0
        elif seen is None and self.head == 0 and self.start is not None:
            start = self.start  # nothing was sent of it: name the epoch that the cloud knows
        _log.warning("%s: new epoch: %s", self._path, pb.EpochReason.Name(start.reason))

        def write() -> None:
            self._begin_epoch(self.rows, start)
            self._declare_damaged()

        self.transaction(write)

    def _declare_damaged(self) -> None:
        """Kept messages that the disk has damaged will be in no batch."""
        for minute_us in self.rows.drop_damaged():
            self.skip(pb.GAP_REASON_CORRUPT_ROW, minute_us)

    def _begin_epoch(self, rows: Rows, start: pb.EpochStart) -> None:
        self.epoch, self.head, self.start = self._random_bytes(16), 0, start
        self._note_damage()
        rows.put_meta("epoch", self.epoch)
        rows.put_meta("head", b"0")
        rows.put_meta("epoch_start", start.SerializeToString())

    def _note_damage(self) -> None:
        if self.head == 0 and self.start is not None and self.start.reason in _DAMAGES:
            self.damaged_epoch = self.epoch

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
        self._witness.record(self.epoch, self.head)
        _log.error(
            "outbox is corrupt (%s): set aside as %s; %d batches and %d messages saved",
            cause,
            self.set_aside,
            len(found.outbox),
            len(found.intake),
        )
