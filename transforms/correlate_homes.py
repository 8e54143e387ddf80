"""Correlate: what the shards found of their silent homes → troubles, incidents, reports. One key."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp

from schemas.incidents import Supervision
from transforms.correlation import Correlator, Decided, correlate
from transforms.path_evidence import evidence_of_trouble
from transforms.read_roster import WithRoster
from transforms.rows import register_rows
from transforms.supervision import TICK_US
from transforms.supervision_codec import decode_correlator, encode_correlator, unpack_shard_news

NAMESPACE: Final = "SuperviseHomes"
FLEET: Final = "fleet"
REPORT_US: Final = 60_000_000
_MARSHAL: Final = 2


class IncidentChange(NamedTuple):
    """An incident after a change: schemas.incidents.Incident as JSON."""

    incident_id: str
    updated_us: int
    incident: str


class IncidentPart(NamedTuple):
    """Homes that joined an incident; the same part has the same homes however often it comes."""

    incident_id: str
    part: str
    home_ids: list[str]


class Report(NamedTuple):
    """schemas.incidents.Supervision as JSON."""

    as_of_us: int
    supervision: str


register_rows(IncidentChange, IncidentPart, Report)


class Correlate(WithRoster):
    """("fleet", news of a shard) → troubles, incidents, reports.

    News wait in a bag until the watermark passes their tick, so that what is decided does not depend on
    which shard was first. They are then taken tick by tick, however many a jump of the watermark covers.
    """

    NEWS = BagStateSpec("news", BytesCoder())
    STATE = ReadModifyWriteStateSpec("correlator", BytesCoder())
    DUE = TimerSpec("due", TimeDomain.WATERMARK)
    NEWS_PARAM = beam.DoFn.StateParam(NEWS)
    STATE_PARAM = beam.DoFn.StateParam(STATE)
    DUE_PARAM = beam.DoFn.TimerParam(DUE)

    def __init__(self, roster: str, shards: int, shared: Shared, clock_us: Callable[[], int]) -> None:
        super().__init__(roster, shards, shared)
        self._clock_us = clock_us
        self._alone = Metrics.counter(NAMESPACE, "troubles_out")
        self._incidents = Metrics.counter(NAMESPACE, "incident_changes")

    def process(self, element: tuple[str, bytes], news: Any = NEWS_PARAM, due: Any = DUE_PARAM) -> None:
        _, packed = element
        news.add(packed)
        due.set(Timestamp(micros=unpack_shard_news(packed)[0]))

    @on_timer(DUE)
    def decide(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        news: Any = NEWS_PARAM,
        state: Any = STATE_PARAM,
        due: Any = DUE_PARAM,
    ) -> Iterator[Any]:
        """All ticks up to the watermark."""
        now_us = timestamp.micros
        by_tick: dict[int, list[Any]] = {}
        counts: dict[int, tuple[int, ...]] = {}
        early = []
        for packed in news.read():
            tick_us, counted, found = unpack_shard_news(packed)
            if tick_us > now_us:
                early.append(packed)
                continue
            by_tick.setdefault(tick_us, []).extend(found)
            counts[counted[0]] = max(counts.get(counted[0], ()), (tick_us, *counted[1:]))
        news.clear()
        for packed in early:
            news.add(packed)
        stored = state.read()
        decided_us, reported_us, known, encoded = marshal.loads(stored) if stored else (now_us, 0, {}, b"")
        correlator = decode_correlator(encoded) if encoded else Correlator()
        for tick_us in _ticks(correlator, by_tick, decided_us, now_us):
            yield from self._tell(
                correlate(correlator, by_tick.get(tick_us, []), tick_us, self._file.content.sizes)
            )
        known.update(counts)
        if now_us - reported_us >= REPORT_US and len(known) == self._shards:
            reported_us = now_us
            yield TaggedOutput("reports", self._report(known, now_us))
        state.write(marshal.dumps((now_us, reported_us, known, encode_correlator(correlator)), _MARSHAL))
        if correlator.waiting:
            due.set(Timestamp(micros=now_us + TICK_US))

    def _tell(self, decided: Decided) -> Iterator[Any]:
        self._alone.inc(len(decided.troubles))
        self._incidents.inc(len(decided.incidents))
        for trouble in decided.troubles:
            yield evidence_of_trouble(trouble, self._clock_us())
        for part in decided.parts:
            yield TaggedOutput("parts", IncidentPart(*part))
        for incident in decided.incidents:
            document = incident.model_dump_json()
            yield TaggedOutput(
                "incidents", IncidentChange(incident.incident_id, incident.updated_us, document)
            )

    def _report(self, known: dict[int, tuple[int, ...]], now_us: int) -> Report:
        _, homes, silent, ages = zip(*known.values(), strict=True)
        supervision = Supervision(
            homes=sum(homes), silent=sum(silent), roster_us=now_us - max(ages) * 1_000_000, as_of_us=now_us
        )
        return Report(now_us, supervision.model_dump_json())


def _ticks(
    correlator: Correlator, by_tick: dict[int, list[Any]], decided_us: int, now_us: int
) -> Iterator[int]:
    """Every tick with news, and while homes wait every tick since the last that was decided."""
    pending = sorted(by_tick)
    tick_us = decided_us
    while True:
        if correlator.waiting:
            tick_us = min([tick_us + TICK_US, *pending[:1]])
        elif pending:
            tick_us = pending[0]
        else:
            return
        if tick_us > now_us:
            return
        pending = [t for t in pending if t > tick_us]
        yield tick_us
