"""Whom to call when nobody handles an alarm: pure rules by the standard's times.

EN 50518 (domain notes; no claim of conformity): life safety 80 % within 30 s and 98.5 % within 60 s,
other alarms 90 s and 180 s. At the first time a second dispatcher is called, at the second the
supervisor. It has no times for troubles; an hour without a supervisor's eye is our own bound.
"""

from __future__ import annotations

from typing import Final

from schemas.alarms import Alarm, AlarmState
from schemas.events import Category
from webapp.lifecycle import SECOND_US, SYSTEM, Step, holder, step

SECOND_DISPATCHER: Final = 1
SUPERVISOR: Final = 2
# Category → seconds until the second dispatcher, the supervisor.
ESCALATE_S: Final = {
    Category.LIFE: (30, 60),
    Category.INTRUSION: (90, 180),
    Category.TROUBLE: (900, 3600),
}


def waiting_since_us(alarm: Alarm, now_us: int) -> int | None:
    """Since when nobody has done anything about it; None if somebody has, or it is closed.

    A claim alone stops the clock of the queue and starts one of its own: who takes an alarm and does
    nothing is as silent as nobody.
    """
    if alarm.state is AlarmState.CLOSED:
        return None
    held = holder(alarm, now_us)
    if held is None:
        return max(alarm.opened_us, alarm.returned_us or 0)
    help_is_coming = alarm.state in (AlarmState.DISPATCHED, AlarmState.ON_SCENE)
    acted = alarm.acted_us is not None and alarm.acted_us >= held.claimed_us
    return None if help_is_coming or acted else held.claimed_us


def level_due(alarm: Alarm, now_us: int) -> int:
    """How far it should have been escalated by now: 0, 1 or 2."""
    since_us = waiting_since_us(alarm, now_us)
    times = ESCALATE_S.get(alarm.category)
    if since_us is None or times is None:
        return 0
    waited_us = now_us - since_us
    return sum(waited_us >= limit_s * SECOND_US for limit_s in times)


def escalate(alarm: Alarm, now_us: int) -> Step | None:
    """Raise the level if it is due; None if not. It never falls by itself: only handling ends it."""
    level = level_due(alarm, now_us)
    if level <= alarm.escalation:
        return None
    return step(alarm, SYSTEM, "escalated", now_us, {"level": level}, escalation=level, escalated_us=now_us)
