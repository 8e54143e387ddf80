"""TrackHomes: Score and BatchSummary → windows to fuse, status changes, holes, late scores.

Homes are kept by shard: a bundle's records of a shard cross as one element, and its state is visited
once a bundle, because keyed state in Python costs per visit (docs/decisions/015-packed-state.md).
Everything is evaluated on arrival; no watermark is waited for. The window of the last sending of each
(home, window end) equals Beam's `SlidingWindows(300, 60)` over the scores that were not late
(tests/transforms/test_track_homes.py).

What a silent home no longer needs is cleared in two steps: a day after the last batch the scores go,
thirty days after it all. One timer a shard looks for such homes.

Every step works in the global window: `PackShards` emits into it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.advance_home import Advanced, HoleReport, StatusChange
from transforms.elements import BatchSummary, Score
from transforms.home_packs import pack, score_record, shard_of, summary_record
from transforms.home_shards import Change, Fence, Shard, ShardMemory
from transforms.score_homes import HomeWindow

LATE: Final = "late"
STATUSES: Final = "statuses"
HOLES: Final = "holes"
# Fixed for the life of a job: it bounds the workers that can share this step, and state kept under
# another number is refused. A bundle's homes should outnumber it, else packing gains little.
SHARDS: Final = 32
_SWEEP_US: Final = 3_600_000_000  # a shard is searched for silent homes at most this often
_MEMORY: Final = ShardMemory()


class Tracked(NamedTuple):
    """Outputs of TrackHomes.

    Attributes:
        windows: Contents of each window that changed, for ScoreHomes.
        statuses: Only what a person would see change.
        holes: Changes in what the ledger misses.
        late: Scores of a minute that is more than ten minutes old (or that runs ahead of arrival):
            they refine history and raise nothing.
    """

    windows: PCollection[HomeWindow]
    statuses: PCollection[StatusChange]
    holes: PCollection[HoleReport]
    late: PCollection[Score]


class TrackHomes(beam.PTransform):
    """(scores, summaries) → `Tracked`.

    Whether the input is bounded decides how a minute is judged late: a stream judges it by the
    newest arrival of its home, bounded input (whose order means nothing) by its own arrival.

    Attributes:
        report_holes: False in a job that reads one lane only: the other lane's numbers would look lost.
        shards: Of homes; state that was kept in another number of shards is refused.
    """

    def __init__(self, *, report_holes: bool = True, shards: int = SHARDS) -> None:
        super().__init__()
        if not 1 <= shards < 1 << 32:
            raise ValueError(f"shards is {shards}, limits 1 to {(1 << 32) - 1}")
        self.report_holes = report_holes
        self.shards = shards

    def expand(self, inputs):  # type: ignore[no-untyped-def]
        scores, summaries = inputs
        recorded = tuple[str, bytes]
        packed = (
            (
                scores | "EncodeScores" >> beam.Map(_encode_score).with_output_types(recorded),
                summaries | "EncodeSummaries" >> beam.FlatMap(_encode_summary).with_output_types(recorded),
            )
            | "JoinRecords" >> beam.Flatten()
            | "PackShards" >> beam.ParDo(_PackShards(self.shards)).with_output_types(tuple[int, bytes])
        )
        track = _TrackShard(self.shards, keep_all=scores.is_bounded, report_holes=self.report_holes)
        tracked = packed | "TrackShard" >> (
            beam.ParDo(track)
            .with_output_types(HomeWindow, statuses=StatusChange, holes=HoleReport, late=Score)
            .with_outputs(STATUSES, HOLES, LATE, main="windows")
        )
        return Tracked(tracked.windows, tracked.statuses, tracked.holes, tracked.late)


def _encode_score(score: Score) -> tuple[str, bytes]:
    return score.home_id, score_record(score)


def _encode_summary(summary: BatchSummary) -> Iterator[tuple[str, bytes]]:
    """The path prover's batches prove the path; they are nobody's home."""
    if not summary.synthetic:
        yield summary.home_id, summary_record(summary)


class _PackShards(beam.DoFn):
    """(home, record) → (shard, all of the bundle's records of its homes)."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._packs = Metrics.counter("TrackHomes", "packs_out")

    def start_bundle(self) -> None:
        self._records: dict[str, list[bytes]] = {}
        self._newest = MIN_TIMESTAMP

    def process(self, element: tuple[str, bytes], timestamp: Any = beam.DoFn.TimestampParam) -> None:
        home_id, record = element
        self._records.setdefault(home_id, []).append(record)
        self._newest = max(self._newest, timestamp)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        by_shard: dict[int, dict[str, list[bytes]]] = {}
        for home_id, records in self._records.items():
            by_shard.setdefault(shard_of(home_id, self._shards), {})[home_id] = records
        for shard, homes in by_shard.items():
            yield WindowedValue((shard, pack(homes)), self._newest, (GlobalWindow(),))
        self._packs.inc(len(by_shard))
        self._records = {}


class _TrackShard(beam.DoFn):
    """(shard, pack) → tagged outputs, over the shard's entries and fence in state."""

    ENTRIES = BagStateSpec("entries", BytesCoder())
    FENCE = ReadModifyWriteStateSpec("fence", BytesCoder())
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)
    ENTRIES_PARAM = beam.DoFn.StateParam(ENTRIES)
    FENCE_PARAM = beam.DoFn.StateParam(FENCE)
    FORGET_PARAM = beam.DoFn.TimerParam(FORGET)

    def __init__(self, shards: int, *, keep_all: bool, report_holes: bool) -> None:
        self._shards = shards
        self._keep_all = keep_all
        self._report_holes = report_holes
        self._step = uuid.uuid4().hex  # tells this step's shards in memory from those of another job
        self._duplicates = Metrics.counter("TrackHomes", "duplicates")
        self._late = Metrics.counter("TrackHomes", "scores_late")
        self._rebuilt = Metrics.counter("TrackHomes", "shards_rebuilt")
        self._home_bytes = Metrics.distribution("TrackHomes", "state_bytes_per_home")

    def process(
        self,
        element: tuple[int, bytes],
        entries: Any = ENTRIES_PARAM,
        fence: Any = FENCE_PARAM,
        forget: Any = FORGET_PARAM,
    ) -> Iterator[Any]:
        number, packed = element
        shard = self._open(number, entries, fence)
        new = not shard.homes
        did, change = shard.take(packed, keep_all=self._keep_all)
        if change is not None:
            if new:  # from here on one timer is always set, until the shard is empty
                forget.set(Timestamp(micros=shard.next_us()))
            self._write(change, entries, fence)
            self._home_bytes.update(shard.state_bytes // len(shard.homes))
        _MEMORY.keep((self._step, number), shard)
        for one in did:
            yield from self._outputs(one)

    @on_timer(FORGET)
    def forget_silent(
        self,
        number: Any = beam.DoFn.KeyParam,
        due: Any = beam.DoFn.TimestampParam,
        entries: Any = ENTRIES_PARAM,
        fence: Any = FENCE_PARAM,
        forget: Any = FORGET_PARAM,
    ) -> None:
        """Clear what silent homes no longer need, and look again when the next one may be due."""
        shard = self._open(number, entries, fence)
        change = shard.forget(due.micros)
        if change is None:
            entries.clear()
            fence.clear()
            return
        self._write(change, entries, fence)
        forget.set(Timestamp(micros=max(shard.next_us(), due.micros + _SWEEP_US)))
        _MEMORY.keep((self._step, number), shard)

    def _open(self, number: int, entries: Any, fence: Any) -> Shard:
        """The shard as the state has it, from memory where that is the same."""
        stored = Fence.of(fence.read(), self._shards)
        shard = _MEMORY.take((self._step, number), stored)
        if shard is None:
            self._rebuilt.inc()
            shard = Shard.build(stored, entries.read(), keep_all=self._keep_all)
        return shard

    @staticmethod
    def _write(change: Change, entries: Any, fence: Any) -> None:
        if change.fold:
            entries.clear()
        for entry in change.entries:
            entries.add(entry)
        fence.write(change.fence.encoded())

    def _outputs(self, did: Advanced) -> Iterator[Any]:
        self._duplicates.inc(did.duplicates)
        self._late.inc(len(did.late))
        yield from did.windows
        for status in did.statuses:
            yield beam.pvalue.TaggedOutput(STATUSES, status)
        if self._report_holes:
            for report in did.holes:
                yield beam.pvalue.TaggedOutput(HOLES, report)
        for score in did.late:
            yield beam.pvalue.TaggedOutput(LATE, score)
