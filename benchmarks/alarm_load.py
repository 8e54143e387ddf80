"""A storm of alarms at the database: openings, changes and endings, at a pace, each remembered exactly."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from schemas.alarms import ALARMS, Alarm, alarm_id
from schemas.events import MEANINGS, Code

CODES: Final = (Code.SMOKE, Code.PERIMETER, Code.AC_LOSS, Code.RF_BATTERY, Code.CARBON_MONOXIDE)
CLOSE_SHARE: Final = 0.1  # of the writes; each is followed by an opening in its place
LEAST_AGE_S: Final = 5.0  # an alarm stays open so long at least
WRITERS: Final = 8
_TIMEOUT_S: Final = 3.0
_AGAIN_S: Final = 0.2


class Write(NamedTuple):
    """One write that the database confirmed.

    Attributes:
        what: "opened", "changed" or "closed". updated_us: the alarm's, which rises with every write.
        committed_us: By the database's clock, which is this machine's.
    """

    what: str
    alarm_id: str
    updated_us: int
    committed_us: int


class AlarmLoad:
    """Keeps `count` alarms open in a database.

    Attributes:
        writes: Confirmed so far. refused: tries that failed and were repeated.
    """

    def __init__(self, client: firestore.Client, count: int, seed: int) -> None:
        self._alarms = client.collection(ALARMS)
        self._rng, self._lock = random.Random(seed), threading.Lock()
        self._numbers = itertools.count()
        self._slots: list[tuple[str, float]] = [("", 0.0)] * count  # alarm id, opened at (monotonic)
        self._busy = [threading.Lock() for _ in range(count)]
        self.writes: list[Write] = []
        self.refused = 0

    def fill(self) -> None:
        """Open all."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._open, range(len(self._slots))))

    def run(self, rate: float, seconds: float, stopped: Callable[[], bool] = lambda: False) -> float:
        """Write at this rate (0: as fast as it goes) → writes a second that were reached."""
        began, turns = time.monotonic(), itertools.count()
        before = len(self.writes)

        def write_on() -> None:
            while not stopped():
                due = began + next(turns) / rate if rate else time.monotonic()
                if max(due, time.monotonic()) - began >= seconds:
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                self._write_one()

        threads = [threading.Thread(target=write_on) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (len(self.writes) - before) / (time.monotonic() - began)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No write is under way, and none begins."""
        with ExitStack() as stack:
            for lock in self._busy:
                stack.enter_context(lock)
            yield

    def truth(self) -> dict[str, int]:
        """Open alarms → `updated_us`, as the database has them."""
        query = self._alarms.where(filter=FieldFilter("state", "==", "new"))
        found = (s.to_dict() or {} for s in query.stream(timeout=30))
        return {alarm["alarm_id"]: alarm["updated_us"] for alarm in found}

    def _write_one(self) -> None:
        with self._lock:
            slot, closes = self._rng.randrange(len(self._slots)), self._rng.random() < CLOSE_SHARE
        with self._busy[slot]:
            key, opened_s = self._slots[slot]
            if not key:
                self._open(slot)
            elif closes and time.monotonic() - opened_s > LEAST_AGE_S:
                self._put("closed", key, {"state": "closed", "closed_us": _now_us()})
                self._slots[slot] = "", 0.0
            else:
                self._put("changed", key, {"evidence_count": next(self._numbers) + 2})

    def _open(self, slot: int) -> None:
        number = next(self._numbers)
        means = MEANINGS[CODES[number % len(CODES)]]
        assert means.kind is not None
        home, now_us = f"home-{slot:05d}", _now_us()
        alarm = Alarm(
            alarm_id=alarm_id(home, means.kind, f"{home}-{number}-{now_us}"),
            home_id=home,
            kind=means.kind,
            category=means.category,
            code=int(CODES[number % len(CODES)]),
            title=means.title,
            headline=f"{means.title}, number {number}.",
            room="kitchen",
            avs_level=means.avs_level,
            avs_reasons=["sound kitchen: smoke_alarm 0.97 (sound-1)", "motion hall: person 0.71 (motion-1)"],
            occurred_us=now_us,
            opened_us=now_us,
            updated_us=now_us,
            presented_us=now_us,  # the pages' own stamps are not what is measured
        )
        self._put("opened", alarm.alarm_id, alarm.document())
        self._slots[slot] = alarm.alarm_id, time.monotonic()

    def _put(self, what: str, key: str, fields: dict[str, Any]) -> None:
        reference = self._alarms.document(key)
        while True:
            updated_us = _now_us()
            document = {**fields, "updated_us": updated_us}
            try:
                result: Any = (reference.set if what == "opened" else reference.update)(
                    document, retry=None, timeout=_TIMEOUT_S
                )
                break
            except (GoogleAPICallError, RetryError):
                self.refused += 1
                time.sleep(_AGAIN_S)
        committed_us = int(result.update_time.timestamp() * 1e6)
        self.writes.append(Write(what, key, updated_us, committed_us))


def _now_us() -> int:
    return time.time_ns() // 1000
