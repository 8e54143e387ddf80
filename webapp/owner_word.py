"""What an owner says about an alarm, as a rule of the console's transaction (`webapp.lifecycle`).

It ends nothing: whoever holds the owner's phone can press the button. A dispatcher sees it and decides.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.alarms import Alarm, AlarmState, OwnerSaid
from webapp import handling
from webapp.escalation import SECOND_DISPATCHER
from webapp.lifecycle import Actor, Step, holder, step

HELP: Final = "help"
ACTIONS: Final = {"it_was_me": "it was me", HELP: "help"}


def said(alarm: Alarm, owner: Actor, kind: str, note: str, now_us: int) -> Step:
    """The owner's word becomes part of the alarm. Help brings back what was closed meanwhile, and calls a
    second dispatcher to what nobody holds.

    Raises:
        Refused: Help for an alarm that was closed long ago, or whose place a newer one has taken.
    """
    word = OwnerSaid.model_validate({"kind": kind, "user": owner.user, "at_us": now_us, "note": note})
    changes: dict[str, Any] = {"owner_said": word.model_dump()}
    if kind == HELP and alarm.state is AlarmState.CLOSED:
        allowed = owner._replace(role="supervisor")  # of the times in which something can be reopened
        changes |= handling.reopen(alarm, allowed, "The owner asks for help", now_us).changes
    elif kind == HELP and holder(alarm, now_us) is None and alarm.escalation < SECOND_DISPATCHER:
        changes |= {"escalation": SECOND_DISPATCHER, "escalated_us": now_us}
    return step(alarm, owner, ACTIONS[kind], now_us, {"note": note} if note else None, **changes)
