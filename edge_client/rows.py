"""The rows of the outbox's file: what one transaction of `Outbox` is made of.

Every method runs inside a transaction (or a read) that `Outbox` holds; none commits.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from edge_client import store
from edge_client.minute import SealedSensor
from edge_client.raw_rows import RawRows
from edge_client.store import IntakeRow, Salvage
from schemas import hearthwatch_v1_pb2 as pb

_log = logging.getLogger(__name__)
_SEALED: Final = (str, int, int)  # columns of the table of this name
_SEALED_KEPT_US: Final = 2 * 3600 * 1_000_000  # record of sealed minutes, behind the newest


_INSERT_FRAME: Final = (
    "INSERT INTO intake(minute_us, channel, sensor_id, received_us, payload, crc) VALUES(?, ?, ?, ?, ?, ?)"
)
_INSERT_BATCH: Final = (
    "INSERT INTO outbox(epoch, seq, lane, created_us, gap_mark, starts_epoch, envelope, crc) "
    "VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_GAP: Final = (
    "INSERT INTO gaps(epoch, first_seq, last_seq, reason, first_us, last_us) VALUES(?, ?, ?, ?, ?, ?)"
)


class Batch(NamedTuple):
    """A sealed envelope that waits to be published."""

    row_id: int
    epoch: bytes
    seq: int
    lane: int
    created_us: int
    envelope: bytes

    @property
    def crc(self) -> int:
        """Checksum that its row has to carry."""
        return store.row_crc(self.epoch, self.seq, self.lane, self.envelope)


class HeaderGaps(NamedTuple):
    """Gaps for a header, and the highest row id among them: what the header makes known."""

    gaps: list[pb.Gap]
    mark: int


class Rows:
    """Reads and writes on one connection. `bytes` is the size of the envelopes kept, `raw` the minutes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.raw = RawRows(connection)
        self.bytes = int(self.one("SELECT coalesce(sum(length(envelope)), 0) FROM outbox")[0])

    def one(self, query: str, *parameters: object) -> tuple[Any, ...]:
        """The first row, empty if there is none."""
        return self._db.execute(query, parameters).fetchone() or ()

    def meta(self) -> dict[str, bytes]:
        """All named values.

        Raises:
            sqlite3.DatabaseError: A checksum does not hold.
        """
        return store.read_meta(self._db)

    def put_meta(self, key: str, value: bytes) -> None:
        """Keep a named value."""
        self._db.execute(
            "INSERT OR REPLACE INTO meta VALUES(?, ?, ?)", (key, value, store.meta_crc(key, value))
        )

    def forget_meta(self, key: str) -> None:
        """Drop a named value."""
        self._db.execute("DELETE FROM meta WHERE key = ?", (key,))

    def keep_frames(self, frames: Iterable[IntakeRow]) -> None:
        """Messages that wait for their minute."""
        self._db.executemany(
            _INSERT_FRAME,
            [(*row, store.intake_crc(row)) for row in frames],
        )

    def frames(self) -> list[IntakeRow]:
        """Those that are whole, in the order of arrival."""
        return [row for _, row, whole in self._intake() if whole]

    def drop_damaged(self) -> list[int]:
        """Delete messages whose checksum does not hold → the minutes that they were kept under."""
        damaged = [(row_id, row.minute_us) for row_id, row, whole in self._intake() if not whole]
        self._db.executemany("DELETE FROM intake WHERE id = ?", [(row_id,) for row_id, _ in damaged])
        return sorted({minute_us for _, minute_us in damaged})

    def _intake(self) -> Iterator[tuple[int, IntakeRow, bool]]:
        query = "SELECT minute_us, channel, sensor_id, received_us, payload, crc, id FROM intake ORDER BY id"
        for *columns, crc, row_id in self._db.execute(query):
            row = IntakeRow(*columns)
            yield row_id, row, store.holds(crc, store.intake_crc, row)

    def seal_minute(self, minute_us: int) -> None:
        """Its messages are in a batch now."""
        self._db.execute("DELETE FROM intake WHERE minute_us = ?", (minute_us,))
        self._db.execute("DELETE FROM sealed WHERE minute_us < ?", (minute_us - _SEALED_KEPT_US,))

    def record_sealed(self, sealed: Iterable[SealedSensor]) -> None:
        """Remember which seconds were sealed."""
        self._db.executemany("INSERT OR REPLACE INTO sealed VALUES(?, ?, ?)", sealed)

    def sealed(self) -> list[SealedSensor]:
        """All that is remembered.

        Raises:
            sqlite3.DatabaseError: Columns of other types than were written.
        """
        query = "SELECT sensor_id, minute_us, seconds FROM sealed"
        rows = [SealedSensor(*row) for row in self._db.execute(query)]
        if not all(isinstance(one, kind) for row in rows for one, kind in zip(row, _SEALED, strict=True)):
            raise store.malformed("columns of another type in sealed")
        return rows

    def insert(self, batch: Batch, *, gap_mark: int, starts_epoch: bool) -> None:
        """Queue a batch (its row id is given here)."""
        self._db.execute(
            _INSERT_BATCH,
            (*batch[1:5], gap_mark, starts_epoch, batch.envelope, batch.crc),
        )
        self.bytes += len(batch.envelope)

    def pick(self, lane: int, skip: Iterable[int], newest_since_us: int | None) -> tuple[Batch, bool] | None:
        """Oldest batch of a lane, or its newest if new enough → it, and whether its checksum holds.

        The moment is no part of the query: it would read the whole backlog where nothing is so new.
        """
        order = "ASC" if newest_since_us is None else "DESC"
        row = self.one(
            "SELECT id, epoch, seq, lane, created_us, envelope, crc FROM outbox WHERE lane = ? "
            f"AND id NOT IN ({_ids(skip)}) ORDER BY id {order} LIMIT 1",
            lane,
        )
        if not row:
            return None
        batch = Batch(*row[:6])
        if newest_since_us is not None and batch.created_us < newest_since_us:
            return None
        return batch, store.holds(row[6], store.row_crc, batch.epoch, batch.seq, batch.lane, batch.envelope)

    def drop(self, row_id: int, size: int) -> None:
        """Delete a batch of `size` bytes."""
        self._db.execute("DELETE FROM outbox WHERE id = ?", (row_id,))
        self.bytes -= size

    def lose(self, batch: Batch) -> None:
        """A batch whose checksum does not hold is gone: delete and declare it."""
        self.drop(batch.row_id, len(batch.envelope))
        self.raw.withdrawn(batch.epoch, batch.seq)
        self.declare(batch.epoch, batch.seq, pb.GAP_REASON_CORRUPT_ROW, batch.created_us)

    def make_room(self, size: int, most: int, lane: int, in_flight: Iterable[int]) -> bool:
        """Evict until `size` fits into `most`: minutes first, then events for an event; False if not.

        Kept minutes count too; `Outbox` lets them give way before.
        """
        order = [pb.LANE_MINUTES] if lane == pb.LANE_MINUTES else [pb.LANE_MINUTES, pb.LANE_URGENT]
        for victims in order:
            while self.bytes + self.raw.bytes + size > most:
                row = self.one(
                    "SELECT id, epoch, seq, created_us, length(envelope) FROM outbox "
                    f"WHERE lane = ? AND id NOT IN ({_ids(in_flight)}) ORDER BY id LIMIT 1",
                    victims,
                )
                if not row:
                    break
                self.drop(row[0], row[4])
                self.declare(row[1], row[2], pb.GAP_REASON_OUTBOX_FULL, row[3])
        return self.bytes + self.raw.bytes + size <= most

    def declare(self, epoch: bytes, seq: int, reason: pb.GapReason, created_us: int) -> None:
        """A seq is lost: extend the newest gap if it ends just before, else begin one.

        An extended gap gets a new id, so that a header which carried the shorter one does not
        confirm the longer one.
        """
        last = self.one(
            "SELECT id, epoch, first_seq, last_seq, reason, first_us FROM gaps ORDER BY id DESC LIMIT 1"
        )
        first_seq, first_us = seq, created_us
        if last and last[1] == epoch and last[3] + 1 == seq and last[4] == reason:
            self._db.execute("DELETE FROM gaps WHERE id = ?", (last[0],))
            first_seq, first_us = last[2], last[5]
        self._db.execute(
            _INSERT_GAP,
            (epoch, first_seq, seq, reason, first_us, created_us),
        )
        _log.error("batch %d of %s is lost and declared: %s", seq, epoch.hex(), pb.GapReason.Name(reason))

    def header_gaps(self, most: int) -> HeaderGaps:
        """The oldest gaps that no confirmed header has carried."""
        query = (
            "SELECT id, epoch, first_seq, last_seq, reason, first_us, last_us FROM gaps ORDER BY id LIMIT ?"
        )
        found = self._db.execute(query, (most,)).fetchall()
        names = ("epoch", "first_seq", "last_seq", "reason", "first_us", "last_us")
        gaps = [pb.Gap(**dict(zip(names, row[1:], strict=True))) for row in found]
        return HeaderGaps(gaps, found[-1][0] if found else 0)

    def gaps_known(self, mark: int) -> None:
        """A header that carried the gaps up to `mark` was confirmed."""
        self._db.execute("DELETE FROM gaps WHERE id <= ?", (mark,))

    def restore(self, found: Salvage) -> None:
        """Put back what was saved of a corrupt file. Its gaps are told again by new headers."""
        for epoch, seq, lane, created_us, _, _, envelope, _ in found.outbox:
            self.insert(Batch(0, epoch, seq, lane, created_us, envelope), gap_mark=0, starts_epoch=False)
        self._db.executemany(
            _INSERT_GAP,
            found.gaps,
        )
        self.keep_frames(found.intake)
        self.raw.restore(found.raw)


def _ids(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids)) or "0"
