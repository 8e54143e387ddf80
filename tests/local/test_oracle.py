"""The judge of a run: finds what was lost, missed, false or doubled."""

from typing import Any

import pytest

from local.oracle import (
    RaisedAlarm,
    RaisedIncident,
    count_batches,
    latencies,
    match_alarms,
    match_incidents,
)
from local.simulator.truth import CLOUD_S

S = 1_000_000
TRUTH: list[dict[str, Any]] = [
    {"t_us": 0, "what": "quiet", "home_id": "home-0001", "kind": "*"},
    {"t_us": 0, "what": "plan", "home_id": "home-0001", "kind": "fire", "at_s": 10},
    {"t_us": 0, "what": "allow", "home_id": "home-0001", "kind": "power"},
    {
        "t_us": 12 * S,
        "what": "expect",
        "home_id": "home-0001",
        "kind": "fire",
        "from_us": 10 * S,
        "by_us": int((12 + CLOUD_S) * S),
    },
]
SENT = {"gw-0001": [{"epoch": "aa", "last_confirmed_seq": 3, "confirmed": 3}]}


def fire(opened_s: float = 13.0, home: str = "home-0001") -> RaisedAlarm:
    return RaisedAlarm(home, "fire", int(opened_s * S), (int(12.5 * S),), (int(opened_s * S),))


def test_a_run_in_which_everything_happened_has_no_complaint() -> None:
    assert match_alarms(TRUTH, [fire()]) == ((1, 1, 0, 0, 0), [], [])


def test_an_alarm_that_did_not_open_is_missed() -> None:
    counts, _, complaints = match_alarms(TRUTH, [])
    assert counts.missed == 1
    assert complaints == ["home-0001: fire was expected and did not open"]


@pytest.mark.parametrize("opened_s", [9.0, 12 + CLOUD_S + 1])
def test_an_alarm_outside_its_time_is_missed(opened_s: float) -> None:
    counts, _, complaints = match_alarms(TRUTH, [fire(opened_s)])
    assert counts.missed == 1
    assert complaints == ["home-0001: fire opened outside its time"]


def test_an_alarm_in_a_quiet_home_is_false_and_one_that_is_allowed_is_not() -> None:
    power = RaisedAlarm("home-0001", "power", 20 * S, (), ())
    counts, beside, complaints = match_alarms(TRUTH, [fire(), power, fire(home="home-0002")])
    assert counts.false == 1
    assert beside == ["home-0001: power"]
    assert complaints == ["home-0002: fire opened and nothing had happened"]


def test_a_second_episode_of_the_same_alarm_is_repeated() -> None:
    counts, _, complaints = match_alarms(TRUTH, [fire(), fire(14.0)])
    assert counts == (1, 2, 0, 0, 1)
    assert complaints == ["home-0001: fire opened 2 times"]


def test_a_planned_alarm_whose_trigger_was_never_sent_is_missed() -> None:
    counts, _, complaints = match_alarms(TRUTH[:2], [])
    assert (counts.expected, counts.missed) == (1, 1)
    assert complaints == ["home-0001: fire was planned and its trigger never sent"]


def test_a_confirmed_batch_that_is_not_archived_is_missing() -> None:
    counts = count_batches(SENT, [("gw-0001", "aa", 1), ("gw-0001", "aa", 2)], 0)
    assert counts.missing == 1


def test_a_batch_archived_beyond_the_confirmed_ones_does_not_hide_a_hole() -> None:
    counts = count_batches(SENT, [("gw-0001", "aa", seq) for seq in (1, 2, 4)], 0)
    assert counts.missing == 1


def test_batches_of_another_epoch_or_gateway_do_not_count() -> None:
    counts = count_batches(SENT, [("gw-0001", "bb", seq) for seq in (1, 2, 3)], 0)
    assert counts.missing == 3


def test_a_batch_archived_twice_is_a_duplicate_and_not_missing() -> None:
    counts = count_batches(SENT, [("gw-0001", "aa", seq) for seq in (1, 1, 2, 3)], 2)
    assert counts == (3, 3, 0, 1, 2)


def test_latency_is_measured_from_the_sensor_and_from_publishing() -> None:
    measured = latencies(TRUTH, [fire(13.0)])
    assert measured["publish_to_alarm"]["p50"] == pytest.approx(0.5)
    assert measured["sensor_to_alarm"]["p50"] == pytest.approx(1.0)


VANISHED = [{"what": "vanished", "home_id": f"home-{n}", "area": "Ost", "by_us": 200 * S} for n in range(3)]
BACK = [{"what": "back", "home_id": f"home-{n}", "area": "Ost", "by_us": 400 * S} for n in range(3)]


def incident(region: str = "Ost", homes: int = 3, opened_s: float = 190.0, restored_s: float | None = None):
    restored_us = None if restored_s is None else int(restored_s * S)
    return RaisedIncident(region, homes, homes if restored_s else 0, int(opened_s * S), restored_us)


def test_homes_that_vanished_together_are_one_incident_that_ends_when_all_are_back() -> None:
    assert match_incidents(VANISHED, [incident()]) == []
    assert match_incidents([*VANISHED, *BACK], [incident(restored_s=390)]) == []
    assert match_incidents([*VANISHED, *BACK[:2]], [incident()]) == []


@pytest.mark.parametrize(
    ("truth", "raised"),
    [
        (VANISHED, []),
        (VANISHED, [incident(), incident()]),
        (VANISHED, [incident(homes=2)]),
        (VANISHED, [incident(opened_s=201)]),
        ([*VANISHED, *BACK], [incident()]),
        ([], [incident()]),
        (VANISHED, [incident(), incident("West")]),
    ],
    ids=["none", "two", "too-few-homes", "too-late", "never-ends", "nothing-happened", "elsewhere-too"],
)
def test_an_incident_that_is_missing_wrong_or_false_is_a_complaint(truth: Any, raised: Any) -> None:
    assert len(match_incidents(truth, raised)) == 1
