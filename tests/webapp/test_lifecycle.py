"""The rules of claim and close, without any database."""

from __future__ import annotations

import pytest

from schemas.alarms import CONSOLE_FIELDS, TRANSITIONS, Alarm, AlarmState
from schemas.errors import BadInput
from schemas.events import Code
from tests.webapp.seed import make_alarm
from webapp import lifecycle
from webapp.errors import Refused
from webapp.lifecycle import Actor, Step

NOW = 1_790_000_000_000_000
ANNA, BEN = Actor("u-anna", "Anna"), Actor("u-ben", "Ben")
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
        lifecycle.close(bens, ANNA, 1, "real", "", later + 1)


def test_stale_fence_of_the_same_dispatcher_is_refused(annas: Alarm) -> None:
    later = NOW + LEASE_S * 1_000_000
    again = after(annas, lifecycle.claim(annas, ANNA, later, LEASE_S))
    with pytest.raises(Refused, match="ran out and was taken again"):
        lifecycle.close(again, ANNA, 1, "real", "", later + 1)


def test_lapsed_claim_that_nobody_took_may_still_be_closed_by_its_holder(annas: Alarm) -> None:
    step = lifecycle.close(annas, ANNA, 1, "real", "", NOW + 1000 * LEASE_S * 1_000_000)
    assert step.changes["state"] == "closed"


def test_dispatched_alarm_keeps_its_state_when_the_holder_changes(annas: Alarm) -> None:
    dispatched = annas.model_copy(update={"state": AlarmState.DISPATCHED})
    step = lifecycle.claim(dispatched, BEN, NOW + LEASE_S * 1_000_000, LEASE_S)
    assert step.changes["state"] == "dispatched"


def test_release_returns_it_to_the_queue(annas: Alarm) -> None:
    step = lifecycle.release(annas, ANNA, 1, NOW + 1)
    assert (step.changes["state"], step.changes["claim"]) == ("new", None)


def test_close_stamps_code_note_and_time(annas: Alarm) -> None:
    step = lifecycle.close(annas, ANNA, 1, "false_cooking", "toast", NOW + 7)
    assert step.changes == {
        "state": "closed",
        "closed_us": NOW + 7,
        "actioned_us": NOW + 7,
        "close_out": "false_cooking",
        "close_note": "toast",
    }


@pytest.mark.parametrize("state", list(AlarmState))
def test_close_is_allowed_exactly_where_the_table_says(annas: Alarm, state: AlarmState) -> None:
    alarm = annas.model_copy(update={"state": state})
    if AlarmState.CLOSED in TRANSITIONS[state]:
        assert lifecycle.close(alarm, ANNA, 1, "real", "", NOW).changes["state"] == "closed"
    else:
        with pytest.raises(Refused):
            lifecycle.close(alarm, ANNA, 1, "real", "", NOW)


def test_release_of_a_dispatched_alarm_is_refused(annas: Alarm) -> None:
    with pytest.raises(Refused, match="dispatched cannot become new"):
        lifecycle.release(annas.model_copy(update={"state": AlarmState.DISPATCHED}), ANNA, 1, NOW)


def test_close_refuses_unknown_code_and_long_note(annas: Alarm) -> None:
    with pytest.raises(BadInput, match="'burnt toast'"):
        lifecycle.close(annas, ANNA, 1, "burnt toast", "", NOW)
    with pytest.raises(BadInput, match="2001 characters, limit 2000"):
        lifecycle.close(annas, ANNA, 1, "real", "x" * 2001, NOW)


def test_every_rule_writes_console_fields_only(fresh: Alarm, annas: Alarm) -> None:
    steps = [
        lifecycle.claim(fresh, ANNA, NOW, LEASE_S),
        lifecycle.renew(annas, ANNA, 1, NOW, LEASE_S),
        lifecycle.release(annas, ANNA, 1, NOW),
        lifecycle.close(annas, ANNA, 1, "real", "", NOW),
    ]
    assert set().union(*(step.changes for step in steps)) <= CONSOLE_FIELDS
