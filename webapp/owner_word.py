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


def said(alarm: Alarm, owner: Actor, kind: str, note: str, said_us: int, now_us: int) -> Step:
    """The owner's word becomes part of the alarm, beside those said before. Help brings back what was closed
    meanwhile, and calls a second dispatcher to what nobody holds. No "it was me" takes a cry for help back,
    whoever says it: the phone may be in other hands, and two people may be at home.

    Args:
        said_us: The database's clock when it was said. now_us: When it is taken.

    Raises:
        Refused: Help for an alarm that was closed long ago, or whose place a newer one has taken.
    """
    word = OwnerSaid.model_validate({"kind": kind, "user": owner.user, "at_us": said_us, "note": note})
    words = sorted([*alarm.owner_words, word], key=lambda one: one.at_us)
    counts = max(words, key=lambda one: (one.kind == HELP, one.at_us))
    changes: dict[str, Any] = {
        "owner_words": [one.model_dump() for one in words],
        "owner_said": counts.model_dump(),
    }
    if kind == HELP and alarm.state is AlarmState.CLOSED:
        allowed = owner._replace(role="supervisor")  # of the times in which something can be reopened
        changes |= handling.reopen(alarm, allowed, "The owner asks for help", now_us).changes
    elif kind == HELP and holder(alarm, now_us) is None and alarm.escalation < SECOND_DISPATCHER:
        changes |= {"escalation": SECOND_DISPATCHER, "escalated_us": now_us}
    return step(alarm, owner, ACTIONS[kind], now_us, {"note": note} if note else None, **changes)
