"""WriteSupervision: path states, incidents and reports → documents, by the store that io chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas.incidents import HomePath, Incident, PathState, Supervision
from transforms.correlate_homes import NAMESPACE, IncidentChange, IncidentPart, Report
from transforms.evidence import RESTORE, Raised
from transforms.path_evidence import path_evidence
from transforms.raise_alarms import wall_clock_us
from transforms.supervise_homes import PathChange, Supervised
from transforms.supervision_store import SupervisionStore


@dataclass
class WriteSupervision(beam.PTransform):
    """Supervised → Raised: ends of troubles that an earlier life of the job left behind.

    Attributes:
        clock_us: The pipeline's clock, for `recorded_us`.
    """

    open_store: Callable[[], SupervisionStore]
    clock_us: Callable[[], int] = wall_clock_us

    def expand(self, supervised: Supervised):  # type: ignore[no-untyped-def]
        _ = supervised.incidents | "PutIncidents" >> beam.ParDo(_PutIncidents(self.open_store))
        _ = supervised.parts | "PutParts" >> beam.ParDo(_PutParts(self.open_store))
        _ = supervised.reports | "PutReports" >> beam.ParDo(_PutReports(self.open_store))
        return supervised.paths | "PutPaths" >> beam.ParDo(
            _PutPaths(self.open_store, self.clock_us)
        ).with_output_types(Raised)


class _WithStore(beam.DoFn):
    def __init__(self, open_store: Callable[[], SupervisionStore]) -> None:
        self._open_store = open_store

    def setup(self) -> None:
        self._store = self._open_store()

    def teardown(self) -> None:
        self._store.close()


class _PutPaths(_WithStore):
    """A bundle's last word on each home's path, written when it ends.

    A first word is compared with the document: if that says PATH_FAIL, an earlier life of the job told of
    a silence that this one knows nothing of, and its trouble is ended. One that says PATH_OK stays.
    """

    def __init__(self, open_store: Callable[[], SupervisionStore], clock_us: Callable[[], int]) -> None:
        super().__init__(open_store)
        self._clock_us = clock_us
        self._written = Metrics.counter(NAMESPACE, "paths_written")

    def start_bundle(self) -> None:
        self._newest: dict[str, PathChange] = {}

    def process(self, change: PathChange) -> None:
        known = self._newest.get(change.home_id)
        if known is None or known.told_us <= change.told_us:
            self._newest[change.home_id] = change

    def finish_bundle(self) -> Iterator[WindowedValue]:
        first = [home for home, change in self._newest.items() if change.first]
        known = self._store.paths(first) if first else {}
        settled = {home for home in first if home in known and known[home].path_state == PathState.PATH_OK}
        paths = {
            home: HomePath(path_state=PathState(change.state), path_since_us=change.since_us)
            for home, change in self._newest.items()
            if home not in settled
        }
        for home in known.keys() - settled:
            change = self._newest[home]
            ended = path_evidence(
                *(home, "", known[home].path_since_us, change.since_us, change.since_us, "Home heard again"),
                RESTORE,
                self._clock_us(),
            )
            yield WindowedValue(ended, Timestamp(micros=change.since_us), (GlobalWindow(),))
        if paths:
            self._store.put_paths(paths)
            self._written.inc(len(paths))


class _PutIncidents(_WithStore):
    """The last word of a bundle on each incident."""

    def start_bundle(self) -> None:
        self._newest: dict[str, IncidentChange] = {}

    def process(self, change: IncidentChange) -> None:
        known = self._newest.get(change.incident_id)
        if known is None or known.updated_us <= change.updated_us:
            self._newest[change.incident_id] = change

    def finish_bundle(self) -> None:
        for change in self._newest.values():
            self._store.put_incident(Incident.model_validate_json(change.incident))


class _PutParts(_WithStore):
    def process(self, part: IncidentPart) -> None:
        self._store.put_part(*part)


class _PutReports(_WithStore):
    def process(self, report: Report) -> None:
        self._store.put_report(Supervision.model_validate_json(report.supervision))
