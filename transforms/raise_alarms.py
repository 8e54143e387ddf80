"""Events and window scores → episodes, by way of their evidence.

Events pass without a window, a grouping or a model: evidence is committed as it comes. Commits of
different homes run side by side, those of one home and kind one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas.alarms import Evidence, LaneProof
from schemas.events import AlarmKind
from transforms.alarm_store import AlarmStore, MemoryStore
from transforms.elements import AcceptedEvent, WindowScore
from transforms.episodes import Change
from transforms.evidence import Proof, Raised, evidence_of_event, evidence_of_window, proof_of_path
from transforms.rows import register_rows

NAMESPACE: Final = "raise_alarms"
COMMITS_AT_ONCE: Final = 8


def wall_clock_us() -> int:
    """µs since 1970 UTC."""
    return time.time_ns() // 1_000


class EpisodeChange(NamedTuple):
    """An episode after something changed in it.

    Attributes:
        action: "create", "update" or "annotate".
        alarm: schemas.alarms.Alarm as JSON.
        evidence_id: What changed it; in a replay, all of its evidence, comma-separated.
    """

    home_id: str
    kind: str
    alarm_id: str
    action: str
    alarm: str
    evidence_id: str


register_rows(EpisodeChange)


class Effects(Protocol):
    """What RaiseAlarms may do, chosen by io."""

    def attach(self) -> beam.PTransform:
        """Takes Raised by where it comes from ("events", "windows", "troubles"); gives EpisodeChange."""

    def prove(self) -> beam.PTransform:
        """Takes Proof."""


class RaisedAlarms(NamedTuple):
    """Named outputs of `RaiseAlarms`."""

    episodes: PCollection[EpisodeChange]
    proofs: PCollection[Proof]


@dataclass
class RaiseAlarms(beam.PTransform):
    """{"events": AcceptedEvent, "windows": WindowScore, "troubles": Raised} → episodes, by `effects`.

    Troubles are evidence as it stands. The urgent lane's own job has neither windows nor troubles: leave
    those inputs out.

    Attributes:
        effects: `StoreEffects` for a live run, `ReplayEffects` for files.
        clock_us: The pipeline's clock, µs since 1970 UTC.
    """

    effects: Effects
    clock_us: Callable[[], int] = wall_clock_us

    def expand(self, inputs: Mapping[str, PCollection]):  # type: ignore[no-untyped-def]
        of_events = inputs["events"] | "EvidenceOfEvents" >> (
            beam.ParDo(_EvidenceOfEvents(self.clock_us))
            .with_output_types(Raised, proofs=Proof)
            .with_outputs("proofs", main="raised")
        )
        raised = {"events": of_events.raised}
        if "windows" in inputs:
            raised["windows"] = inputs["windows"] | "EvidenceOfWindows" >> beam.ParDo(
                _EvidenceOfWindows(self.clock_us)
            ).with_output_types(Raised)
        if "troubles" in inputs:
            raised["troubles"] = inputs["troubles"]
        episodes = raised | "AttachEvidence" >> self.effects.attach()
        _ = of_events.proofs | "ProvePath" >> self.effects.prove()
        return RaisedAlarms(episodes, of_events.proofs)


class _EvidenceOfEvents(beam.DoFn):
    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._events = Metrics.counter(NAMESPACE, "events_in")
        self._raised = Metrics.counter(NAMESPACE, "events_raised")
        self._proofs = Metrics.counter(NAMESPACE, "proofs_out")

    def process(self, event: AcceptedEvent) -> Iterator[Raised | TaggedOutput]:
        self._events.inc()
        now_us = self._clock_us()
        raised, proof = evidence_of_event(event, now_us), proof_of_path(event, now_us)
        if raised is not None:
            self._raised.inc()
            yield raised
        if proof is not None:
            self._proofs.inc()
            yield TaggedOutput("proofs", proof)


class _EvidenceOfWindows(beam.DoFn):
    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._raised = Metrics.counter(NAMESPACE, "windows_raised")

    def process(self, window: WindowScore) -> Iterator[Raised]:
        raised = evidence_of_window(window, self._clock_us())
        if raised is not None:
            self._raised.inc()
            yield raised


@dataclass
class StoreEffects:
    """Live: evidence goes to the store as it arrives.

    Attributes:
        open_store: Makes the store in the worker's setup().
        clock_us: µs since 1970 UTC, to measure the delay.
        proves: Lanes whose proofs this job writes.
    """

    open_store: Callable[[], AlarmStore]
    clock_us: Callable[[], int] = wall_clock_us
    proves: frozenset[str] = frozenset({"urgent", "minutes", "bulk"})

    def attach(self) -> beam.PTransform:
        """Two commits rather than a Flatten before one: events are not to leave their stage."""
        return _AttachLive(self.open_store, self.clock_us)

    def prove(self) -> beam.PTransform:
        """Writes operations/path."""
        return beam.ParDo(_Prove(self.open_store, self.proves))


@dataclass
class ReplayEffects:
    """Files: evidence is grouped by home and kind and folded by the same rules; nobody is paged.

    Attributes:
        path: Prefix of the JSON-lines files of episodes; "" writes none.
    """

    path: str = ""

    def attach(self) -> beam.PTransform:
        return _AttachReplay(self.path)

    def prove(self) -> beam.PTransform:
        """A replay proves no path."""
        return beam.Filter(_nothing)


@dataclass
class _AttachLive(beam.PTransform):
    open_store: Callable[[], AlarmStore]
    clock_us: Callable[[], int]

    def expand(self, raised: Mapping[str, PCollection[Raised]]):  # type: ignore[no-untyped-def]
        committed = [
            pcollection
            | f"Commit{name.capitalize()}"
            >> beam.ParDo(_Commit(self.open_store, self.clock_us)).with_output_types(EpisodeChange)
            for name, pcollection in raised.items()
        ]
        return committed | "JoinChanges" >> beam.Flatten()


class _Commit(beam.DoFn):
    """Commits evidence as it comes, one home and kind at a time; the bundle ends when all is committed.

    A commit does not wait for the end of the bundle, where other steps (the archive) may fail or be
    slow: the alarm is up by then. If one commit fails the others are still made; then the bundle
    fails and is retried, and evidence that is already taken changes nothing.
    """

    def __init__(self, open_store: Callable[[], AlarmStore], clock_us: Callable[[], int]) -> None:
        self._open_store = open_store
        self._clock_us = clock_us
        self._evidence = Metrics.counter(NAMESPACE, "evidence_in")
        self._opened = Metrics.counter(NAMESPACE, "alarms_out")
        self._delay = Metrics.distribution(NAMESPACE, "publish_to_commit_msec")

    def setup(self) -> None:
        self._store = self._open_store()
        self._pool = ThreadPoolExecutor(COMMITS_AT_ONCE, thread_name_prefix="commit")

    def start_bundle(self) -> None:
        self._commits = _Commits(self._store, self._pool)

    def process(self, raised: Raised) -> None:
        self._evidence.inc()
        self._commits.add(raised)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        changes = self._commits.finish()
        now_us = self._clock_us()
        for change in changes:
            self._opened.inc(change.action == "create")
            self._delay.update(max(0, now_us - change.evidence.arrived_us) // 1_000)
            moment = beam.utils.timestamp.Timestamp(micros=change.evidence.arrived_us)
            yield WindowedValue(episode_change(change), moment, (GlobalWindow(),))

    def teardown(self) -> None:
        self._pool.shutdown()
        self._store.close()


class _Commits:
    """A bundle's commits: side by side for different slots, one after the other within a slot."""

    def __init__(self, store: AlarmStore, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], list[tuple[Evidence, str]]] = {}
        self._running: list[Future[list[Change]]] = []

    def add(self, raised: Raised) -> None:
        """Commit this, together with what else waits for the same slot by then."""
        slot = (raised.home_id, raised.kind)
        with self._lock:
            begun = slot in self._waiting
            self._waiting.setdefault(slot, []).append((raised.parsed(), raised.armed_mode))
            if not begun:
                self._running.append(self._pool.submit(self._drain, slot))

    def finish(self) -> list[Change]:
        """Wait for all; raises what the first failed commit raised."""
        wait(self._running)
        return [change for commit in self._running for change in commit.result()]

    def _drain(self, slot: tuple[str, str]) -> list[Change]:
        home_id, kind = slot
        changes: list[Change] = []
        while True:
            with self._lock:
                raised = self._waiting[slot]
                if not raised:
                    del self._waiting[slot]
                    return changes
                self._waiting[slot] = []
            changes += self._store.attach(home_id, AlarmKind(kind), raised)


