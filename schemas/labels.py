"""Labels: who said what a stretch of a home's time was, how much that weighs, which class it teaches.

A label speaks of an alarm or a test of a home, a model of one sensor's minute. Between the two stands
`class_of`: it teaches only what follows from the code. A fire's minute teaches "fire" only from its first
evidence on and only in the alarm's room; a test teaches nothing, because whoever tests may make real smoke.

Collections:
    labels/{alarm_id}, labels/{alarm_id}~owner  what a dispatcher, an owner found an episode to be
    labels/{home_id}~test~{since_us}            a time in which somebody tested there
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, Final

from schemas.alarms import Alarm, CloseOutCode
from schemas.documents import Document
from schemas.events import AlarmKind
from schemas.homes import OnTest

LABELS: Final = "labels"

CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "air": ("normal", "cooking", "fire", "co"),
    "motion": ("nobody", "person", "pet", "draught"),
    "contact": ("rest", "knock", "open_close", "forced"),
}

# A corpus has no day of its own: its rows lie before any fleet's, so that a query can read them alone.
CORPUS_DAY: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
CORPUS_ENDS: Final = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


class LabelSource(StrEnum):
    """Who says what it was."""

    DISPATCHER = "dispatcher"
    OWNER = "owner"
    TEST_MODE = "test_mode"


class TaughtBy(StrEnum):
    """Where the class of a training row comes from: a label's source, or one of these."""

    SAMPLE = "sample"  # drawn by chance, and nobody said anything
    CORPUS = "corpus"  # a recording or a simulation that knows what it holds


# How much a row weighs in training. A dispatcher has looked and called; an owner who says "it was me" may be
# coerced or mistaken; in test mode only the time is known; a drawn minute is "normal" because most are.
WEIGHTS: Final[dict[str, float]] = {
    LabelSource.DISPATCHER: 1.0,
    LabelSource.OWNER: 0.6,
    LabelSource.TEST_MODE: 0.3,
    TaughtBy.CORPUS: 1.0,
    TaughtBy.SAMPLE: 0.2,
}

_FALSE: Final = {CloseOutCode.FALSE_USER, CloseOutCode.FALSE_PET, CloseOutCode.FALSE_SENSOR}


class Label(Document):
    """What an episode was, or a stretch of a home's time, and who says so.

    Attributes:
        alarm_id: "" for a test.
        kind: Of the episode; None for a test, which speaks of every kind.
        code: Contact ID, 0 for a test. from_us, to_us: What the evidence spans, gateway or arrival clock.
        closed_us: When it was said.
        room: Of the episode, "" if it names none.
        owner_said: What the owner said in the app when it was closed ("it_was_me", "help"), "" for nothing.
    """

    alarm_id: str
    home_id: str
    kind: AlarmKind | None
    code: int
    close_out: CloseOutCode
    from_us: int
    to_us: int
    closed_us: int
    owner_said: str = ""
    source: LabelSource = LabelSource.DISPATCHER
    room: str = ""

    @property
    def label_id(self) -> str:
        """Its document's id."""
        if self.source is LabelSource.TEST_MODE:
            return f"{self.home_id}~test~{self.from_us}"
        return f"{self.alarm_id}~owner" if self.source is LabelSource.OWNER else self.alarm_id


def dispatcher_label(alarm: Alarm) -> Label | None:
    """What a closed episode teaches; None while it is open or if nobody found out."""
    if alarm.closed_us is None or alarm.close_out in (None, CloseOutCode.UNKNOWN):
        return None
    owner_said = alarm.owner_said.kind if alarm.owner_said else ""
    return _label(alarm, alarm.close_out, alarm.updated_us, alarm.closed_us, owner_said=owner_said)


def owner_label(alarm: Alarm) -> Label | None:
    """What the owner says of an episode, None if nothing: in the app, else with the code at the keypad."""
    if alarm.owner_said:
        said_us, is_real = alarm.owner_said.at_us, alarm.owner_said.kind == "help"
    elif alarm.cancelled_us is not None:
        said_us, is_real = alarm.cancelled_us, False
    else:
        return None
    close_out = CloseOutCode.REAL if is_real else CloseOutCode.FALSE_USER
    return _label(alarm, close_out, said_us, said_us, source=LabelSource.OWNER)


def _label(alarm: Alarm, close_out: CloseOutCode, to_us: int, said_us: int, **more: Any) -> Label:
    return Label(
        alarm_id=alarm.alarm_id,
        home_id=alarm.home_id,
        kind=alarm.kind,
        code=alarm.code,
        close_out=close_out,
        from_us=alarm.occurred_us,
        to_us=max(alarm.occurred_us, to_us),
        closed_us=said_us,
        room=alarm.room,
        **more,
    )


def label_of_test(test: OnTest) -> Label:
    """A home on test: its alarms of that time teach nothing."""
    return Label(
        alarm_id="",
        home_id=test.home_id,
        kind=None,
        code=0,
        close_out=CloseOutCode.TEST,
        from_us=test.since_us,
        to_us=test.until_us,
        closed_us=test.since_us,
        source=LabelSource.TEST_MODE,
    )


def class_of(family: str, kind: str, close_out: str, *, started: bool, same_room: bool) -> str | None:
    """What a labelled minute teaches a family's model, None if nothing follows.

    Args:
        kind: Of the alarm (`AlarmKind`), "" for a test.
        started: The minute's end is after the alarm's first evidence.
        same_room: The sensor is in the alarm's room, or the alarm names none.

    >>> class_of("air", "fire", "real", started=True, same_room=True)
    'fire'
    >>> class_of("air", "fire", "real", started=False, same_room=True) is None
    True
    """
    there = started and same_room
    if family == "air":
        if close_out == CloseOutCode.REAL and kind in (AlarmKind.FIRE, AlarmKind.CO):
            return str(kind) if there else None
        if close_out == CloseOutCode.FALSE_COOKING and kind in (AlarmKind.FIRE, AlarmKind.CO):
            return "cooking" if there else None
        return "normal" if close_out in _FALSE else None
    if kind != AlarmKind.BURGLARY or not there:
        return None
    if family == "motion":
        # "It was me" is a person, too: what was false is the alarm.
        codes = {CloseOutCode.REAL: "person", CloseOutCode.FALSE_USER: "person"}
        return {**codes, CloseOutCode.FALSE_PET: "pet"}.get(CloseOutCode(close_out))
    if family == "contact":
        codes = {CloseOutCode.REAL: "forced", CloseOutCode.FALSE_USER: "open_close"}
        return codes.get(CloseOutCode(close_out))
    return None


def class_of_sample(family: str) -> str | None:
    """What a minute teaches that was drawn by chance and that nobody spoke of.

    Only for air: a room is normal nearly always. That says nothing of who moved or opened a door.

    >>> class_of_sample("air"), class_of_sample("motion")
    ('normal', None)
    """
    return "normal" if family == "air" else None
