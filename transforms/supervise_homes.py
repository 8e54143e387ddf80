"""SuperviseHomes: batch summaries and mains events → path states, troubles, incidents.

Keyed state in Python costs per visit, so a shard of homes is one key and is visited once in a tick of
ten seconds of publish time, however many batches came: they are grouped by event-time windows in the
runner. A window closes when the watermark passes it: everything published before has been seen, whatever
the wall clock says, and a paused pipeline is late, never wrong. There is no timer a home and none a
shard: `PackHeard` tells every shard of each tick in which anybody was heard, and only such a tick judges.

One more key correlates what the shards found; it sees nothing while all is well but a count a minute.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import FixedWindows, GlobalWindow, GlobalWindows
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas import hearthwatch_v1_pb2 as pb
from schemas.events import Code
from schemas.incidents import PathState
from transforms.correlate_homes import (
    FLEET,
    NAMESPACE,
    REPORT_US,
    Correlate,
    IncidentChange,
    IncidentPart,
    Report,
)
from transforms.elements import AcceptedEvent, BatchSummary
from transforms.evidence import RESTORE, Raised
from transforms.home_packs import shard_of
from transforms.raise_alarms import wall_clock_us
from transforms.read_roster import WithRoster
from transforms.rows import register_rows
from transforms.supervision import TICK_US, Beat, Judged, Lost, Mains, Returned, Shard, judge, tick_end
from transforms.supervision_codec import (
    decode_shard,
    encode_shard,
    pack_heard,
    pack_shard_news,
    unpack_heard,
)

SHARDS: Final = 16
LATENESS_S: Final = 3_600  # a redelivery behind the watermark still counts as life
_MARSHAL: Final = 2
_NOBODY: Final = ""  # whose batch proves the pipeline and no home: the path prover's


class PathChange(NamedTuple):
    """A home's path as it must now stand: fields of schemas.incidents.HomePath.

    Attributes:
        told_us: Event time that decided it.
        first: First word from this home in this state's life. What the document says may come from an
            earlier life, and its trouble with it.
    """

    home_id: str
    state: str
    since_us: int
    told_us: int
    first: bool


register_rows(PathChange)


class Supervised(NamedTuple):
    """Outputs of SuperviseHomes.

    Attributes:
        troubles: Evidence of homes that are silent alone, and its end, for RaiseAlarms.
    """

    paths: PCollection[PathChange]
    troubles: PCollection[Raised]
    incidents: PCollection[IncidentChange]
    parts: PCollection[IncidentPart]
    reports: PCollection[Report]


@dataclass
class SuperviseHomes(beam.PTransform):
    """(summaries, events) → `Supervised`. For streams only: recorded silence pages nobody.

    Attributes:
        roster: Path of the roster (schemas.roster), local or gs://; read again when it changes.
        shards: Keys that share the homes. State lies under them: a change forgets who was heard.
        clock_us: The pipeline's clock, for `recorded_us`.
    """

    roster: str
    shards: int = SHARDS
    clock_us: Callable[[], int] = wall_clock_us

    def expand(self, inputs):  # type: ignore[no-untyped-def]
        summaries, events = inputs
        keyed = tuple[str, bytes]
        shared = Shared()
        judged = (
            (
                summaries | "HearBatches" >> beam.Map(_of_summary).with_output_types(keyed),
                events | "HearMains" >> beam.FlatMap(_of_event).with_output_types(keyed),
            )
            | "JoinHeard" >> beam.Flatten()
            | "PackHeard" >> beam.ParDo(_PackHeard(self.shards)).with_output_types(tuple[int, bytes])
            | "CutTicks"
            >> beam.WindowInto(
                FixedWindows(TICK_US / 1e6),
                trigger=AfterWatermark(late=AfterCount(1)),
                accumulation_mode=AccumulationMode.DISCARDING,
                allowed_lateness=LATENESS_S,
            )
            | "GroupTicks" >> beam.GroupByKey()
            | "CloseTick" >> beam.Map(_close_tick).with_output_types(tuple[int, bytes])
            | "OneLife" >> beam.WindowInto(GlobalWindows())
            | "JudgeShard"
            >> beam.ParDo(_JudgeShard(self.roster, self.shards, shared))
            .with_output_types(keyed, paths=PathChange)
            .with_outputs("paths", main="news")
        )
        decided = judged.news | "Correlate" >> (
            beam.ParDo(Correlate(self.roster, self.shards, shared, self.clock_us))
            .with_output_types(Raised, incidents=IncidentChange, parts=IncidentPart, reports=Report)
            .with_outputs("incidents", "parts", "reports", main="troubles")
        )
        return Supervised(judged.paths, decided.troubles, decided.incidents, decided.parts, decided.reports)


def _of_summary(summary: BatchSummary) -> tuple[str, bytes]:
    beat = Beat(
        summary.home_id,
        summary.publish_us,
        summary.epoch,
        summary.seq,
        min(summary.created_us, summary.publish_us),
        summary.clock_suspect,
        summary.previous_epoch,
    )
    return _NOBODY if summary.synthetic else summary.home_id, pack_heard([beat])


def _of_event(event: AcceptedEvent) -> Iterator[tuple[str, bytes]]:
    """AC loss (301) and its restore, of verified senders."""
    if event.synthetic or not event.verified:
        return
    said = pb.Event.FromString(event.event)
    if said.code == Code.AC_LOSS:
        occurred_us = event.publish_us if event.clock_suspect else said.occurred_us
        lost = int(said.qualifier) != RESTORE
        yield event.home_id, pack_heard([Mains(event.home_id, event.publish_us, occurred_us, lost)])


class _PackHeard(beam.DoFn):
    """(home, record) → (shard, records of a bundle and tick); every shard learns of every tick."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._told_us = 0

    def start_bundle(self) -> None:
        self._heard: dict[tuple[int, int], list[bytes]] = {}
        self._newest: dict[int, Timestamp] = {}

    def process(self, element: tuple[str, bytes], timestamp: Any = beam.DoFn.TimestampParam) -> None:
        home_id, record = element
        tick_us = tick_end(timestamp.micros)
        self._newest[tick_us] = max(timestamp, self._newest.get(tick_us, MIN_TIMESTAMP))
        if home_id != _NOBODY:
            self._heard.setdefault((tick_us, shard_of(home_id, self._shards)), []).append(record)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for tick_us in sorted(self._newest):
            for shard in range(self._shards):
                records = self._heard.get((tick_us, shard), [])
                if records or tick_us > self._told_us:
                    packed = marshal.dumps(records, _MARSHAL)
                    yield WindowedValue((shard, packed), self._newest[tick_us], (GlobalWindow(),))
            self._told_us = max(self._told_us, tick_us)


