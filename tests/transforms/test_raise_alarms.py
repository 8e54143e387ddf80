"""Events and window scores → evidence (pure), and RaiseAlarms as a composite with each kind of effects."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import Alarm, ScoreDoc
from schemas.events import AlarmKind, Code
from tests.fakes import DAY_US, NOW_US, SECOND_US, event
from transforms.alarm_store import AlarmStore, MemoryStore
from transforms.elements import AcceptedEvent, WindowScore
from transforms.evidence import (
    MAX_SERIES,
    MAX_VALUES,
    Raised,
    evidence_of_event,
    evidence_of_window,
    proof_of_path,
    when_us,
)
from transforms.raise_alarms import (
    NAMESPACE,
    EpisodeChange,
    RaiseAlarms,
    ReplayEffects,
    StoreEffects,
    _Commit,
    fold_slot,
)

MINUTE_US = 60 * SECOND_US


def accepted(made: pb.Event, **fields: object) -> AcceptedEvent:
    values: dict[str, object] = {
        "home_id": "home-0001",
        "gateway_id": "gw-0001",
        "batch_id": "gw-0001.00.1",
        "epoch": "00",
        "seq": 1,
        "event": made.SerializeToString(),
        "arming_mode": "away",
        "publish_us": NOW_US,
        "lane": "urgent",
        "clock_suspect": False,
        "cert_expired": False,
        "synthetic": False,
        "verified": True,
    }
    return AcceptedEvent(**(values | fields))  # type: ignore[arg-type]


def window(
    kind: str = "burglary",
    *labels: tuple[str, str],
    end_us: int = NOW_US,
    heard_us: int = NOW_US - 5 * MINUTE_US,
    **fields: object,
) -> WindowScore:
    """A window whose newest speaking minute is `heard_us`, unless told the first of its five."""
    scores = [
        ScoreDoc(
            sensor_id=f"{family}-kitchen",
            room="kitchen",
            family=family,
            label=label,
            score=0.9,
            model_version="v1",
            minute_us=heard_us,
        )
        for family, label in labels
    ]
    values: dict[str, object] = {
        "home_id": "home-0001",
        "gateway_id": "gw-0001",
        "window_end_us": end_us,
        "publish_us": end_us,
        "arming_mode": "away",
        "kind": kind,
        "score": 0.9,
        "heard": len(scores),
        "reasons": [f"{score.family} kitchen" for score in scores],
        "evidence": [score.model_dump_json() for score in scores],
        "rule_version": "fusion-rule-1",
    }
    return WindowScore(**(values | fields))  # type: ignore[arg-type]


def raised_of(made: AcceptedEvent) -> Raised:
    raised = evidence_of_event(made, NOW_US + 1)
    assert raised is not None
    return raised


# Evidence of events -----------------------------------------------------------------------------


def test_event_carries_what_the_rule_saw_and_the_last_minutes() -> None:
    made = event(Code.CARBON_MONOXIDE, rule_version="hazard-3", sensor_id="air-kitchen")
    made.measurements.add(name="co_ppm", value=120.0, unit="ppm", limit=70.0)
    made.measurements.add(name="co_rate", value=float("nan"))
    made.series.add(
        sensor_id="air-kitchen", quantity="co_ppm", period_us=SECOND_US, values=[1.0, float("nan")]
    )
    raised = raised_of(accepted(made))
    evidence = raised.parsed()
    assert (raised.kind, raised.armed_mode) == ("co", "away")
    assert (evidence.rule_version, evidence.recorded_us, evidence.arrived_us) == (
        "hazard-3",
        NOW_US + 1,
        NOW_US,
    )
    assert [(m.name, m.value, m.limit) for m in evidence.measurements] == [("co_ppm", 120.0, 70.0)]
    assert evidence.series[0].values == [1.0, None]


def test_charts_are_cut_to_their_newest_values_so_that_a_document_takes_them() -> None:
    made = event(Code.SMOKE, room="x" * 500)
    for _ in range(MAX_SERIES + 5):
        made.series.add(start_us=0, period_us=10, values=range(MAX_VALUES + 7))
    evidence = raised_of(accepted(made)).parsed()
    assert len(evidence.series) == MAX_SERIES
    assert (len(evidence.series[0].values), evidence.series[0].values[0]) == (MAX_VALUES, 7.0)
    assert evidence.series[0].start_us == 70
    assert len(evidence.room) == 64
    assert len(evidence.model_dump_json()) < 1_000_000


def test_evidence_id_is_the_same_for_every_delivery_and_differs_between_homes() -> None:
    same = [
        raised_of(accepted(event(), publish_us=NOW_US + n, batch_id=f"b{n}")).parsed().evidence_id
        for n in (0, 9)
    ]
    other = raised_of(accepted(event(), home_id="home-0002")).parsed().evidence_id
    forged = raised_of(accepted(event(), verified=False)).parsed().evidence_id
    assert same[0] == same[1]
    assert len({same[0], other, forged}) == 3, "nobody can take the id of another's evidence"


def test_events_without_an_id_are_told_apart_by_batch_and_content() -> None:
    bare = [accepted(event(event_id=b"", room=room), batch_id=batch) for room, batch in ("ab", "bb", "aa")]
    assert len({raised_of(made).parsed().evidence_id for made in bare}) == 3


def test_unverified_event_is_a_trouble_of_its_own_kind_and_counts_by_arrival() -> None:
    claimed = accepted(event(Code.FIRE, qualifier=pb.QUALIFIER_RESTORE, occurred_us=0), verified=False)
    raised = raised_of(claimed)
    evidence = raised.parsed()
    assert (raised.kind, evidence.code, evidence.qualifier) == ("unverified", Code.UNVERIFIED, 1)
    assert evidence.title == "Fire, sender not verified"
    assert evidence.occurred_us == NOW_US


@pytest.mark.parametrize(
    ("code", "kind"),
    [(899, "unknown"), (Code.CANCEL, "burglary"), (Code.DURESS, "panic"), (Code.AC_LOSS, "power")],
)
def test_kind_of_an_event(code: int, kind: str) -> None:
    assert raised_of(accepted(event(code))).kind == kind


@pytest.mark.parametrize("code", [Code.OPEN_CLOSE, Code.BYPASS, Code.RECENT_CLOSE, Code.PERIODIC_TEST])
def test_information_raises_nothing(code: int) -> None:
    assert evidence_of_event(accepted(event(code)), NOW_US) is None


def test_synthetic_test_proves_its_lane_and_raises_nothing() -> None:
    probe = accepted(event(Code.PERIODIC_TEST, occurred_us=NOW_US - 3), synthetic=True)
    assert evidence_of_event(probe, NOW_US) is None
    assert proof_of_path(probe, NOW_US) == ("urgent", NOW_US - 3, NOW_US)
    assert evidence_of_event(accepted(event(Code.FIRE), synthetic=True), NOW_US) is None


@pytest.mark.parametrize("fields", [{"synthetic": False}, {"synthetic": True, "verified": False}])
def test_only_the_verified_synthetic_gateway_proves_the_path(fields: dict[str, bool]) -> None:
    assert proof_of_path(accepted(event(Code.PERIODIC_TEST), **fields), NOW_US) is None


@pytest.mark.parametrize(
    ("code", "offset_us", "counts_by_arrival"),
    [
        pytest.param(Code.SMOKE, -DAY_US, True, id="life safety a day back"),
        pytest.param(Code.PERIMETER, -DAY_US, False, id="intrusion a day back is backlog"),
        pytest.param(Code.PERIMETER, DAY_US, True, id="intrusion a day ahead"),
        pytest.param(Code.PERIMETER, -40 * DAY_US, True, id="intrusion older than any backlog"),
    ],
)
def test_suspect_clock(code: int, offset_us: int, counts_by_arrival: bool) -> None:
    made = accepted(event(code, occurred_us=NOW_US + offset_us), clock_suspect=True)
    evidence = raised_of(made).parsed()
    assert evidence.occurred_us == NOW_US + offset_us, "what the gateway said is kept"
    assert when_us(evidence) == (NOW_US if counts_by_arrival else NOW_US + offset_us)
    assert evidence.late is not counts_by_arrival


# Evidence of windows ----------------------------------------------------------------------------


def test_window_happened_when_its_newest_reading_ended() -> None:
    raised = evidence_of_window(window("burglary", ("sound", "glass_break"), ("motion", "person")), NOW_US)
    assert raised is not None
    evidence = raised.parsed()
    assert evidence.occurred_us == NOW_US - 4 * MINUTE_US
    assert (evidence.source, evidence.code, len(evidence.scores)) == ("fusion", Code.BURGLARY, 2)


@pytest.mark.parametrize(
    ("kind", "mode", "raises"),
    [
        ("burglary", "away", True),
        ("burglary", "stay", True),
        ("burglary", "disarmed", False),
        ("burglary", "", False),
        ("fire", "disarmed", True),
        ("co", "", True),
        ("", "away", False),
    ],
)
def test_window_raises_a_burglary_only_in_an_armed_home(kind: str, mode: str, raises: bool) -> None:
    raised = evidence_of_window(window(kind, ("sound", "glass_break"), arming_mode=mode), NOW_US)
    assert (raised is not None) is raises


def test_windows_with_the_same_newest_reading_are_the_same_evidence() -> None:
    first = evidence_of_window(window("fire", ("air", "fire")), 1)
    again = evidence_of_window(
        window("fire", ("air", "fire"), ("sound", "smoke_alarm"), publish_us=NOW_US + 9), 2
    )
    next_window = evidence_of_window(window("fire", ("air", "fire"), end_us=NOW_US - MINUTE_US), 3)
    later = evidence_of_window(window("fire", ("air", "fire"), heard_us=NOW_US - 4 * MINUTE_US), 4)
    assert first is not None
    assert next_window is not None
    assert again is not None
    assert later is not None
    assert first.parsed().evidence_id == again.parsed().evidence_id == next_window.parsed().evidence_id
    assert later.parsed().evidence_id != first.parsed().evidence_id


def test_replayed_window_says_that_it_is_late() -> None:
    raised = evidence_of_window(window("fire", ("air", "fire"), publish_us=NOW_US + 3600 * SECOND_US), NOW_US)
    assert raised is not None
    assert raised.parsed().late


# The composite ----------------------------------------------------------------------------------

STORES: dict[str, MemoryStore] = {}


def shared_store(name: str) -> AlarmStore:
    """The store of this name in this process: what stands for Firestore in an in-process pipeline."""
    return STORES.setdefault(name, MemoryStore(lambda: NOW_US))


def clock() -> int:
    return NOW_US


EVENTS = [
    accepted(event(Code.SMOKE, event_id=1)),
    accepted(event(Code.SMOKE, event_id=1)),
    accepted(event(Code.HEAT, event_id=2, sensor_id="air-kitchen", occurred_us=NOW_US + 1)),
    accepted(event(Code.SMOKE, event_id=3), home_id="home-0002"),
    accepted(event(Code.FIRE, event_id=4), verified=False),
    accepted(event(Code.OPEN_CLOSE, event_id=5)),
    accepted(event(Code.PERIODIC_TEST, event_id=6), home_id="synthetic", synthetic=True),
]
WINDOWS = [
    window("fire", ("air", "fire"), end_us=NOW_US + n * MINUTE_US, heard_us=NOW_US + (n - 5) * MINUTE_US)
    for n in (0, 1, 1)
]
EXPECTED = [("home-0001", "fire", 4), ("home-0001", "unverified", 1), ("home-0002", "fire", 1)]


def test_live_effects_write_episodes_and_proofs_once_however_often_the_input_comes() -> None:
    STORES.pop("live", None)
    for _ in range(2):
        pipeline = TestPipeline()
        with pipeline:
            inputs = {
                "events": pipeline | "Events" >> beam.Create(EVENTS),
                "windows": pipeline | "Windows" >> beam.Create(WINDOWS),
            }
            outputs = inputs | "RaiseAlarms" >> RaiseAlarms(
                StoreEffects(partial(shared_store, "live"), clock), clock
            )
            lanes = outputs.proofs | "Lanes" >> beam.Map(lambda proof: proof.lane)
            assert_that(lanes, equal_to(["urgent"]), "AssertProofs")
    store = STORES["live"]
    found = [(a.home_id, str(a.kind), a.evidence_count) for a in store.alarms.values()]
    assert sorted(found) == EXPECTED
    assert store.proofs["urgent"].sent_us == NOW_US
    assert {a.home_id for a in store.alarms.values()} == {"home-0001", "home-0002"}


def test_live_changes_are_counted_and_given_on() -> None:
    STORES.pop("counted", None)
    pipeline = TestPipeline()
    with pipeline:
        events = pipeline | beam.Create(EVENTS)
        outputs = {"events": events} | RaiseAlarms(
            StoreEffects(partial(shared_store, "counted"), clock), clock
        )
        actions = outputs.episodes | "Actions" >> beam.Map(lambda c: (c.home_id, c.kind, c.action))
        assert_that(
            actions,
            equal_to(
                [
                    ("home-0001", "fire", "create"),
                    ("home-0001", "fire", "update"),
                    ("home-0002", "fire", "create"),
                    ("home-0001", "unverified", "create"),
                ]
            ),
            "AssertActions",
        )
    counters = {
        c.key.metric.name: c.committed
        for c in pipeline.result.metrics().query()["counters"]
        if c.key.metric.namespace == NAMESPACE
    }
    assert counters["events_in"] == 7
    assert counters["events_raised"] == counters["evidence_in"] == 5
    assert counters["alarms_out"] == 3


def test_replay_folds_the_same_episodes_and_writes_them_as_lines(tmp_path: Path) -> None:
    with TestPipeline() as pipeline:
        inputs = {
            "events": pipeline | "Events" >> beam.Create(EVENTS),
            "windows": pipeline | "Windows" >> beam.Create(WINDOWS),
        }
        outputs = inputs | "RaiseAlarms" >> RaiseAlarms(ReplayEffects(str(tmp_path / "episodes")), clock)
        found = outputs.episodes | "Found" >> beam.Map(_summary)
        assert_that(found, equal_to(EXPECTED), "AssertEpisodes")
        assert_that(outputs.proofs | beam.Map(lambda p: p.lane), equal_to(["urgent"]), "AssertProofs")
    lines = [line for file in tmp_path.glob("episodes*.jsonl") for line in file.read_text().splitlines()]
    assert sorted((a["home_id"], a["kind"], a["evidence_count"]) for a in map(json.loads, lines)) == EXPECTED


def test_replay_and_live_leave_the_same_alarm() -> None:
    raised = [raised_of(made) for made in EVENTS[:3]]
    live = MemoryStore(lambda: NOW_US)
    for one in reversed(raised):
        live.attach("home-0001", AlarmKind.FIRE, [(one.parsed(), one.armed_mode)])
    (replayed,) = fold_slot((("home-0001", "fire"), raised))
    (alarm,) = live.alarms.values()
    folded = Alarm.model_validate_json(replayed.alarm)
    own = {"alarm_id", "opened_us", "updated_us"}  # of the evidence that came first, and when
    assert folded.model_dump(exclude=own) == alarm.model_dump(exclude=own)


def test_one_home_whose_commit_fails_does_not_hold_up_the_others() -> None:
    store = MemoryStore(lambda: NOW_US)

    class Refusing(MemoryStore):
        def attach(self, home_id: str, kind: AlarmKind, raised: object) -> list:  # type: ignore[override,type-arg]
            if home_id == "home-0001":
                raise RuntimeError("refused")
            return store.attach(home_id, kind, raised)  # type: ignore[arg-type]

    commit = _Commit(lambda: Refusing(lambda: NOW_US), clock)
    commit.setup()
    try:
        commit.start_bundle()
        for made in EVENTS[:4]:
            commit.process(raised_of(made))
        with pytest.raises(RuntimeError, match="refused"):
            list(commit.finish_bundle())
        assert [a.home_id for a in store.alarms.values()] == ["home-0002"]
    finally:
        commit.teardown()


def _summary(change: EpisodeChange) -> tuple[str, str, int]:
    return change.home_id, change.kind, json.loads(change.alarm)["evidence_count"]
