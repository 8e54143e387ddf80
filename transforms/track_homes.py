"""TrackHomes: Score and BatchSummary → windows to fuse, status changes, holes, late scores.

One state value a home, visited once a home and bundle: `PackHomes` joins what a bundle holds of a
home, because keyed state in Python costs per visit. Everything is evaluated on arrival; no
watermark is waited for. The window of the last sending of each (home, window end) equals Beam's
`SlidingWindows(300, 60)` over the scores that were not late (tests/transforms/test_track_homes.py).

State is cleared in two steps: a day after the last batch the scores go, thirty days after it all.
The ledger outlives the scores, else a replayed batch would revive a home that is gone.

Every step works in the global window: `PackHomes` emits into it.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.coders import BytesCoder, RowCoder
from apache_beam.coders.typecoders import registry
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from schemas.alarms import HomeStatus, SensorStatus
from schemas.readings import MINUTE_US
from transforms.elements import BatchSummary, Score
from transforms.home_state import Home, Placed, Vocabulary, decode, encode, hear, name_sensors, place
from transforms.score_homes import HomeWindow

LAST_SEEN_US: Final = 5 * MINUTE_US  # coarse: a status write a minute would cost $39k a month at 10⁶ homes
SCORES_KEPT_US: Final = 86_400_000_000
STATE_KEPT_US: Final = 30 * SCORES_KEPT_US

UNKNOWN: Final = "unknown"
LATE: Final = "late"
STATUSES: Final = "statuses"
HOLES: Final = "holes"
_PACK_VERSION: Final = 1
_SCORE, _SUMMARY = 0, 1
_MARSHAL: Final = 2  # neither references nor interning: equal values, equal bytes


class StatusChange(NamedTuple):
    """A home's document as it must now stand: `schemas.alarms.HomeStatus` as JSON.

    Attributes:
        publish_us: Arrival of the batch that changed it.
    """

    home_id: str
    publish_us: int
    status: str


class HoleReport(NamedTuple):
    """All holes of an epoch after one of them opened or closed; empty lists: none is left.

    A hole is a sequence number that the gateway no longer holds and that has not come. What the
    gateway declared lost (Header.gaps) is among them: who shows holes subtracts the declared.

    Attributes:
        first_seqs, last_seqs: Inclusive bounds, pairwise.
    """

    home_id: str
    gateway_id: str
    epoch: str
    publish_us: int
    first_seqs: list[int]
    last_seqs: list[int]


for _element in (StatusChange, HoleReport):
    registry.register_coder(_element, RowCoder)


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
    """

    def __init__(self, *, report_holes: bool = True) -> None:
        super().__init__()
        self.report_holes = report_holes

    def expand(self, inputs):  # type: ignore[no-untyped-def]
        scores, summaries = inputs
        keyed = tuple[str, bytes]
        packed = (
            (
                scores | "EncodeScores" >> beam.Map(_encode_score).with_output_types(keyed),
                summaries | "EncodeSummaries" >> beam.FlatMap(_encode_summary).with_output_types(keyed),
            )
            | "JoinRecords" >> beam.Flatten()
            | "PackHomes" >> beam.ParDo(_PackHomes()).with_output_types(keyed)
        )
        tracked = packed | "TrackHome" >> (
            beam.ParDo(_TrackHome(keep_all=scores.is_bounded, report_holes=self.report_holes))
            .with_output_types(HomeWindow, statuses=StatusChange, holes=HoleReport, late=Score)
            .with_outputs(STATUSES, HOLES, LATE, main="windows")
        )
        return Tracked(tracked.windows, tracked.statuses, tracked.holes, tracked.late)


def visible(home: Home) -> tuple[Any, ...]:
    """What a person would see of a home: its document is written when this changes."""
    present = home.ledger.present
    if present is None:
        return ()
    sensors = [(name, s.kind, s.room, s.battery_percent) for name, s in home.sensors.items()]
    coarse_us = present.seen_us - present.seen_us % LAST_SEEN_US
    said = (present.mode or UNKNOWN, present.phase or UNKNOWN, present.software_version)
    return present.key.gateway_id, *said, coarse_us, sensors


