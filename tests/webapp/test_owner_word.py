"""An owner's word becomes part of the alarm and ends nothing."""

from __future__ import annotations

import pytest

from schemas.alarms import Alarm, AlarmState
from schemas.events import Code
from tests.webapp.fakes import MemoryAlarms
from tests.webapp.seed import SECOND, make_alarm
from webapp import audit, handling, lifecycle, on_test, owner_word
from webapp.lifecycle import Actor

NOW = 1_790_000_000 * SECOND
OWNER = Actor("u-owner", "Owner", "owner")
ANNA = Actor("u-anna", "Anna")


PARTNER = Actor("u-partner", "Owner", "owner")


def applied(
    alarms: MemoryAlarms, alarm: Alarm, kind: str, note: str = "", who: Actor = OWNER, said_us: int = NOW
) -> Alarm:
    return alarms.apply(alarm.alarm_id, who, lambda a: owner_word.said(a, who, kind, note, said_us, NOW))


def test_it_was_me_is_seen_and_changes_neither_state_nor_claim() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.SMOKE, NOW, 20)
    alarms.put(alarm)
    alarms.apply(alarm.alarm_id, ANNA, lambda a: lifecycle.claim(a, ANNA, NOW, 90))
    after = applied(alarms, alarm, "it_was_me", "burnt toast")
    assert after.state is AlarmState.CLAIMED
    assert after.claim is not None
    assert after.claim.name == "Anna"
    assert after.owner_said is not None
    assert (after.owner_said.kind, after.owner_said.note) == (
        "it_was_me",
        "burnt toast",
    )
    assert alarms.history(alarm.alarm_id)[-1]["action"] == "it was me"
    assert alarms.history(alarm.alarm_id)[-1]["note"] == "burnt toast"


def test_the_trail_knows_who_said_it_and_not_in_which_words() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.SMOKE, NOW, 20)
    alarms.put(alarm)
    applied(alarms, alarm, "it_was_me", "burnt toast")
    entry = alarms.audit[-1]
    assert (entry.user, entry.role, entry.action) == ("u-owner", "owner", "it was me")
    assert "toast" not in entry.model_dump_json()
    assert entry.after["owner_said"]["note"] == "11 characters"
    assert entry.after["owner_words"][0]["note"] == "11 characters"
    assert audit.verify(alarms.trail()) == []


@pytest.mark.parametrize("who", [OWNER, PARTNER])
def test_no_it_was_me_takes_a_cry_for_help_back(who: Actor) -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.PERIMETER, NOW, 20)
    alarms.put(alarm)
    applied(alarms, alarm, "help", said_us=NOW)
    after = applied(alarms, alarm, "it_was_me", who=who, said_us=NOW + SECOND)
    assert after.owner_said is not None
    assert after.owner_said.kind == "help"
    assert [word.kind for word in after.owner_words] == ["help", "it_was_me"]
    assert not on_test.is_set_apart(after, {"home-0001"})


def test_a_cry_for_help_from_before_all_words_were_kept_still_counts() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.PERIMETER, NOW, 20)
    help_us = {"kind": "help", "user": "u-owner", "at_us": NOW, "note": ""}
    alarms.put(Alarm.model_validate({**alarm.model_dump(exclude={"owner_words"}), "owner_said": help_us}))
    after = applied(alarms, alarm, "it_was_me", who=PARTNER, said_us=NOW + SECOND)
    assert after.owner_said is not None
    assert (after.owner_said.kind, len(after.owner_words)) == ("help", 2)


def test_words_stand_in_the_order_in_which_they_were_said_however_they_arrive() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.SMOKE, NOW, 20)
    alarms.put(alarm)
    applied(alarms, alarm, "it_was_me", who=PARTNER, said_us=NOW + SECOND)
    after = applied(alarms, alarm, "it_was_me", said_us=NOW)
    assert [word.user for word in after.owner_words] == [OWNER.user, PARTNER.user]
    assert after.owner_said == after.owner_words[1]


def test_help_calls_a_second_dispatcher_to_what_nobody_has() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.PERIMETER, NOW, 5)
    alarms.put(alarm)
    assert applied(alarms, alarm, "help").escalation == 1


def test_help_for_an_alarm_that_was_just_closed_brings_it_back() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.PERIMETER, NOW, 50)
    alarms.put(alarm)
    claimed = alarms.apply(alarm.alarm_id, ANNA, lambda a: lifecycle.claim(a, ANNA, NOW, 90))
    alarms.apply(alarm.alarm_id, ANNA, lambda a: handling.close(a, ANNA, claimed.fence, "false_pet", "", NOW))
    after = applied(alarms, alarm, "help")
    assert after.state is AlarmState.NEW
    assert after.owner_said is not None
    assert alarms.labels == {}


def test_what_the_owner_said_becomes_part_of_the_label() -> None:
    alarms, alarm = MemoryAlarms(), make_alarm("home-0001", Code.SMOKE, NOW, 50)
    alarms.put(alarm)
    applied(alarms, alarm, "it_was_me")
    claimed = alarms.apply(alarm.alarm_id, ANNA, lambda a: lifecycle.claim(a, ANNA, NOW, 90))
    alarms.apply(
        alarm.alarm_id, ANNA, lambda a: handling.close(a, ANNA, claimed.fence, "false_cooking", "", NOW)
    )
    assert alarms.labels[alarm.alarm_id].owner_said == "it_was_me"
