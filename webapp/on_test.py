"""A home on test: for a while its alarms are somebody's work and not an emergency. Pure rules.

Life safety is never set apart: a fire can break out during a test, and whoever tests is on the phone
and can say that it was the test. Everything else of the home is shown apart, silent and not escalated.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from schemas.alarms import Alarm
from schemas.audit import chain_of
from schemas.errors import BadInput
from schemas.events import Category
from schemas.homes import OnTest
from webapp.audit import Record
from webapp.lifecycle import SECOND_US, Actor, checked_text

MIN_MINUTES: Final = 5
MAX_MINUTES: Final = 8 * 60  # one working day of a technician; longer is begun anew


def begin(home_id: str, actor: Actor, minutes: int, reason: str, now_us: int) -> OnTest:
    """From now on, for some minutes. Beginning again replaces what was.

    Raises:
        BadInput: Too short, too long, or no reason.
    """
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        raise BadInput(f"minutes is {minutes}, limits {MIN_MINUTES} and {MAX_MINUTES}")
    text = checked_text("reason", reason)
    until_us = now_us + minutes * 60 * SECOND_US
    return OnTest(home_id=home_id, until_us=until_us, since_us=now_us, by=actor.user, reason=text)


def end(now: OnTest, now_us: int) -> OnTest:
    """Over before its time."""
    return now.model_copy(update={"until_us": min(now.until_us, now_us)})


def is_set_apart(alarm: Alarm, homes_on_test: Container[str]) -> bool:
    """Whether it waits apart, without sound and escalation."""
    asks_for_help = alarm.owner_said is not None and alarm.owner_said.kind == "help"
    return alarm.home_id in homes_on_test and alarm.category is not Category.LIFE and not asks_for_help


def record(actor: Actor, action: str, before: OnTest | None, after: OnTest, now_us: int) -> Record:
    """For the home's chain of the audit trail; the reason by its length only."""
    return Record(
        chain=chain_of("home", after.home_id),
        at_us=now_us,
        user=actor.user,
        role=actor.role,
        action=action,
        target=after.home_id,
        before={"until_us": before.until_us if before else None},
        after={"until_us": after.until_us, "reason": f"{len(after.reason)} characters"},
    )
