"""The rules of claim and close, without any database."""

from __future__ import annotations

import pytest

from schemas.alarms import CONSOLE_FIELDS, TRANSITIONS, Alarm, AlarmState
from schemas.errors import BadInput
from schemas.events import Code
from tests.webapp.seed import make_alarm
from webapp import handling, lifecycle
from webapp.errors import Refused
from webapp.lifecycle import Actor, Step

NOW = 1_790_000_000_000_000
ANNA, BEN = Actor("u-anna", "Anna"), Actor("u-ben", "Ben")
CHEF = Actor("u-chef", "Chef", "supervisor")
LEASE_S = 90


def after(alarm: Alarm, step: Step) -> Alarm:
    return Alarm.model_validate({**alarm.model_dump(), **step.changes})


@pytest.fixture
def fresh() -> Alarm:
    return make_alarm("home-0001", Code.SMOKE, NOW, 10)


@pytest.fixture
def annas(fresh: Alarm) -> Alarm:
    return after(fresh, lifecycle.claim(fresh, ANNA, NOW, LEASE_S))


def test_claim_sets_state_holder_fence_and_time_of_acknowledgement(fresh: Alarm) -> None:
    step = lifecycle.claim(fresh, ANNA, NOW, LEASE_S)
    assert step.changes["state"] == "claimed"
    assert step.changes["fence"] == 1
    assert step.changes["acknowledged_us"] == NOW
    assert step.changes["claim"]["expires_us"] == NOW + 90_000_000
    assert step.entry == {
        "at_us": NOW,
        "action": "claimed",
        "user": "u-anna",
        "name": "Anna",
        "from_state": "new",
        "to_state": "claimed",
        "fence": 1,
    }


def test_second_claim_is_refused_with_the_holders_name(annas: Alarm) -> None:
    with pytest.raises(Refused, match="Anna already has this alarm"):
        lifecycle.claim(annas, BEN, NOW + 1, LEASE_S)


def test_claiming_again_oneself_renews_under_the_same_fence(annas: Alarm) -> None:
    step = lifecycle.claim(annas, ANNA, NOW + 5_000_000, LEASE_S)
    assert step.changes.keys() == {"claim"}
    assert step.changes["claim"]["fence"] == 1
    assert step.changes["claim"]["expires_us"] == NOW + 95_000_000


def test_lapsed_claim_goes_to_the_next_and_fences_out_the_first(annas: Alarm) -> None:
    later = NOW + LEASE_S * 1_000_000
    bens = after(annas, lifecycle.claim(annas, BEN, later, LEASE_S))
    assert (bens.claim and bens.claim.user, bens.fence) == ("u-ben", 2)
    assert bens.acknowledged_us == NOW, "the first acknowledgement stands"
    with pytest.raises(Refused, match="Ben has this alarm now"):
        lifecycle.renew(bens, ANNA, 1, later + 1, LEASE_S)
    with pytest.raises(Refused, match="Ben has this alarm now"):
        handling.close(bens, ANNA, 1, "real", "", later + 1)


def test_stale_fence_of_the_same_dispatcher_is_refused(annas: Alarm) -> None:
    later = NOW + LEASE_S * 1_000_000
    again = after(annas, lifecycle.claim(annas, ANNA, later, LEASE_S))
    with pytest.raises(Refused, match="ran out and was taken again"):
        handling.close(again, ANNA, 1, "real", "", later + 1)


def test_lapsed_claim_that_nobody_took_may_still_be_closed_by_its_holder(annas: Alarm) -> None:
    step = handling.close(annas, ANNA, 1, "real", "", NOW + 1000 * LEASE_S * 1_000_000)
    assert step.changes["state"] == "closed"


def test_dispatched_alarm_keeps_its_state_when_the_holder_changes(annas: Alarm) -> None:
    dispatched = annas.model_copy(update={"state": AlarmState.DISPATCHED})
    step = lifecycle.claim(dispatched, BEN, NOW + LEASE_S * 1_000_000, LEASE_S)
    assert step.changes["state"] == "dispatched"


def test_release_returns_it_to_the_queue(annas: Alarm) -> None:
    step = lifecycle.release(annas, ANNA, 1, NOW + 1)
    assert (step.changes["state"], step.changes["claim"]) == ("new", None)


