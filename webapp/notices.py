"""What owners are told of an alarm and when: pure rules without IO, used by `webapp.notifier`."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Final

from schemas.alarms import Alarm, AlarmState, PushMark
from schemas.events import AlarmKind, Category
from schemas.owners import Choices, Moment, Push, Told

SECOND_US: Final = 1_000_000
# A silent alarm is silent: the phone may be in the hands of whoever threatens its owner. The others are
# about our own work and would only frighten.
NEVER_TOLD: Final = frozenset({AlarmKind.PANIC, AlarmKind.UNVERIFIED, AlarmKind.LOSS, AlarmKind.UNKNOWN})
URGENT: Final = frozenset({Category.LIFE, Category.INTRUSION})
_OPENING: Final = frozenset({Moment.OPENED, Moment.REOPENED})
# After that a push helps nobody any more: the app shows what is now.
MAX_AGE_S: Final = {Category.LIFE: 3600, Category.INTRUSION: 3600}
MAX_AGE_OTHER_S: Final = 24 * 3600
LEASE_S: Final = 60
BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


def told_of(alarm: Alarm) -> Told | None:
    """The owner's view of an alarm; None if owners are not told of it."""
    if alarm.kind in NEVER_TOLD:
        return None
    return Told(
        **{name: getattr(alarm, name) for name in Told.model_fields.keys() & Alarm.model_fields.keys()}
        | {"seen_us": alarm.acknowledged_us}
    )


def round_us(alarm: Alarm) -> int:
    """Names the round that an alarm is in: when it was last reopened, 0 if never."""
    return alarm.reopened_us or 0


def moments(alarm: Alarm) -> list[Moment]:
    """What has happened in its round so far, in order."""
    found = [Moment.REOPENED if alarm.reopened_us else Moment.OPENED]
    if alarm.dispatched_us is not None and alarm.dispatched_us > round_us(alarm):
        found.append(Moment.HELP_SENT)
    if alarm.state is AlarmState.CLOSED:
        found.append(Moment.ENDED)
    return found


def overtaken(push: Push, alarm: Alarm, choices: Choices | None) -> bool:
    """Something later has happened that this owner has a push of: what is urgent is not dropped for one that
    the owner does not want."""
    now = moments(alarm)
    of_this_round = push.round_us == round_us(alarm) and push.moment in now
    later = now[now.index(push.moment) + 1 :] if of_this_round else now
    if push.category not in URGENT:
        return bool(later)
    return any(wanted(moment, push.category, choices) for moment in later)


def to_tell(alarm: Alarm) -> Moment | None:
    """The newest moment, if it was not put into the outbox yet: earlier ones are overtaken by it."""
    newest = moments(alarm)[-1]
    return None if newest in _told(alarm) else newest


def mark(alarm: Alarm, owners: int, now_us: int) -> PushMark:
    """The alarm's mark once its newest moment is in the outbox."""
    before = alarm.push or PushMark(first_us=now_us, owners=owners)
    told = sorted({*_told(alarm), *(moment.value for moment in moments(alarm))})
    return before.model_copy(update={"moments": told, "round_us": round_us(alarm)})


def _told(alarm: Alarm) -> list[str]:
    return alarm.push.moments if alarm.push and alarm.push.round_us == round_us(alarm) else []


def news_for(alarm: Alarm, choices: Choices | None) -> bool:
    """Whether an owner is pushed its newest moment. What is urgent begins for everybody: also if more has
    happened before the first of it was told."""
    begins = not _told(alarm) and alarm.category in URGENT
    return begins or wanted(moments(alarm)[-1], alarm.category, choices)


def wanted(moment: Moment, category: Category, choices: Choices | None) -> bool:
    """Whether an owner wants this pushed. What is urgent when it opens is not a matter of choice."""
    if moment in _OPENING and category in URGENT:
        return True
    if category is Category.INFORMATION:
        return False
    if choices is None:
        return True
    if category not in URGENT and not choices.troubles:
        return False
    return moment in _OPENING or choices.handling


def due_us(moment: Moment, category: Category, choices: Choices | None, now_us: int) -> int:
    """When to push it: at once, or when the owner's quiet hours end. Life safety never waits."""
    urgent = category is Category.LIFE or (category in URGENT and moment is not Moment.ENDED)
    if urgent or choices is None:
        return now_us
    return quiet_until_us(choices, now_us) or now_us


def quiet_until_us(choices: Choices, now_us: int) -> int | None:
    """The end of the quiet hours that now lies in, None outside of them or if nobody can read them. Hours may
    pass midnight."""
    if not choices.quiet_from or not choices.quiet_to or choices.quiet_from == choices.quiet_to:
        return None
    now = dt.datetime.fromtimestamp(now_us / SECOND_US, zone_of(choices))
    try:
        first, last = (dt.time.fromisoformat(text) for text in (choices.quiet_from, choices.quiet_to))
    except ValueError:
        return None
    for day in (-1, 0):
        date = now.date() + dt.timedelta(days=day)
        begins = dt.datetime.combine(date, first, now.tzinfo)
        ends = dt.datetime.combine(date + dt.timedelta(days=last <= first), last, now.tzinfo)
        if begins <= now < ends:
            return int(ends.timestamp() * SECOND_US)
    return None


def zone_of(choices: Choices | None) -> dt.tzinfo:
    """The owner's time zone; UTC if the phone named one that nobody knows."""
    try:
        return zoneinfo.ZoneInfo(choices.zone) if choices else dt.UTC
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return dt.UTC


def leased(push: Push, now_us: int) -> Push:
    """A push that one notifier is at; it is due again when the lease ends."""
    until_us = now_us + LEASE_S * SECOND_US
    return push.model_copy(update={"lease_us": until_us, "due_us": until_us})


def too_old(push: Push, now_us: int) -> bool:
    """Tried until it is of no use any more."""
    limit_s = MAX_AGE_S.get(push.category, MAX_AGE_OTHER_S)
    return now_us - push.first_due_us > limit_s * SECOND_US


def backoff_us(attempts: int, chance: float, least_s: float = 0.0) -> int:
    """Pause after so many failures.

    Args:
        chance: In [0, 1): notifiers that failed together must not return together.
        least_s: What the service asked for.

    >>> backoff_us(1, 0.5), backoff_us(99, 0.5)
    (1000000, 60000000)
    """
    pause_s = BACKOFF_S[min(attempts, len(BACKOFF_S)) - 1] * (0.5 + chance)
    return int(max(pause_s, least_s) * SECOND_US)