def status_of(home_id: str, home: Home) -> HomeStatus:
    """The document of a home that has sent a batch."""
    gateway_id, mode, phase, software_version, last_seen_us, sensors = visible(home)
    return HomeStatus(
        home_id=home_id,
        gateway_id=gateway_id,
        armed_mode=mode,
        armed_phase=phase,
        sensors={
            name: SensorStatus(kind=kind, room=room, battery_percent=battery)
            for name, kind, room, battery in sorted(sensors, key=itemgetter(0))
        },
        software_version=software_version,
        last_seen_us=last_seen_us,
    )


class Advanced(NamedTuple):
    """What a pack did to a home. `changed`: its state must be written back."""

    windows: list[HomeWindow]
    statuses: list[StatusChange]
    holes: list[HoleReport]
    late: list[Score]
    duplicates: int
    changed: bool


def advance(
    home_id: str, home: Home, scores: list[Placed], summaries: list[BatchSummary], *, keep_all: bool
) -> Advanced:
    """Take one pack into a home's state, in place."""
    before = visible(home)
    holes: dict[tuple[str, str], HoleReport] = {}
    duplicates = 0
    for summary in summaries:
        known = home.ledger.present
        taken = home.ledger.take(summary)
        if not taken.new:
            duplicates += 1
            continue
        if known and home.ledger.present and known.key != home.ledger.present.key:
            for sensor in home.sensors.values():
                sensor.seq = -1  # counted in the epoch before
        home.newest_us = max(home.newest_us, summary.publish_us)
        name_sensors(home, summary)
        if taken.holes is not None:
            holes[summary.gateway_id, summary.epoch] = HoleReport(
                home_id,
                summary.gateway_id,
                summary.epoch,
                summary.publish_us,
                [first for first, _ in taken.holes],
                [last for _, last in taken.holes],
            )
    heard = hear(home_id, home, scores, keep_all=keep_all)
    statuses = []
    if visible(home) != before and home.ledger.present is not None:
        statuses.append(StatusChange(home_id, home.newest_us, status_of(home_id, home).model_dump_json()))
    changed = heard.added > 0 or len(summaries) > duplicates
    return Advanced(
        heard.windows, statuses, list(holes.values()), heard.late, duplicates + heard.duplicates, changed
    )


def pack(records: Iterable[bytes]) -> bytes:
    """Encoded records of one home → one value; what its scores have in common is written once."""
    words: dict[tuple[Any, ...], int] = {}
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    summaries = []
    for record in records:
        kind, *values = marshal.loads(record)
        if kind == _SCORE:
            common, sensor_id, room, vocabulary, steps = values
            word = words.setdefault(vocabulary, len(words))
            groups.setdefault(common, []).append((sensor_id, room, word, steps))
        else:
            summaries.append(tuple(values))
    scores = tuple((common, tuple(rows)) for common, rows in groups.items())
    return marshal.dumps((_PACK_VERSION, tuple(words), scores, tuple(summaries)), _MARSHAL)


def unpack(data: bytes) -> tuple[list[Placed], list[BatchSummary]]:
    """The inverse of `pack`.

    Raises:
        ValueError: Packed by another version of this code.
    """
    version, words, groups, summaries = marshal.loads(data)
    if version != _PACK_VERSION:
        raise ValueError(f"pack has version {version}, known versions: {_PACK_VERSION}")
    vocabularies = [Vocabulary(*word) for word in words]
    scores = [
        Placed(gateway_id, sensor_id, room, minute, publish_us, mode, vocabularies[word], steps)
        for (gateway_id, minute, publish_us, mode), rows in groups
        for sensor_id, room, word, steps in rows
    ]
    return scores, [BatchSummary(*values) for values in summaries]