def test_close_stamps_code_note_and_time(annas: Alarm) -> None:
    step = handling.close(annas, ANNA, 1, "false_cooking", "toast", NOW + 7)
    assert step.changes == {
        "state": "closed",
        "closed_us": NOW + 7,
        "actioned_us": NOW + 7,
        "acted_us": NOW + 7,
        "escalation": 0,
        "close_out": "false_cooking",
        "close_note": "toast",
    }


@pytest.mark.parametrize("state", list(AlarmState))
def test_close_is_allowed_exactly_where_the_table_says(annas: Alarm, state: AlarmState) -> None:
    alarm = annas.model_copy(update={"state": state})
    if AlarmState.CLOSED in TRANSITIONS[state]:
        assert handling.close(alarm, ANNA, 1, "real", "", NOW).changes["state"] == "closed"
    else:
        with pytest.raises(Refused):
            handling.close(alarm, ANNA, 1, "real", "", NOW)


def test_release_of_a_dispatched_alarm_is_refused(annas: Alarm) -> None:
    with pytest.raises(Refused, match="dispatched cannot become new"):
        lifecycle.release(annas.model_copy(update={"state": AlarmState.DISPATCHED}), ANNA, 1, NOW)


def test_close_refuses_unknown_code_and_long_note(annas: Alarm) -> None:
    with pytest.raises(BadInput, match="'burnt toast'"):
        handling.close(annas, ANNA, 1, "burnt toast", "", NOW)
    with pytest.raises(BadInput, match="2001 characters, limit 2000"):
        handling.close(annas, ANNA, 1, "real", "x" * 2001, NOW)


def test_lapsed_claim_returns_to_the_queue_and_its_holder_is_told(annas: Alarm) -> None:
    assert lifecycle.lapse(annas, NOW + LEASE_S * 1_000_000 - 1) is None
    ended = NOW + LEASE_S * 1_000_000
    step = lifecycle.lapse(annas, ended)
    assert step
    assert step.changes == {"state": "new", "claim": None, "returned_us": ended}
    assert (step.entry["name"], step.entry["from_name"]) == ("Hearthwatch", "Anna")
    back = after(annas, step)
    assert lifecycle.lapse(back, ended) is None, "once"
    with pytest.raises(Refused, match="Claim this alarm first"):
        lifecycle.renew(back, ANNA, 1, ended, LEASE_S)


def test_help_on_its_way_stays_when_the_claim_lapses(annas: Alarm) -> None:
    step = lifecycle.lapse(annas.model_copy(update={"state": AlarmState.DISPATCHED}), NOW + 91_000_000)
    assert step
    assert (step.changes["state"], step.changes["claim"]) == ("dispatched", None)


def test_supervisor_takes_over_and_fences_the_holder_out(annas: Alarm) -> None:
    step = lifecycle.take_over(annas, CHEF, "Anna is on the phone", NOW + 5, LEASE_S)
    assert (step.entry["note"], step.entry["from_name"]) == ("Anna is on the phone", "Anna")
    taken = after(annas, step)
    assert (taken.claim and taken.claim.user, taken.fence) == ("u-chef", 2)
    with pytest.raises(Refused, match="Chef has this alarm now"):
        handling.close(taken, ANNA, 1, "real", "", NOW + 6)


def test_take_over_wants_a_supervisor_a_reason_and_somebody_to_take_from(fresh: Alarm, annas: Alarm) -> None:
    with pytest.raises(Refused, match="Only a supervisor"):
        lifecycle.take_over(annas, BEN, "why not", NOW, LEASE_S)
    with pytest.raises(BadInput, match="reason has 0 characters"):
        lifecycle.take_over(annas, CHEF, "  ", NOW, LEASE_S)
    with pytest.raises(Refused, match="Nobody else has this alarm"):
        lifecycle.take_over(fresh, CHEF, "slow", NOW, LEASE_S)


def test_every_rule_writes_console_fields_only(fresh: Alarm, annas: Alarm) -> None:
    steps = [
        lifecycle.claim(fresh, ANNA, NOW, LEASE_S),
        lifecycle.renew(annas, ANNA, 1, NOW, LEASE_S),
        lifecycle.release(annas, ANNA, 1, NOW),
        handling.close(annas, ANNA, 1, "real", "", NOW),
    ]
    assert set().union(*(step.changes for step in steps)) <= CONSOLE_FIELDS
