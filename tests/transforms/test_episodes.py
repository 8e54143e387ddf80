"""The rules of an episode, without a store."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alarms import PIPELINE_FIELDS, Alarm, Evidence, alarm_id
from schemas.events import AlarmKind, Category, Code
from tests.fake_alarms import closed, evidence, fused, restore
from tests.fakes import DAY_US, NOW_US, SECOND_US
from transforms.alarm_store import MemoryStore
from transforms.episodes import WAIT_US, attach, category_of

HOME = "home-0001"


def opened(first: Evidence, kind: AlarmKind = AlarmKind.FIRE, armed_mode: str = "away") -> Alarm:
    change = attach(None, first, [], NOW_US, kind=kind, armed_mode=armed_mode)
    assert change.action == "create"
    assert change.alarm is not None
    return change.alarm


def store_of(*raised: Evidence, kind: AlarmKind = AlarmKind.FIRE) -> MemoryStore:
    """Evidence in this order, one delivery each."""
    store = MemoryStore(lambda: NOW_US)
    for one in raised:
        store.attach(HOME, kind, [(one, "away")])
    return store


def only(store: MemoryStore) -> Alarm:
    (alarm,) = store.alarms.values()
    return alarm


def test_first_evidence_opens_an_episode_named_after_it() -> None:
    alarm = opened(evidence("a"))
    assert alarm.alarm_id == alarm_id(HOME, AlarmKind.FIRE, "a")
    assert (alarm.category, alarm.avs_level, alarm.evidence_count) == (Category.LIFE, 4, 1)
    assert (alarm.occurred_us, alarm.opened_us, alarm.armed_mode) == (NOW_US, NOW_US, "away")


def test_more_evidence_attaches_and_changes_only_the_pipelines_fields() -> None:
    alarm = opened(evidence("a"))
    heat = evidence("b", Code.HEAT, at_s=-5, sensor_id="air-kitchen")
    change = attach(alarm, heat, [evidence("a")], NOW_US + 1, kind=AlarmKind.FIRE)
    assert change.action == "update"
    assert set(change.fields) <= PIPELINE_FIELDS
    assert change.fields["evidence_count"] == 2
    assert change.fields["occurred_us"] == NOW_US - 5 * SECOND_US
    assert "restored_us" not in change.fields, "a mask names only what changes"
    assert change.alarm is not None
    assert change.alarm.alarm_id == alarm.alarm_id


def test_evidence_that_an_episode_has_changes_nothing() -> None:
    change = attach(opened(evidence("a")), evidence("a"), [evidence("a")], NOW_US, kind=AlarmKind.FIRE)
    assert (change.action, change.fields) == ("none", {})


def test_late_evidence_annotates_a_closed_episode_without_reopening_it() -> None:
    store = store_of(evidence("a"))
    name = only(store).alarm_id
    store.alarms[name] = closed(only(store), at_s=60)
    (change,) = store.attach(HOME, AlarmKind.FIRE, [(evidence("late", at_s=30), "")])
    assert change.action == "annotate"
    assert set(change.fields) <= PIPELINE_FIELDS
    after = only(store)
    assert (after.state, after.evidence_count) == ("closed", 2)
    assert store.evidence[name]["late"].late


def test_new_evidence_after_the_close_opens_a_new_episode() -> None:
    store = store_of(evidence("a"))
    store.alarms[only(store).alarm_id] = closed(only(store), at_s=60)
    (change,) = store.attach(HOME, AlarmKind.FIRE, [(evidence("b", at_s=61), "")])
    assert change.action == "create"
    assert len(store.alarms) == 2


def test_late_evidence_finds_the_closed_episode_before_the_open_one() -> None:
    store = store_of(evidence("a"))
    first = only(store).alarm_id
    store.alarms[first] = closed(only(store), at_s=60)
    store.attach(HOME, AlarmKind.FIRE, [(evidence("b", at_s=100), "")])
    (change,) = store.attach(HOME, AlarmKind.FIRE, [(evidence("late", at_s=10), "")])
    assert change.action == "annotate"
    assert set(store.evidence[first]) == {"a", "late"}


def test_life_safety_with_a_suspect_clock_counts_by_arrival_and_alarms_again() -> None:
    store = store_of(evidence("a"))
    store.alarms[only(store).alarm_id] = closed(only(store), at_s=60)
    yesterday = evidence("b", at_s=100, occurred_us=NOW_US - DAY_US, clock_suspect=True)
    (change,) = store.attach(HOME, AlarmKind.FIRE, [(yesterday, "")])
    assert change.action == "create"
    assert change.alarm is not None
    assert change.alarm.clock_suspect
    assert change.alarm.occurred_us == NOW_US + 100 * SECOND_US
    assert change.alarm.headline.endswith("its clock says 24 h before arrival")


def test_restore_says_when_the_condition_ended_and_a_new_alarm_clears_it() -> None:
    store = store_of(evidence("a"), restore("r", at_s=20))
    assert only(store).restored_us == NOW_US + 20 * SECOND_US
    store.attach(HOME, AlarmKind.FIRE, [(evidence("b", at_s=40), "")])
    assert only(store).restored_us is None


def test_episode_is_restored_only_when_every_condition_is() -> None:
    heat = evidence("h", Code.HEAT, sensor_id="air-kitchen")
    store = store_of(evidence("a"), heat, restore("r", at_s=20))
    assert only(store).restored_us is None
    store.attach(HOME, AlarmKind.FIRE, [(restore("q", Code.HEAT, at_s=30, sensor_id="air-kitchen"), "")])
    assert only(store).restored_us == NOW_US + 30 * SECOND_US


@pytest.mark.parametrize("order", list(permutations("abr")), ids="".join)
def test_restore_that_overtakes_its_alarm_waits_for_it(order: tuple[str, ...]) -> None:
    made = {"a": evidence("a"), "b": evidence("b", at_s=5), "r": restore("r", at_s=20)}
    store = store_of(*(made[name] for name in order))
    assert only(store).restored_us == NOW_US + 20 * SECOND_US
    assert only(store).evidence_count == 3


def test_restore_without_an_alarm_opens_nothing_and_does_not_wait_for_ever() -> None:
    now = [NOW_US]
    store = MemoryStore(lambda: now[0])
    assert store.attach(HOME, AlarmKind.FIRE, [(restore("r"), "")]) == []
    assert store.alarms == {}
    now[0] += WAIT_US + 1
    store.attach(HOME, AlarmKind.FIRE, [(evidence("a", at_s=7200), "")])
    assert only(store).evidence_count == 1


def test_cancel_marks_a_burglary_until_a_sensor_trips_again() -> None:
    window = evidence("w", Code.PERIMETER, sensor_id="contact-kitchen-window")
    cancel = evidence("c", Code.CANCEL, at_s=20, sensor_id="keypad-hall", room="hall")
    store = store_of(window, cancel, kind=AlarmKind.BURGLARY)
    assert (only(store).cancelled_us, only(store).avs_level) == (NOW_US + 20 * SECOND_US, 0)
    assert only(store).code == Code.PERIMETER
    movement = evidence("m", Code.INTERIOR, at_s=40, sensor_id="motion-hall", room="hall")
    store.attach(HOME, AlarmKind.BURGLARY, [(movement, "")])
    assert (only(store).cancelled_us, only(store).avs_level) == (None, 2)


def test_cancel_without_a_burglary_raises_nothing() -> None:
    assert store_of(evidence("c", Code.CANCEL), kind=AlarmKind.BURGLARY).alarms == {}


def test_kinds_and_homes_have_episodes_of_their_own() -> None:
    store = store_of(evidence("a"))
    store.attach(HOME, AlarmKind.CO, [(evidence("b", Code.CARBON_MONOXIDE), "")])
    store.attach("home-0002", AlarmKind.FIRE, [(evidence("c", home_id="home-0002"), "")])
    assert sorted((a.home_id, str(a.kind)) for a in store.alarms.values()) == [
        ("home-0001", "co"),
        ("home-0001", "fire"),
        ("home-0002", "fire"),
    ]


def test_burglary_is_intrusion_though_a_trouble_opened_it() -> None:
    assert category_of(AlarmKind.BURGLARY) is Category.INTRUSION
    assert category_of(AlarmKind.UNKNOWN) is Category.TROUBLE


GLASS = ("sound", "sound-kitchen", "kitchen", "glass_break")
MOVED = ("motion", "motion-living", "kitchen", "person")
FORCED = ("contact", "contact-kitchen-window", "kitchen", "forced")


@pytest.mark.parametrize(
    ("raised", "level"),
    [
        pytest.param([evidence("a", Code.PERIMETER)], 1, id="one opening"),
        pytest.param(
            [evidence("a", Code.PERIMETER, sensor_id="x"), evidence("b", Code.INTERIOR, sensor_id="y")],
            2,
            id="opening and movement",
        ),
        pytest.param(
            [evidence("a", Code.PERIMETER, sensor_id="x"), evidence("b", Code.PERIMETER, sensor_id="y")],
            2,
            id="two openings",
        ),
        pytest.param(
            [evidence("a", Code.PERIMETER, sensor_id="x"), evidence("b", Code.ENTRY_EXIT, sensor_id="x")],
            1,
            id="the same door twice",
        ),
        pytest.param(
            [evidence("a", Code.INTERIOR, sensor_id="x"), evidence("b", Code.INTERIOR, sensor_id="y")],
            1,
            id="two motion detectors may be one pet",
        ),
        pytest.param([evidence("a", Code.INTERIOR), fused("f", GLASS)], 2, id="movement and glass"),
        pytest.param([fused("f", GLASS)], 1, id="one model family"),
        pytest.param([fused("f", GLASS, MOVED, FORCED), fused("g", GLASS)], 2, id="models alone"),
        pytest.param([evidence("a", Code.DURESS)], 4, id="duress"),
        pytest.param([evidence("a", Code.AC_LOSS)], 0, id="trouble"),
    ],
)
def test_avs_level(raised: list[Evidence], level: int) -> None:
    alarm = only(store_of(*raised, kind=AlarmKind.BURGLARY))
    assert alarm.avs_level == level
    assert alarm.avs_rule == "avs-rule-1"
    assert alarm.avs_reasons


def test_fire_that_only_models_see_asserts_at_most_two() -> None:
    doubtful = fused("f", ("air", "air-kitchen", "kitchen", "fire"), ("sound", "s", "kitchen", "smoke_alarm"))
    store = store_of(doubtful)
    assert only(store).avs_level == 2
    store.attach(HOME, AlarmKind.FIRE, [(evidence("a"), "")])
    assert only(store).avs_level == 4
    assert only(store).title == "Smoke"


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        ([fused("f", GLASS, MOVED)], "Glass break and movement in the kitchen, armed away"),
        (
            [evidence("a"), evidence("b", Code.HEAT, sensor_id="air-kitchen")],
            "Rapid heat rise and smoke in the kitchen, armed away",
        ),
        (
            [evidence("a", Code.PERIMETER), evidence("b", Code.INTERIOR, room="hall", at_s=9)],
            "Window or door forced in the kitchen, movement in the hall, armed away",
        ),
        ([evidence("a", Code.AC_LOSS, room="")], "Mains power lost"),
        ([evidence("a", cert_expired=True)], "Smoke in the kitchen, armed away, certificate expired"),
        (
            [evidence("a", Code.INTERIOR, arrived_us=NOW_US + 3 * 3600 * SECOND_US)],
            "Movement in the kitchen, armed away, reported 3 h late",
        ),
    ],
    ids=["models", "fire", "burglary", "trouble", "expired", "late"],
)
def test_headline(raised: list[Evidence], sentence: str) -> None:
    assert {only(store_of(*order)).headline for order in permutations(raised)} <= {
        sentence,
        sentence.replace("Rapid heat rise and smoke", "Smoke and rapid heat rise"),
    }


# Three stretches of time, each closed by the console at its end: whatever happened in a stretch
# belongs to that stretch's episode, however late and however often it arrives.
@st.composite
def _lives(draw: st.DrawFn) -> tuple[list[list[Evidence]], list[list[Evidence]]]:
    """(what happened by stretch, what arrives by stretch)."""
    happened: list[list[Evidence]] = []
    for stretch in range(3):
        count = draw(st.integers(1, 4))
        made = [evidence(f"n{stretch}{i}", at_s=stretch * 1000 + i * 100) for i in range(count)]
        made += [
            restore(f"r{stretch}{i}", at_s=stretch * 1000 + 450 + i) for i in range(draw(st.integers(0, 2)))
        ]
        happened.append(made)
    arriving: list[list[Evidence]] = [[], [], []]
    for stretch, made in enumerate(happened):
        # At least its first alarm comes in time: an episode that nobody saw cannot be closed.
        arriving[stretch].append(made[0])
        for one in made[1:]:
            arriving[draw(st.integers(stretch, 2))].append(one)
        for one in made:
            for _ in range(draw(st.integers(0, 2))):
                arriving[draw(st.integers(stretch, 2))].append(one)
    return happened, [draw(st.permutations(a)) for a in arriving]


@settings(max_examples=150, deadline=None)
@given(_lives(), st.integers(1, 4))
def test_any_order_and_repetition_gives_each_episode_the_same_evidence(
    lives: tuple[list[list[Evidence]], list[list[Evidence]]], bundle: int
) -> None:
    happened, arriving = lives
    now = [NOW_US]
    store = MemoryStore(lambda: now[0])
    seen: set[str] = set()
    for stretch, arrivals in enumerate(arriving):
        now[0] = NOW_US + (stretch * 1000 + 800) * SECOND_US
        for first in range(0, len(arrivals), bundle):
            store.attach(HOME, AlarmKind.FIRE, [(e, "") for e in arrivals[first : first + bundle]])
        opens = [name for name, a in store.alarms.items() if a.state != "closed"]
        assert len(opens) == 1
        store.alarms[opens[0]] = closed(store.alarms[opens[0]], at_s=stretch * 1000 + 900)
        assert not seen & set(opens)
        seen |= set(opens)
    got = sorted(sorted(held) for held in store.evidence.values())
    arrived = {e.evidence_id for a in arriving for e in a}
    assert got == sorted(sorted({e.evidence_id for e in made} & arrived) for made in happened)
    for name, alarm in store.alarms.items():
        assert alarm.evidence_count == len(store.evidence[name])
        newest = max(e.occurred_us for e in store.evidence[name].values() if e.qualifier == 1)
        restores = [e.occurred_us for e in store.evidence[name].values() if e.qualifier == 3]
        assert alarm.restored_us == (max(restores) if any(r >= newest for r in restores) else None)
    assert sorted(store.index) == sorted(arrived)