def _encode_score(score: Score) -> tuple[str, bytes]:
    p = place(score)
    common = (p.gateway_id, p.minute, p.publish_us, p.mode)
    vocabulary = (p.vocabulary.family, p.vocabulary.model_version, p.vocabulary.labels)
    record = (_SCORE, common, p.sensor_id, p.room, vocabulary, p.probabilities)
    return score.home_id, marshal.dumps(record, _MARSHAL)


def _encode_summary(summary: BatchSummary) -> Iterator[tuple[str, bytes]]:
    """The path prover's batches prove the path; they are nobody's home."""
    if not summary.synthetic:
        yield summary.home_id, marshal.dumps((_SUMMARY, *summary), _MARSHAL)


class _PackHomes(beam.DoFn):
    """(home, record) → (home, all of the bundle's records of the home)."""

    def __init__(self) -> None:
        self._packs = Metrics.counter("TrackHomes", "packs_out")
        self._records: dict[str, list[bytes]] = {}
        self._newest = MIN_TIMESTAMP

    def start_bundle(self) -> None:
        self._records = {}
        self._newest = MIN_TIMESTAMP

    def process(self, element: tuple[str, bytes], timestamp: Any = beam.DoFn.TimestampParam) -> None:
        home_id, record = element
        self._records.setdefault(home_id, []).append(record)
        self._newest = max(self._newest, timestamp)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for home_id, records in self._records.items():
            yield WindowedValue((home_id, pack(records)), self._newest, (GlobalWindow(),))
        self._packs.inc(len(self._records))
        self._records = {}


class _TrackHome(beam.DoFn):
    """(home, pack) → tagged outputs, over the home's one state value."""

    HOME = ReadModifyWriteStateSpec("home", BytesCoder())
    FORGET = TimerSpec("forget", TimeDomain.WATERMARK)
    STATE_PARAM = beam.DoFn.StateParam(HOME)
    FORGET_PARAM = beam.DoFn.TimerParam(FORGET)

    def __init__(self, *, keep_all: bool, report_holes: bool) -> None:
        self._keep_all = keep_all
        self._report_holes = report_holes
        self._duplicates = Metrics.counter("TrackHomes", "duplicates")
        self._late = Metrics.counter("TrackHomes", "scores_late")
        self._state_bytes = Metrics.distribution("TrackHomes", "state_bytes")

    def process(
        self,
        element: tuple[str, bytes],
        state: Any = STATE_PARAM,
        forget: Any = FORGET_PARAM,
    ) -> Iterator[Any]:
        home_id, packed = element
        stored = state.read()
        home = decode(stored) if stored else Home()
        did = advance(home_id, home, *unpack(packed), keep_all=self._keep_all)
        if did.changed:
            if not home.timer_us:
                home.timer_us = home.newest_us + SCORES_KEPT_US
                forget.set(Timestamp(micros=home.timer_us))
            encoded = encode(home)
            self._state_bytes.update(len(encoded))
            state.write(encoded)
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

    @on_timer(FORGET)
    def forget_silent(
        self,
        state: Any = STATE_PARAM,
        forget: Any = FORGET_PARAM,
    ) -> None:
        """Clear what a silent home no longer needs; set again lazily while the home speaks."""
        stored = state.read()
        if not stored:
            return
        kept = forget_scores(decode(stored))
        if kept is None:
            state.clear()
        else:
            forget.set(Timestamp(micros=kept.timer_us))
            state.write(encode(kept))


def forget_scores(home: Home) -> Home | None:
    """What is kept of a home when its timer fires: all, all but its scores, or nothing (None)."""
    fired_us, heard_us = home.timer_us, home.newest_us
    if fired_us >= heard_us + STATE_KEPT_US:
        return None
    if fired_us >= heard_us + SCORES_KEPT_US:
        home.minutes, home.vocabularies = {}, []
        home.timer_us = heard_us + STATE_KEPT_US
    else:
        home.timer_us = heard_us + SCORES_KEPT_US
    return home
