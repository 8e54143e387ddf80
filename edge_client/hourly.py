"""The hourly objects of a home: built from the outbox's disk, uploaded when nothing else waits, announced.

One object at a time, oldest hour first, on a thread of its own. What has been done is a note in the
outbox: after a sudden end the upload goes on where it was. The kept minutes stay in the outbox until
the notice, an ordinary batch on lane bulk, is confirmed. The hours of a fleet do not end as one wave:
each gateway waits a stretch of its own.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from edge_client.clock import SECOND_US, Clock, real_s
from edge_client.config import ObjectsConfig
from edge_client.object_store import QUANTUM, ObjectStore, SessionLost, UploadFailed
from edge_client.outbox import Change, Draft, Outbox, OutboxUnavailable
from edge_client.raw_rows import RawMinute
from edge_client.uplink import backoff_s
from schemas import hearthwatch_v1_pb2 as pb

_log = logging.getLogger(__name__)
NOTE: Final = "object"
CHUNK_BYTES: Final = QUANTUM
MAX_RAW_BYTES: Final = 16 << 20  # of an object before compression: what building it may hold in memory
_IDLE_S: Final = 5.0
_BUSY_S: Final = 1.0  # until another look whether the other lanes are quiet
_FIRST_BACKOFF_S, _MOST_BACKOFF_S = 5.0, 600.0


class Progress(NamedTuple):
    """One object on its way, as the note keeps it.

    Attributes:
        rows: (number, crc) of the kept minutes in it.
        session: Address of the upload, "" before it has begun.
    """

    object: str
    sha256: str
    md5: str
    size: int
    first_minute_us: int
    last_minute_us: int
    readings: int
    rows: tuple[tuple[int, int], ...]
    session: str = ""

    def reference(self) -> pb.BulkReference:
        """What the notice says."""
        return pb.BulkReference(
            object=self.object,
            sha256=bytes.fromhex(self.sha256),
            size=self.size,
            first_minute_us=self.first_minute_us,
            last_minute_us=self.last_minute_us,
            readings=self.readings,
        )


def due(waiting: Sequence[RawMinute], now_us: int, period_us: int, delay_us: int) -> list[RawMinute]:
    """Kept minutes, oldest first → those of the next object; empty: no period is over for long enough.

    An object holds minutes of one period, and no more than may be built in memory.

    >>> due([RawMinute(1, 0, 9, 0), RawMinute(2, 60, 9, 0)], 130, 60, 60)
    [RawMinute(number=1, minute_us=0, size=9, crc=0)]
    """
    if not waiting:
        return []
    period = waiting[0].minute_us // period_us
    if now_us < (period + 1) * period_us + delay_us:
        return []
    chosen: list[RawMinute] = []
    size = 0
    for minute in waiting:
        size += minute.size
        if minute.minute_us // period_us != period or (chosen and size > MAX_RAW_BYTES):
            break
        chosen.append(minute)
    return chosen


def own_delay_us(gateway_id: str, delay_us: int, spread_us: int) -> int:
    """How long after the end of a period this gateway builds: the same for each, another for others."""
    return delay_us + zlib.crc32(gateway_id.encode()) * spread_us // (1 << 32)


class HourlyObjects:
    """Builds, uploads and announces until it is told to stop."""

    def __init__(
        self,
        outbox: Outbox,
        store: ObjectStore,
        *,
        home_id: str,
        gateway_id: str,
        file: Path,
        config: ObjectsConfig,
        clock: Clock,
        arming: Callable[[], pb.Arming],
        committed: Callable[[pb.Lane], None],
        rng: random.Random,
    ) -> None:
        """
        Args:
            file: Where the object lies while it is uploaded.
            arming: → snapshot for the notice's header.
            committed: Told of lane bulk when a notice waits.
        """
        self._outbox, self._store = outbox, store
        self._home_id, self._gateway_id = home_id, gateway_id
        self._file, self._config, self._clock = file, config, clock
        self._arming, self._committed, self._rng = arming, committed, rng
        period_us = config.period_s * SECOND_US
        self._period_us = period_us
        self._delay_us = own_delay_us(gateway_id, config.delay_s * SECOND_US, config.spread_s * SECOND_US)
        self._progress: Progress | None = None
        self._resumed = False
        self._failures = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{gateway_id}-objects", daemon=True)
        self.uploaded = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stop it; a request under way is waited for, up to `timeout_s` real seconds."""
        self._stopping.set()
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Is the thread running?"""
        return self._thread.is_alive()

    def step(self) -> float:
        """Do the next thing → real seconds until there may be something to do again."""
        try:
            wait_s = self._advance()
        except (UploadFailed, SessionLost, OutboxUnavailable, OSError) as error:
            self._failures += 1
            wait_s = backoff_s(self._failures, _FIRST_BACKOFF_S, _MOST_BACKOFF_S, self._rng)
            level = logging.WARNING if self._failures == 1 else logging.DEBUG
            _log.log(level, "%s: hourly object: %s; again in %.0f s", self._gateway_id, error, wait_s)
        else:
            self._failures = 0
        return wait_s

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            wait_s = self.step()

    def _advance(self) -> float:
        if not self._resumed:
            self._progress = _read(self._outbox.note(NOTE))
            self._resumed = True
        if self._progress is None:
            minutes = due(self._outbox.kept.waiting(), self._clock.now_us(), self._period_us, self._delay_us)
            if not minutes:
                return min(_IDLE_S, real_s(self._clock, self._period_us / 8))
            self._build(minutes)
            return 0.0
        if not self._quiet():
            return _BUSY_S
        return self._upload(self._progress)

    def _quiet(self) -> bool:
        """Alarms, live minutes and backlog go before."""
        return not any(self._outbox.pending(lane) for lane in (pb.LANE_URGENT, pb.LANE_MINUTES))

    def _build(self, minutes: Sequence[RawMinute]) -> None:
        """Kept minutes → the object's file and the note of it."""
        readings, rows = [], []
        for minute in minutes:
            found = self._outbox.kept.read(minute.number)
            if found is None:
                self._outbox.kept.lose(minute.number)
                continue
            readings += found
            rows.append((minute.number, minute.crc))
        if not readings:
            return
        from schemas import bulk  # with numpy, which a gateway without hourly objects does without

        data = bulk.pack_object(readings, self._home_id, self._gateway_id)
        digest, times = bulk.sha256(data), [reading.minute_us for reading in readings]
        self._keep_file(data)
        self._note(
            Progress(
                object=bulk.object_name(self._home_id, self._gateway_id, min(times), digest),
                sha256=digest.hex(),
                md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
                size=len(data),
                first_minute_us=min(times),
                last_minute_us=max(times),
                readings=len(readings),
                rows=tuple(rows),
            )
        )

    def _upload(self, progress: Progress) -> float:
        """Send the next chunk, or announce what has arrived whole."""
        if not self._file_is(progress):
            _log.warning("%s: file of %s is gone or damaged: built again", self._gateway_id, progress.object)
            self._note(None)
            return 0.0
        if not progress.session:
            session = self._store.begin(progress.object, progress.size, bytes.fromhex(progress.md5))
            if session is None:
                self._announce(progress)
            else:
                self._note(progress._replace(session=session))
            return 0.0
        try:
            arrived = self._store.received(progress.session, progress.size)
            while arrived < progress.size:
                if self._stopping.is_set() or not self._quiet():
                    return _BUSY_S
                chunk = self._chunk(arrived)
                arrived = self._store.send(progress.session, chunk, arrived, progress.size)
                pause_s = len(chunk) / self._config.bytes_per_s * self._rng.uniform(0.75, 1.25)
                self._stopping.wait(pause_s)
        except SessionLost:
            self._note(progress._replace(session=""))
            raise
        self._announce(progress)
        return 0.0

    def _announce(self, progress: Progress) -> None:
        """It is there: a notice waits in the outbox from now on, and the next object may be built."""
        notice = Draft(pb.LANE_BULK, pb.Body(bulk=[progress.reference()]), packed=True)
        self._outbox.commit(
            Change(
                self._clock.now_us(),
                self._arming(),
                drafts=[notice],
                announced=list(progress.rows),
                notes={NOTE: b""},
            )
        )
        self._progress = None
        self.uploaded += 1
        self._file.unlink(missing_ok=True)
        self._committed(pb.LANE_BULK)

    def _note(self, progress: Progress | None) -> None:
        note = json.dumps(progress._asdict()).encode() if progress else b""
        self._outbox.commit(Change(self._clock.now_us(), self._arming(), notes={NOTE: note}))
        self._progress = progress

    def _keep_file(self, data: bytes) -> None:
        partial = self._file.with_name(f"{self._file.name}.part")
        with partial.open("wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(self._file)

    def _file_is(self, progress: Progress) -> bool:
        if not self._file.exists():
            return False
        with self._file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == progress.sha256

    def _chunk(self, first: int) -> bytes:
        with self._file.open("rb") as file:
            file.seek(first)
            return file.read(CHUNK_BYTES)


def _read(note: bytes | None) -> Progress | None:
    if not note:
        return None
    try:
        said = json.loads(note)
        return Progress(**{**said, "rows": tuple((number, crc) for number, crc in said["rows"])})
    except (ValueError, TypeError, KeyError) as error:  # of another version: the minutes are still there
        _log.warning("note of an hourly object not understood, it is built again: %s", error)
        return None
