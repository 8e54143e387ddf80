"""The outbox's file: tables, checksums, opening, and setting a corrupt file aside.

SQLite in WAL mode, `synchronous=FULL` (a commit is on the disk when it returns), one connection in
exclusive mode: a second gateway on the same file is refused, and the WAL-reset corruption of
SQLite before 3.51.3 needs two. `intake` has no index and no AUTOINCREMENT: it is small, and each
would write one more page a second to the gateway's flash.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge_client import raw_rows
from schemas.errors import BadInput

_VERSION: Final = 2
_SCHEMA: Final = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE outbox(
    id INTEGER PRIMARY KEY AUTOINCREMENT, epoch BLOB NOT NULL, seq INTEGER NOT NULL,
    lane INTEGER NOT NULL, created_us INTEGER NOT NULL, gap_mark INTEGER NOT NULL,
    starts_epoch INTEGER NOT NULL, envelope BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE UNIQUE INDEX outbox_seq ON outbox(epoch, seq);
CREATE INDEX outbox_lane ON outbox(lane, id);
CREATE TABLE gaps(
    id INTEGER PRIMARY KEY AUTOINCREMENT, epoch BLOB NOT NULL, first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, reason INTEGER NOT NULL, first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL);
CREATE TABLE intake(
    id INTEGER PRIMARY KEY, minute_us INTEGER NOT NULL, channel TEXT NOT NULL,
    sensor_id TEXT NOT NULL, received_us INTEGER NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE sealed(
    sensor_id TEXT NOT NULL, minute_us INTEGER NOT NULL, seconds INTEGER NOT NULL,
    PRIMARY KEY(sensor_id, minute_us)) WITHOUT ROWID;
"""
_CREATE: Final = f"BEGIN IMMEDIATE;{_SCHEMA}{raw_rows.SCHEMA}PRAGMA user_version={_VERSION};COMMIT"
# From each older version to the next; what lies in the file stays.
_MIGRATIONS: Final = {1: f"BEGIN IMMEDIATE;{raw_rows.SCHEMA}PRAGMA user_version=2;COMMIT"}
_PRAGMAS: Final = (
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=FULL",
    "cache_size=-2000",  # 2 MB; reads are of the newest pages
)


class OutboxUnavailable(Exception):
    """The disk will not take it now (full, read-only, I/O error). Nothing was committed."""


class IntakeRow(NamedTuple):
    """A message as it came from the broker, kept until its minute is sealed.

    Attributes:
        minute_us: Minute in which it will be sealed.
        channel: Of its topic: schemas.topics.RICH or ZIGBEE.
        received_us: Gateway clock.
    """

    minute_us: int
    channel: str
    sensor_id: str
    received_us: int
    payload: bytes


class Salvage(NamedTuple):
    """What could still be read of a corrupt file: rows whose checksum holds."""

    meta: dict[str, bytes]
    outbox: list[tuple[Any, ...]]
    gaps: list[tuple[Any, ...]]
    intake: list[IntakeRow]
    raw: list[tuple[Any, ...]]


def row_crc(epoch: bytes, seq: int, lane: int, envelope: bytes) -> int:
    """Checksum of an outbox row."""
    return zlib.crc32(envelope, zlib.crc32(b"%b|%d|%d" % (epoch, seq, lane)))


def intake_crc(row: IntakeRow) -> int:
    """Checksum of an intake row."""
    head = f"{row.minute_us}|{row.channel}|{row.sensor_id}|{row.received_us}|".encode()
    return zlib.crc32(row.payload, zlib.crc32(head))


def meta_crc(key: str, value: bytes) -> int:
    """Checksum of a meta row."""
    return zlib.crc32(value, zlib.crc32(key.encode()))


def holds(crc: int, checksum: Callable[..., int], *columns: Any) -> bool:
    """Is it the checksum of these columns?

    Raises:
        sqlite3.DatabaseError: Columns of other types than were written: the page is another one.
    """
    try:
        return checksum(*columns) == crc
    except (AttributeError, TypeError) as error:
        raise malformed(f"columns of another type: {error}") from error


