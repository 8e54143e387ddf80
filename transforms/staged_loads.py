"""StagedLoads: staged objects → load jobs, by a thread of the worker, until each is loaded.

A bundle only stages its rows: a load takes seconds, and minutes of BigQuery's absence must neither hold
the bundle (behind it wait the bundles that raise alarms) nor lose rows. What could not be loaded, or
was staged by a worker that died, is found by listing the staging folder: at the start and once a
minute, oldest first, as long as the service answers. Job ids come from the object's name, so that two
workers that find the same object load it once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from typing import ClassVar, Final, NamedTuple

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems
from google.api_core.exceptions import Forbidden, GoogleAPIError, RetryError, ServerError, TooManyRequests
from google.cloud import bigquery

from schemas.warehouse import TABLES, Table
from transforms.warehouse_loads import CALL_RETRY, CALL_TIMEOUT_S, LoadRefused, LoadTarget, load

_LOG = logging.getLogger(__name__)

SWEEP_EVERY_S: Final = 60.0
# Younger ones are being loaded by whoever staged them.
LEFT_AFTER_S: Final = 120.0
MAX_A_SWEEP: Final = 100
# OSError: no connection, or no answer in time.
_AWAY: Final = (OSError, ServerError, RetryError, TooManyRequests)


class Counts(NamedTuple):
    """What the thread did since it was last asked: load jobs that were done, and tries that failed."""

    loads: int = 0
    failed: int = 0
    msec: tuple[int, ...] = ()


class StagedLoads:
    """Loads objects one after the other. `start` it, or call `sweep` and `load_waiting` oneself."""

    _instances: ClassVar[dict[LoadTarget, StagedLoads]] = {}
    _guard = threading.Lock()

    @classmethod
    def of(cls, target: LoadTarget) -> StagedLoads:
        """The one of this process and target."""
        with cls._guard:
            if target not in cls._instances:
                cls._instances[target] = cls(target)
                cls._instances[target].start()
            return cls._instances[target]

    def __init__(self, target: LoadTarget) -> None:
        self._target = target
        self._waiting: queue.Queue[tuple[Table, str]] = queue.Queue()
        self._client: bigquery.Client | None = None
        self._lock = threading.Lock()
        self._counts = Counts()
        self._answers = True

    def start(self) -> None:
        """Start the thread; it lives as long as the process."""
        threading.Thread(target=self._load_forever, daemon=True, name="StagedLoads").start()

    def add(self, table: Table, name: str) -> None:
        """Load this object soon."""
        self._waiting.put((table, name))

    def wait(self, limit_s: float) -> None:
        """Wait until what was added was tried; not while the service is away."""
        ends = time.monotonic() + limit_s
        while self._answers and self._waiting.unfinished_tasks and time.monotonic() < ends:
            time.sleep(0.01)

    def take_counts(self) -> Counts:
        """What happened since the last call."""
        with self._lock:
            counts, self._counts = self._counts, Counts()
            return counts

    def sweep(self, now: float) -> int:
        """Load objects that were left behind before `now` (s since 1970) → how many were loaded."""
        loaded = 0
        for table in TABLES.values():
            for found in self._left(table, now):
                loaded += self._load(table, found.path)
                if not self._answers:
                    return loaded
        return loaded

    def load_waiting(self, limit_s: float) -> None:
        """Load what was added, and wait so long for something to be."""
        with contextlib.suppress(queue.Empty):
            while True:
                table, name = self._waiting.get(timeout=limit_s)
                self._load(table, name)
                self._waiting.task_done()
                limit_s = 0.0

    def _left(self, table: Table, now: float) -> list[FileMetadata]:
        try:
            (match,) = FileSystems.match([f"{self._target.staging}/{table.name}/*.jsonl"])
        except (BeamIOError, GoogleAPIError, OSError) as error:
            _LOG.warning("%s could not be listed: %s", self._target.staging, error)
            return []
        left = [found for found in match.metadata_list if found.last_updated_in_seconds < now - LEFT_AFTER_S]
        return sorted(left, key=lambda found: found.last_updated_in_seconds)[:MAX_A_SWEEP]

    def _load(self, table: Table, name: str) -> bool:
        began = time.monotonic()
        try:
            load(self._opened(), self._target.dataset, table, [name])
            FileSystems.delete([name])
        except (BeamIOError, GoogleAPIError, OSError, LoadRefused) as error:
            # Rows are not alarms: the object stays where it is, and the pipeline goes on.
            _LOG.error("%s is not known to be loaded and stays: %s", name, error)
            self._answers = not isinstance(error, _AWAY)
            self._count(failed=1)
            return False
        self._answers = True
        self._count(loads=1, msec=(int((time.monotonic() - began) * 1_000),))
        return True

    def _opened(self) -> bigquery.Client:
        """The client, with its dataset made."""
        if self._client is None:
            client = self._target.make_client(self._target.project)
            # Refused also without the right to make one, where it exists already: loading will show.
            with contextlib.suppress(Forbidden):
                client.create_dataset(
                    self._target.dataset, exists_ok=True, retry=CALL_RETRY, timeout=CALL_TIMEOUT_S
                )
            self._client = client
        return self._client

    def _count(self, loads: int = 0, failed: int = 0, msec: tuple[int, ...] = ()) -> None:
        with self._lock:
            had = self._counts
            self._counts = Counts(had.loads + loads, had.failed + failed, had.msec + msec)

    def _load_forever(self) -> None:
        swept = -SWEEP_EVERY_S
        while True:
            if time.monotonic() - swept >= SWEEP_EVERY_S:
                self.sweep(time.time())
                swept = time.monotonic()
            self.load_waiting(limit_s=1.0)