class _Prove(beam.DoFn):
    def __init__(self, open_store: Callable[[], AlarmStore], lanes: frozenset[str]) -> None:
        self._open_store = open_store
        self._lanes = lanes

    def setup(self) -> None:
        self._store = self._open_store()

    def process(self, proof: Proof) -> None:
        if proof.lane in self._lanes:
            self._store.prove(proof.lane, LaneProof(proven_us=proof.proven_us, sent_us=proof.sent_us))

    def teardown(self) -> None:
        self._store.close()


@dataclass
class _AttachReplay(beam.PTransform):
    path: str

    def expand(self, raised: Mapping[str, PCollection[Raised]]):  # type: ignore[no-untyped-def]
        episodes = (
            list(raised.values())
            | "JoinEvidence" >> beam.Flatten()
            | "KeyByHomeAndKind" >> beam.Map(_by_slot).with_output_types(tuple[tuple[str, str], Raised])
            | "GroupBySlot" >> beam.GroupByKey()
            | "FoldEvidence" >> beam.FlatMap(fold_slot).with_output_types(EpisodeChange)
        )
        if self.path:
            lines = episodes | "EpisodeLines" >> beam.Map(_line).with_output_types(str)
            _ = lines | "WriteEpisodes" >> beam.io.WriteToText(self.path, file_name_suffix=".jsonl")
        return episodes


