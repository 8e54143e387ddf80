"""ReportLosses: holes in sequences → what operators are told of them, once they have stood for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from schemas.incidents import HomeLosses
from transforms.advance_home import HoleReport
from transforms.evidence import Raised
from transforms.losses import LossChange, Losses, decode, document, encode, evidence_of_loss, take, tell
from transforms.raise_alarms import wall_clock_us
from transforms.rows import register_rows
from transforms.supervision_store import SupervisionStore

NAMESPACE: Final = "ReportLosses"
register_rows(LossChange)


class LossDocument(NamedTuple):
    """A home's document: schemas.incidents.HomeLosses as JSON."""

    home_id: str
    losses: str


register_rows(LossDocument)


class Reported(NamedTuple):
    """Outputs of ReportLosses: rows for the warehouse, evidence of what is unexplained."""

    changes: PCollection[LossChange]
    troubles: PCollection[Raised]


@dataclass
class ReportLosses(beam.PTransform):
    """HoleReport → `Reported`; writes losses/{home}.

    One state value a home, only while it has a hole.

    Attributes:
        clock_us: The pipeline's clock, for `recorded_us`.
    """

    open_store: Callable[[], SupervisionStore]
    clock_us: Callable[[], int] = wall_clock_us

    def expand(self, reports):  # type: ignore[no-untyped-def]
        told = (
            reports
            | "KeyByHome" >> beam.Map(_by_home).with_output_types(tuple[str, HoleReport])
            | "AwaitFilling"
            >> beam.ParDo(_AwaitFilling())
            .with_output_types(LossChange, documents=LossDocument)
            .with_outputs("documents", main="changes")
        )
        _ = told.documents | "PutLosses" >> beam.ParDo(_PutLosses(self.open_store))
        troubles = told.changes | "EvidenceOfLosses" >> beam.ParDo(
            _EvidenceOfLosses(self.clock_us)
        ).with_output_types(Raised)
        return Reported(told.changes, troubles)


def _by_home(report: HoleReport) -> tuple[str, HoleReport]:
    return report.home_id, report


class _AwaitFilling(beam.DoFn):
    LOSSES = ReadModifyWriteStateSpec("losses", BytesCoder())
    DUE = TimerSpec("due", TimeDomain.WATERMARK)
    LOSSES_PARAM = beam.DoFn.StateParam(LOSSES)
    DUE_PARAM = beam.DoFn.TimerParam(DUE)

    def __init__(self) -> None:
        self._told = Metrics.counter(NAMESPACE, "losses_told")
        self._filled = Metrics.counter(NAMESPACE, "losses_filled")

    def process(
        self, element: tuple[str, HoleReport], losses: Any = LOSSES_PARAM, due: Any = DUE_PARAM
    ) -> Iterator[Any]:
        home_id, report = element
        stored = losses.read()
        state = decode(stored) if stored else Losses()
        take(state, report)
        yield from self._settle(home_id, state, report.publish_us, losses, due)

    @on_timer(DUE)
    def tell_what_stands(
        self,
        key: Any = beam.DoFn.KeyParam,
        timestamp: Any = beam.DoFn.TimestampParam,
        losses: Any = LOSSES_PARAM,
        due: Any = DUE_PARAM,
    ) -> Iterator[Any]:
        """Holes that nothing filled in time."""
        stored = losses.read()
        if stored:
            yield from self._settle(key, decode(stored), timestamp.micros, losses, due)

    def _settle(self, home_id: str, state: Losses, now_us: int, losses: Any, due: Any) -> Iterator[Any]:
        changes = tell(state, home_id, now_us)
        for change in changes:
            (self._told if change.state == "open" else self._filled).inc()
            yield change
        if changes:
            told = document(state, home_id, now_us).model_dump_json()
            yield TaggedOutput("documents", LossDocument(home_id, told))
        if state.holes:
            losses.write(encode(state))
        else:
            losses.clear()
        if state.due_us is not None:
            due.set(Timestamp(micros=state.due_us))


class _PutLosses(beam.DoFn):
    def __init__(self, open_store: Callable[[], SupervisionStore]) -> None:
        self._open_store = open_store

    def setup(self) -> None:
        self._store = self._open_store()

    def process(self, told: LossDocument) -> None:
        self._store.put_losses(HomeLosses.model_validate_json(told.losses))

    def teardown(self) -> None:
        self._store.close()


class _EvidenceOfLosses(beam.DoFn):
    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._unexplained = Metrics.counter(NAMESPACE, "losses_unexplained")

    def process(self, change: LossChange) -> Iterator[Raised]:
        found = evidence_of_loss(change, self._clock_us())
        if found is not None:
            self._unexplained.inc(change.state == "open")
            yield found
