"""Dead letters of the last day, counted by stage and reason. Payloads are not looked at."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import fastavro

from schemas.archive import DEAD_LETTER_SCHEMA, partition
from webapp.errors import NotFound
from webapp.folders import Folder

log = logging.getLogger(__name__)
HOUR_US: Final = 3_600_000_000
HOURS: Final = 24
MAX_OBJECTS: Final = 500  # of a day; the newest count, and the page says that there are more
_KEPT: Final = ("stage", "error_type", "publish_time")
# Without the payload: a reader's schema of fewer fields lets Avro skip it.
_SHORT: Final[dict[str, Any]] = {
    **DEAD_LETTER_SCHEMA,
    "fields": [field for field in DEAD_LETTER_SCHEMA["fields"] if field["name"] in _KEPT],
}


class Reason(NamedTuple):
    """What was rejected at one stage for one reason."""

    stage: str
    error_type: str
    day: int
    hour: int
    newest_us: int


class Rejected(NamedTuple):
    """`more`: there are older objects today that were not counted."""

    reasons: list[Reason]
    more: bool


class DeadLetters:
    """Reads each object once: objects never change."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._read: dict[str, list[tuple[str, str, int]]] = {}

    def rejected(self, now_us: int) -> Rejected:
        """Of the last 24 hours of arrival, most in the last hour first.

        Raises:
            Unreachable: Object storage does not answer.
        """
        hours = [partition(now_us - back * HOUR_US) for back in range(HOURS + 1)]
        names = [name for hour in hours for name in reversed(self._folder.names(f"{hour}/"))]
        wanted = names[:MAX_OBJECTS]
        self._read = {name: self._read.get(name) or list(self._rows(name)) for name in wanted}
        rows = [row for found in self._read.values() for row in found if row[2] > now_us - HOURS * HOUR_US]
        return Rejected(count(rows, now_us), len(names) > len(wanted))

    def _rows(self, name: str) -> Iterator[tuple[str, str, int]]:
        try:
            data = self._folder.read(name)
        except NotFound:
            return
        try:
            for row in cast("Iterator[dict[str, Any]]", fastavro.reader(io.BytesIO(data), _SHORT)):
                yield row["stage"], row["error_type"], _us(row["publish_time"])
        except (ValueError, EOFError, fastavro.read.SchemaResolutionError) as error:
            log.warning("unreadable dead letters %s: %s", name, type(error).__name__)


def count(rows: list[tuple[str, str, int]], now_us: int) -> list[Reason]:
    """(stage, error, publish time) of letters → counts.

    >>> count([("body", "BadInput", 5), ("body", "BadInput", 7)], 8)
    [Reason(stage='body', error_type='BadInput', day=2, hour=2, newest_us=7)]
    """
    times: dict[tuple[str, str], list[int]] = {}
    for stage, error_type, publish_us in rows:
        times.setdefault((stage, error_type), []).append(publish_us)
    found = [
        Reason(*key, len(all_us), sum(us > now_us - HOUR_US for us in all_us), max(all_us))
        for key, all_us in times.items()
    ]
    return sorted(found, key=lambda r: (-r.hour, -r.day, r.stage, r.error_type))


def _us(publish_time: Any) -> int:
    return int(publish_time.timestamp() * 1_000_000)
