"""Minutes whose payloads did not travel live, on disk until their hourly object is announced.

A table of the outbox's file, written in the transaction that seals the minute: what the live batch
leaves out is durable before its messages are acknowledged. A row is deleted when the notice that
names its object was confirmed. Every method runs inside a transaction (or a read) that `Outbox` holds.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import zstandard

from schemas import hearthwatch_v1_pb2 as pb

SCHEMA: Final = """
CREATE TABLE raw(
    number INTEGER PRIMARY KEY AUTOINCREMENT, minute_us INTEGER NOT NULL, body BLOB NOT NULL,
    size INTEGER NOT NULL, crc INTEGER NOT NULL, notice_epoch BLOB, notice_seq INTEGER);
"""
_LEVEL: Final = 3  # it lies for an hour; the object is compressed better
_INSERT: Final = "INSERT INTO raw(minute_us, body, size, crc) VALUES(?, ?, ?, ?)"


class RawMinute(NamedTuple):
    """A kept minute, without its content.

    Attributes:
        number: Rises with every row. crc: of its content; both together name it, also in a file that
            was made of what could be saved of a corrupt one.
        size: Bytes of its body before compression.
    """

    number: int
    minute_us: int
    size: int
    crc: int


class Dropped(NamedTuple):
    """A row that was deleted. `announced`: a notice names its object, which is in the cloud."""

    minute_us: int
    announced: bool


class RawRows:
    """Reads and writes on one connection. `bytes` is the size of the bodies kept."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.bytes = int(self._one("SELECT coalesce(sum(length(body)), 0) FROM raw")[0])

    def keep(self, minute_us: int, readings: Iterable[pb.Reading]) -> None:
        """Readings of a minute."""
        raw = pb.Body(readings=readings).SerializeToString()
        body = zstandard.ZstdCompressor(level=_LEVEL).compress(raw)
        self._db.execute(_INSERT, (minute_us, body, len(raw), raw_crc(minute_us, body, len(raw))))
        self.bytes += len(body)

    def waiting(self) -> list[RawMinute]:
        """Those that no notice names yet, oldest minute first."""
        query = (
            "SELECT number, minute_us, size, crc FROM raw WHERE notice_seq IS NULL ORDER BY minute_us, number"
        )
        return [RawMinute(*row) for row in self._db.execute(query)]

    def read(self, number: int) -> list[pb.Reading] | None:
        """Its readings; None if the row is gone or its checksum does not hold."""
        row = self._one("SELECT minute_us, body, size, crc FROM raw WHERE number = ?", number)
        if not row or row[3] != raw_crc(*row[:3]):
            return None
        raw = zstandard.ZstdDecompressor().decompress(row[1], max_output_size=row[2])
        return list(pb.Body.FromString(raw).readings)

    def announce(self, rows: Iterable[tuple[int, int]], epoch: bytes, seq: int) -> None:
        """The batch (epoch, seq) names the object of these: (number, crc) each."""
        self._db.executemany(
            "UPDATE raw SET notice_epoch = ?, notice_seq = ? WHERE number = ? AND crc = ?",
            [(epoch, seq, *row) for row in rows],
        )

    def confirmed(self, epoch: bytes, seq: int) -> None:
        """That batch was confirmed: their content is in the cloud."""
        query = "SELECT coalesce(sum(length(body)), 0) FROM raw WHERE notice_epoch = ? AND notice_seq = ?"
        self.bytes -= int(self._one(query, epoch, seq)[0])
        self._db.execute("DELETE FROM raw WHERE notice_epoch = ? AND notice_seq = ?", (epoch, seq))

    def withdrawn(self, epoch: bytes, seq: int) -> None:
        """That batch is lost: their object has to be announced again."""
        self._db.execute(
            "UPDATE raw SET notice_epoch = NULL, notice_seq = NULL WHERE notice_epoch = ? AND notice_seq = ?",
            (epoch, seq),
        )

    def drop(self, number: int) -> Dropped | None:
        """Delete a row → what it was, None if it is not there."""
        query = "SELECT minute_us, notice_seq IS NOT NULL, length(body) FROM raw WHERE number = ?"
        row = self._one(query, number)
        if not row:
            return None
        self._db.execute("DELETE FROM raw WHERE number = ?", (number,))
        self.bytes -= row[2]
        return Dropped(int(row[0]), bool(row[1]))

    def oldest(self) -> int | None:
        """Number of the row to give way first."""
        row = self._one("SELECT number FROM raw ORDER BY minute_us, number LIMIT 1")
        return int(row[0]) if row else None

    def restore(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Put back rows of `salvage`; their objects are announced again."""
        for number, minute_us, body, size, row_crc in rows:
            self._db.execute(
                "INSERT INTO raw(number, minute_us, body, size, crc) VALUES(?, ?, ?, ?, ?)",
                (number, minute_us, body, size, row_crc),
            )
            self.bytes += len(body)

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...]:
        return self._db.execute(query, parameters).fetchone() or ()


def raw_crc(minute_us: int, body: bytes, size: int) -> int:
    """Checksum of a row."""
    return zlib.crc32(body, zlib.crc32(b"%d|%d" % (minute_us, size)))
