"""What the holder may do, without any database; and that no way leads past handling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alarms import CONSOLE_FIELDS, TRANSITIONS, Alarm, AlarmState
from schemas.errors import BadInput
from schemas.events import Code
from schemas.labels import dispatcher_label
from tests.webapp.seed import make_alarm
from webapp import escalation, handling, lifecycle
from webapp.errors import Refused
from webapp.lifecycle import Actor, Rule, Step

NOW = 1_790_000_000_000_000
SECOND = 1_000_000
ANNA, BEN = Actor("u-anna", "Anna"), Actor("u-ben", "Ben")
CHEF = Actor("u-chef", "Chef", "supervisor")


def after(alarm: Alarm, *rules: Callable[[Alarm], Step | None]) -> Alarm:
    for rule in rules:
        step = rule(alarm)
        alarm = Alarm.model_validate({**alarm.model_dump(), **(step.changes if step else {})})
    return alarm


@pytest.fixture
def annas() -> Alarm:
    fresh = make_alarm("home-0001", Code.PERIMETER, NOW, 10)
    return after(fresh, lambda a: lifecycle.claim(a, ANNA, NOW, 90))


def closed(alarm: Alarm, at_us: int = NOW) -> Alarm:
    return after(alarm, lambda a: handling.close(a, ANNA, 1, "real", "burglar", at_us))


def test_dispatch_then_on_scene_then_close_stamps_each_time(annas: Alarm) -> None:
    ended = after(
        annas,
        lambda a: handling.dispatch(a, ANNA, 1, "police", NOW + 1),
        lambda a: handling.dispatch(a, ANNA, 1, "guard", NOW + 2),
        lambda a: handling.on_scene(a, ANNA, 1, NOW + 3),
        lambda a: handling.close(a, ANNA, 1, "real", "", NOW + 4),
    )
    assert ended.services == ["police", "guard"]
    assert (ended.actioned_us, ended.dispatched_us, ended.on_scene_us, ended.closed_us) == (
        NOW + 1,
        NOW + 1,
        NOW + 3,
        NOW + 4,
    )


def test_second_service_on_scene_keeps_the_state(annas: Alarm) -> None:
    there = after(
        annas,
        lambda a: handling.dispatch(a, ANNA, 1, "police", NOW),
        lambda a: handling.on_scene(a, ANNA, 1, NOW),
        lambda a: handling.dispatch(a, ANNA, 1, "ambulance", NOW),
    )
    assert (there.state, there.services) == ("on_scene", ["police", "ambulance"])


def test_service_is_sent_once_and_must_be_known(annas: Alarm) -> None:
    sent = after(annas, lambda a: handling.dispatch(a, ANNA, 1, "police", NOW))
    with pytest.raises(Refused, match="Police: sent already"):
        handling.dispatch(sent, ANNA, 1, "police", NOW)
    with pytest.raises(BadInput, match="service is 'navy'"):
        handling.dispatch(annas, ANNA, 1, "navy", NOW)


def test_nobody_is_on_scene_who_was_not_sent(annas: Alarm) -> None:
    with pytest.raises(Refused, match="claimed cannot become on scene"):
        handling.on_scene(annas, ANNA, 1, NOW)


def test_calls_are_kept_by_place_and_outcome(annas: Alarm) -> None:
    called = after(
        annas,
        lambda a: handling.call(a, ANNA, 1, 0, "no_answer", NOW + 1),
        lambda a: handling.call(a, ANNA, 1, 1, "reached", NOW + 2),
    )
    assert [(c.contact, c.outcome) for c in called.calls] == [(0, "no_answer"), (1, "reached")]
    assert (called.actioned_us, called.acted_us) == (NOW + 1, NOW + 2)
    with pytest.raises(BadInput, match="contact is 20, limits 0 and 19"):
        handling.call(annas, ANNA, 1, 20, "busy", NOW)
    with pytest.raises(BadInput, match="known are"):
        handling.call(annas, ANNA, 1, 0, "rude", NOW)


def test_steps_are_ticked_unticked_and_never_twice(annas: Alarm) -> None:
    ticked = after(annas, lambda a: handling.tick(a, ANNA, 1, 2, True, NOW))
    assert ticked.steps_done == [2]
    assert handling.tick(ticked, ANNA, 1, 2, True, NOW) is None
    assert after(ticked, lambda a: handling.tick(a, ANNA, 1, 2, False, NOW)).steps_done == []
    with pytest.raises(BadInput, match="step is -1"):
        handling.tick(annas, ANNA, 1, -1, True, NOW)


def test_right_safe_word_ends_the_alarm_and_wrong_ones_are_counted_until_it_is_real(annas: Alarm) -> None:
    ended = after(annas, lambda a: handling.cancel(a, ANNA, 1, "false_user", "", True, NOW + 1))
    assert (ended.state, ended.close_out, ended.safe_word_us) == ("closed", "false_user", NOW + 1)
    wrong = annas
    for count in (1, 2, 3):
        wrong = after(wrong, lambda a: handling.cancel(a, ANNA, 1, "false_user", "", False, NOW))
        assert (wrong.state, wrong.safe_word_failures) == ("claimed", count)
    with pytest.raises(Refused, match="3 wrong safe words"):
        handling.cancel(wrong, ANNA, 1, "false_user", "", True, NOW)


def test_duress_is_never_cancelled_and_a_real_alarm_is_no_cancel(annas: Alarm) -> None:
    duress = make_alarm("home-0001", Code.DURESS, NOW, 10)
    held = after(duress, lambda a: lifecycle.claim(a, ANNA, NOW, 90))
    with pytest.raises(Refused, match="never cancelled"):
        handling.cancel(held, ANNA, 1, "false_user", "", True, NOW)
    with pytest.raises(BadInput, match="by phone only"):
        handling.cancel(annas, ANNA, 1, "real", "", True, NOW)


@pytest.mark.parametrize(
    ("actor", "after_s", "allowed"),
    [(BEN, 3600, True), (BEN, 3601, False), (CHEF, 86400, True), (CHEF, 86401, False)],
)
def test_reopening_is_bounded_by_role_and_time(
    annas: Alarm, actor: Actor, after_s: int, allowed: bool
) -> None:
    ended = closed(annas)
    if not allowed:
        with pytest.raises(Refused, match="closed more than"):
            handling.reopen(ended, actor, "why", NOW + after_s * SECOND)
        return
    back = after(ended, lambda a: handling.reopen(a, actor, "why", NOW + after_s * SECOND))
    assert (back.state, back.claim, back.close_out, back.closed_us) == ("new", None, None, None)
    assert back.fence == 1, "the earlier holder stays fenced out"


def test_reopening_wants_a_reason_and_a_closed_alarm(annas: Alarm) -> None:
    with pytest.raises(BadInput, match="reason has 0"):
        handling.reopen(closed(annas), ANNA, " ", NOW)
    with pytest.raises(Refused, match="is open"):
        handling.reopen(annas, ANNA, "why", NOW)


def test_note_is_allowed_to_everybody_and_changes_no_field(annas: Alarm) -> None:
    step = handling.note(annas, BEN, " neighbour called ", NOW)
    assert (step.changes, step.entry["note"]) == ({}, "neighbour called")
    with pytest.raises(BadInput, match="2001 characters"):
        handling.note(annas, BEN, "x" * 2001, NOW)


def test_label_is_the_close_out_and_there_is_none_if_nobody_found_out(annas: Alarm) -> None:
    label = dispatcher_label(closed(annas))
    assert label
    assert (label.close_out, label.code, label.home_id) == ("real", Code.PERIMETER, "home-0001")
    assert dispatcher_label(annas) is None
    unknown = after(annas, lambda a: handling.close(a, ANNA, 1, "unknown", "", NOW))
    assert dispatcher_label(unknown) is None


RULES: dict[str, Callable[[Actor, int, int], Rule]] = {
    "claim": lambda who, _fence, at: lambda a: lifecycle.claim(a, who, at, 90),
    "take over": lambda who, _fence, at: lambda a: lifecycle.take_over(a, who, "why", at, 90),
    "renew": lambda who, fence, at: lambda a: lifecycle.renew(a, who, fence, at, 90),
    "release": lambda who, fence, at: lambda a: lifecycle.release(a, who, fence, at),
    "call": lambda who, fence, at: lambda a: handling.call(a, who, fence, 0, "busy", at),
    "tick": lambda who, fence, at: lambda a: handling.tick(a, who, fence, 0, True, at),
    "dispatch": lambda who, fence, at: lambda a: handling.dispatch(a, who, fence, "police", at),
    "on scene": lambda who, fence, at: lambda a: handling.on_scene(a, who, fence, at),
    "note": lambda who, _fence, at: lambda a: handling.note(a, who, "x", at),
    "cancel": lambda who, fence, at: lambda a: handling.cancel(a, who, fence, "test", "", True, at),
    "close": lambda who, fence, at: lambda a: handling.close(a, who, fence, "real", "", at),
    "reopen": lambda who, _fence, at: lambda a: handling.reopen(a, who, "why", at),
    "lapse": lambda _who, _fence, at: lambda a: lifecycle.lapse(a, at),
    "escalate": lambda _who, _fence, at: lambda a: escalation.escalate(a, at),
}
moves = st.lists(
    st.tuples(
        st.sampled_from(sorted(RULES)),
        st.sampled_from([ANNA, BEN, CHEF]),
        st.integers(0, 3),
        st.integers(1, 120),
    ),
    max_size=30,
)


@settings(max_examples=200)
@given(moves)
def test_no_sequence_of_actions_loses_an_alarm_or_leaves_the_table(played: list[Any]) -> None:
    alarm, at_us = make_alarm("home-0001", Code.PERIMETER, NOW, 10), NOW
    for name, who, fence, wait_s in played:
        at_us += wait_s * SECOND
        before = alarm
        try:
            step = RULES[name](who, fence, at_us)(alarm)
        except Refused:
            continue
        if step is None:
            continue
        assert step.changes.keys() <= CONSOLE_FIELDS
        alarm = Alarm.model_validate({**alarm.model_dump(), **step.changes})
        assert alarm.fence >= before.fence
        if alarm.state is not before.state:
            assert alarm.state in TRANSITIONS[before.state]
        if alarm.state is AlarmState.CLOSED and before.state is not AlarmState.CLOSED:
            assert before.claim is not None
            assert (who.user, fence) == (before.claim.user, before.fence), "only its holder ends it"
            assert alarm.close_out is not None
        if alarm.state is AlarmState.CLAIMED:
            assert alarm.claim is not None, "what is claimed has somebody"
        if alarm.claim is None and alarm.state is not AlarmState.CLOSED and before.claim is not None:
            assert alarm.returned_us == at_us, "its waiting starts anew"