def _close_tick(
    element: tuple[int, Iterable[bytes]], window: Any = beam.DoFn.WindowParam
) -> tuple[int, bytes]:
    """(shard, packs of a window) → (shard, the window's end and its records)."""
    shard, packs = element
    records = [record for packed in packs for record in marshal.loads(packed)]
    return shard, marshal.dumps((window.end.micros, records), _MARSHAL)


class _JudgeShard(WithRoster):
    """(shard, tick) → news for the correlator, changes of paths."""

    SHARD = ReadModifyWriteStateSpec("shard", BytesCoder())
    SHARD_PARAM = beam.DoFn.StateParam(SHARD)

    def __init__(self, roster: str, shards: int, shared: Shared) -> None:
        super().__init__(roster, shards, shared)
        self._lost = Metrics.counter(NAMESPACE, "homes_lost")
        self._returned = Metrics.counter(NAMESPACE, "homes_returned")
        self._state_bytes = Metrics.distribution(NAMESPACE, "shard_bytes")
        self._roster_age = Metrics.gauge(NAMESPACE, "roster_age_s")

    def process(self, element: tuple[int, bytes], state: Any = SHARD_PARAM) -> Iterator[Any]:
        number, packed = element
        tick_us, records = marshal.loads(packed)
        stored = state.read()
        shard = decode_shard(stored) if stored else Shard()
        reported_us = shard.alive_us
        heard = [unpack_heard(record) for record in records]
        judged = judge(
            shard,
            [beat for beats, _ in heard for beat in beats],
            [mains for _, powers in heard for mains in powers],
            tick_us,
            self._file.content.members(number),
        )
        encoded = encode_shard(shard)
        state.write(encoded)
        self._state_bytes.update(len(encoded))
        self._lost.inc(len(judged.lost))
        self._returned.inc(len(judged.returned))
        self._roster_age.set(int(self._file.age_s))
        for change in path_changes(judged, tick_us):
            yield TaggedOutput("paths", change)
        news: list[Lost | Returned] = [*judged.returned, *judged.lost]
        if news or reported_us // REPORT_US != shard.alive_us // REPORT_US:
            homes = sum(1 for _ in self._file.content.members(number))
            silent = sum(1 for held in shard.homes.values() if held.lost_us)
            counted = (number, homes, silent, int(self._file.age_s))
            yield FLEET, pack_shard_news(tick_us, counted, news)


def path_changes(judged: Judged, tick_us: int) -> list[PathChange]:
    """What a tick found → the homes' documents as they must stand, one a home."""
    first = dict(judged.first)
    changes = {
        home: PathChange(home, PathState.PATH_OK, heard_us, tick_us, True) for home, heard_us in first.items()
    }
    for back in judged.returned:
        state = PathChange(back.home_id, PathState.PATH_OK, back.returned_us, tick_us, back.home_id in first)
        changes[back.home_id] = state
    for lost in judged.lost:
        home_id = lost.member.home_id
        changes[home_id] = PathChange(home_id, PathState.PATH_FAIL, lost.silent_us, tick_us, False)
    return list(changes.values())
