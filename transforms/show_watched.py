"""ShowWatched: Score → a home's live document, while somebody looks at the home in the owner's app.

A status write a minute would cost $39k a month at 10⁶ homes; few homes are looked at at once. Which are is
asked for every few seconds, and only what was renewed since: an idle worker pays one read each time. The
picture is a convenience: what fails here is counted, and stops neither a bundle nor an alarm. A database
that hangs costs a thread of a worker one call's time a minute: after it nobody counts as watched until
then.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.field_path import FieldPath

from schemas.homes import HOMES
from schemas.live_features import SUMMARY_NAMES
from schemas.owners import LIVE, LIVE_DOCUMENT, WATCHED_US, WATCHING, LiveSensor, LiveSensors
from schemas.queries import ONCE
from transforms.elements import Score
from transforms.firestore_effects import firestore_client

REFRESH_S: Final = 3.0
TIMEOUT_S: Final = 3.0
PAUSE_S: Final = 60.0  # after a call that failed
OVERLAP: Final = dt.timedelta(seconds=10)  # commits do not become visible in the order of their times
OLD_US: Final = 10 * 60 * 1_000_000  # an hourly object's minutes are history
_SILENT: Final = (GoogleAPICallError, RetryError)
log = logging.getLogger(__name__)


class LiveStore(Protocol):
    """Who is watched, and where their sensors are shown.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: The store could not be reached.
    """

    def watched(self, now_us: int) -> frozenset[str]: ...

    def put(self, homes: Mapping[str, Mapping[str, LiveSensor]]) -> None: ...

    def close(self) -> None: ...


class FirestoreLive:
    """`LiveStore` in Firestore."""

    def __init__(self, client: firestore.Client) -> None:
        self._client = client
        self._renewed: dict[str, dt.datetime] = {}
        self._newest = dt.datetime.fromtimestamp(0, dt.UTC)

    def watched(self, now_us: int) -> frozenset[str]:
        since = dt.datetime.fromtimestamp((now_us - WATCHED_US) / 1e6, dt.UTC)
        asked_from = max(since, self._newest - OVERLAP)
        query = self._client.collection(WATCHING).where(filter=FieldFilter("renewed_at", ">", asked_from))
        for snapshot in query.stream(timeout=TIMEOUT_S, retry=ONCE):
            renewed = (snapshot.to_dict() or {})["renewed_at"]
            self._renewed[snapshot.id] = renewed
            self._newest = max(self._newest, renewed)
        self._renewed = {home: at for home, at in self._renewed.items() if at > since}
        return frozenset(self._renewed)

    def put(self, homes: Mapping[str, Mapping[str, LiveSensor]]) -> None:
        """One call for all: each sensor's entry is replaced whole, the others stay."""
        batch = self._client.batch()
        for home_id, sensors in homes.items():
            live = LiveSensors(home_id=home_id, sensors=dict(sensors)).document()
            entries = [FieldPath("sensors", name).to_api_repr() for name in sensors]
            named = [name for name in live if name != "sensors"]
            home = self._client.collection(HOMES).document(home_id)
            document = home.collection(LIVE).document(LIVE_DOCUMENT)
            batch.set(document, live, merge=[*named, *entries])
        batch.commit(timeout=TIMEOUT_S, retry=None)

    def close(self) -> None:
        self._client.close()


def firestore_live(project: str) -> FirestoreLive:
    """Project → store."""
    return FirestoreLive(firestore_client(project))


def live_sensor(score: Score) -> LiveSensor:
    """What an owner sees of a reading; quantities that were not measured are left out."""
    names = SUMMARY_NAMES.get(score.family, ())
    measured = zip(names, score.quantities, strict=False)
    return LiveSensor(
        kind=score.family,
        room=score.room,
        minute_us=score.minute_us,
        heard_us=score.publish_us,
        label=score.label,
        quantities={name: round(value, 3) for name, value in measured if math.isfinite(value)},
    )


class ShowWatched(beam.PTransform):
    """PCollection[Score] → nothing but documents of watched homes."""

    def __init__(self, open_live: Callable[[], LiveStore]) -> None:
        super().__init__()
        self._open_live = open_live

    def expand(self, scores: Any) -> Any:
        return scores | "PutLive" >> beam.ParDo(_PutLive(self._open_live))


class _PutLive(beam.DoFn):
    """A bundle's newest minute of each sensor of its watched homes, in one call."""

    def __init__(self, open_live: Callable[[], LiveStore], clock_s: Callable[[], float] = time.time) -> None:
        self._open_live = open_live
        self._clock_s = clock_s
        self._shown = Metrics.counter("ShowWatched", "homes_shown")
        self._failed = Metrics.counter("ShowWatched", "calls_failed")

    def setup(self) -> None:
        self._store = self._open_live()
        self._watched: frozenset[str] = frozenset()
        self._ask_at_s = -math.inf

    def teardown(self) -> None:
        self._store.close()

    def start_bundle(self) -> None:
        self._newest: dict[str, dict[str, LiveSensor]] = {}
        now_s = self._clock_s()
        if now_s < self._ask_at_s:
            return
        self._ask_at_s = now_s + REFRESH_S
        try:
            self._watched = self._store.watched(int(now_s * 1e6))
        except _SILENT as error:
            self._fail(error)

    def process(self, score: Score) -> None:
        if score.home_id not in self._watched or score.publish_us - score.minute_us > OLD_US:
            return
        sensors = self._newest.setdefault(score.home_id, {})
        known = sensors.get(score.sensor_id)
        if known is None or known.minute_us <= score.minute_us:
            sensors[score.sensor_id] = live_sensor(score)

    def finish_bundle(self) -> None:
        if not self._newest:
            return
        try:
            self._store.put(self._newest)
            self._shown.inc(len(self._newest))
        except _SILENT as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failed.inc()
        self._watched = frozenset()
        self._ask_at_s = self._clock_s() + PAUSE_S
        log.warning("live picture: %s, not asked again for %.0f s", type(error).__name__, PAUSE_S)