def fold_slot(grouped: tuple[tuple[str, str], Iterable[Raised]]) -> list[EpisodeChange]:
    """All evidence of a home and kind → its episodes, as the live pipeline would leave them.

    Arrival is the clock: the result does not depend on when the replay runs.
    """
    (home_id, kind), raised = grouped
    parsed = ((r.parsed(), r.armed_mode) for r in raised)
    in_order = sorted(parsed, key=lambda pair: (pair[0].arrived_us, pair[0].evidence_id))
    moment = [0]
    store = MemoryStore(lambda: moment[0])
    for evidence, armed_mode in in_order:
        moment[0] = evidence.arrived_us
        store.attach(home_id, AlarmKind(kind), [(evidence, armed_mode)])
    return [
        EpisodeChange(
            home_id, kind, name, "create", alarm.model_dump_json(), ",".join(sorted(store.evidence[name]))
        )
        for name, alarm in store.alarms.items()
    ]


def episode_change(change: Change) -> EpisodeChange:
    """A change that was made → the element that tells of it."""
    assert change.alarm is not None
    alarm = change.alarm
    return EpisodeChange(
        alarm.home_id,
        str(alarm.kind),
        alarm.alarm_id,
        change.action,
        alarm.model_dump_json(),
        change.evidence.evidence_id,
    )


def _by_slot(raised: Raised) -> tuple[tuple[str, str], Raised]:
    return (raised.home_id, raised.kind), raised


def _line(change: EpisodeChange) -> str:
    return change.alarm


def _nothing(_: Any) -> bool:
    return False