def is_corrupt(error: sqlite3.Error) -> bool:
    """Is the file at fault, rather than the disk or the moment?"""
    code = getattr(error, "sqlite_errorcode", None)
    # Python raises a bare DatabaseError for malformed pages; extended codes carry the base in 8 bits.
    base = code & 0xFF if code is not None else None
    return base in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_file(path: Path, *, check: bool) -> sqlite3.Connection:
    """Path → connection to its file, which is made if there is none.

    Args:
        check: Read all of it and see whether its pages are in order: after a power loss.

    Raises:
        BadInput: Another process has it, or its folder does not exist, or a newer version wrote it.
        sqlite3.DatabaseError: Corrupt (see `is_corrupt`).
        OutboxUnavailable: The disk refuses.
    """
    if not path.parent.is_dir():
        raise BadInput(f"outbox.path: folder {path.parent} does not exist")
    if _beside(path, ".new").exists():
        _swap(path)  # a sudden end came between
    connection = _connect(path)
    try:
        _configure(connection)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables == 0:
            connection.executescript(_CREATE)
            return connection
        while version in _MIGRATIONS:
            connection.executescript(_MIGRATIONS[version])
            version += 1
        if version != _VERSION:
            raise BadInput(f"outbox.path: {path} has version {version}, limit {_VERSION}")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if check else "ok"
        if verdict != "ok":
            raise malformed(verdict)
        connection.execute("BEGIN IMMEDIATE")  # takes the exclusive lock now, not at the first write
        connection.execute("COMMIT")
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise BadInput(f"outbox.path: {path} is in use by another process, limit 1") from error
        raise OutboxUnavailable(f"{path}: {error}") from error
    except BaseException:
        connection.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)


def _configure(connection: sqlite3.Connection) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def read_meta(connection: sqlite3.Connection) -> dict[str, bytes]:
    """All of meta.

    Raises:
        sqlite3.DatabaseError: A checksum does not hold.
    """
    out = {}
    for key, value, crc in connection.execute("SELECT key, value, crc FROM meta"):
        if not holds(crc, meta_crc, key, value):
            raise malformed(f"checksum of meta {key}")
        out[key] = value
    return out


def salvage(path: Path) -> Salvage:
    """Corrupt file → what is still whole in it. Never raises for what it cannot read."""
    found = Salvage({}, [], [], [], [])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        for key, value, crc in _readable(connection, "SELECT key, value, crc FROM meta"):
            if _salvageable(crc, meta_crc, key, value):
                found.meta[key] = value
        columns = "epoch, seq, lane, created_us, gap_mark, starts_epoch, envelope, crc"
        for row in _readable(connection, f"SELECT {columns} FROM outbox ORDER BY id"):
            if _salvageable(row[7], row_crc, row[0], row[1], row[2], row[6]):
                found.outbox.append(row)
        columns = "epoch, first_seq, last_seq, reason, first_us, last_us"
        gaps = _readable(connection, f"SELECT {columns} FROM gaps ORDER BY id")
        found.gaps.extend(gap for gap in gaps if None not in gap)
        columns = "minute_us, channel, sensor_id, received_us, payload"
        for row in _readable(connection, f"SELECT {columns}, crc FROM intake ORDER BY id"):
            if _salvageable(row[5], intake_crc, IntakeRow(*row[:5])):
                found.intake.append(IntakeRow(*row[:5]))
        columns = "number, minute_us, body, size, crc"
        for row in _readable(connection, f"SELECT {columns} FROM raw ORDER BY number"):
            if _salvageable(row[4], raw_rows.raw_crc, *row[1:4]):
                found.raw.append(row)
    return found


def replace(path: Path, fill: Callable[[sqlite3.Connection], None]) -> Path:
    """Put a new file in the place of a corrupt one → where that lies now; it is never deleted.

    A sudden end leaves the old file in place, or the whole new one, which `open_file` then moves in.

    Args:
        fill: Writes the content of the new file.

    Raises:
        OSError, sqlite3.Error: The disk refuses; nothing has changed.
    """
    build = _beside(path, ".build")
    for suffix in ("", "-wal"):
        _beside(build, suffix).unlink(missing_ok=True)
    with contextlib.closing(_connect(build)) as connection:
        _configure(connection)
        connection.executescript(_CREATE)
        connection.execute("BEGIN IMMEDIATE")
        fill(connection)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    build.rename(_beside(path, ".new"))
    _sync_folder(path.parent)
    return _swap(path)


def _swap(path: Path) -> Path:
    """Old file aside, its WAL first: the WAL left behind would be taken for the new file's."""
    number = 1
    while (aside := _beside(path, f".corrupt-{number}")).exists():
        number += 1
    for suffix in ("-wal", ""):
        source = _beside(path, suffix)
        if source.exists():
            source.rename(_beside(aside, suffix))
    _beside(path, ".new").rename(path)
    _sync_folder(path.parent)
    return aside


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync_folder(folder: Path) -> None:
    """Make renames in it durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _salvageable(crc: int, checksum: Callable[..., int], *columns: Any) -> bool:
    try:
        return holds(crc, checksum, *columns)
    except sqlite3.DatabaseError:
        return False


def _readable(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows up to the first that cannot be read."""
    with contextlib.suppress(sqlite3.Error):
        yield from connection.execute(query)


def malformed(what: str) -> sqlite3.DatabaseError:
    """An error for content that SQLite itself takes for sound; `is_corrupt` knows it."""
    error = sqlite3.DatabaseError(f"malformed: {what}")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
