"""An alarm's moment → the words of a push, in the owner's language: what, where, what happens next."""

from __future__ import annotations

import datetime as dt
import functools
import json
from pathlib import Path
from typing import Final, NamedTuple

from schemas.alarms import Alarm
from schemas.owners import LANGUAGES, Moment

# Title and text together: more is cut off on a locked phone.
MAX_CHARS: Final = 90
MAX_ROOM_CHARS: Final = 12
_FOLDER: Final = Path(__file__).parent / "static" / "owner"


class Words(NamedTuple):
    """A push as it is shown."""

    title: str
    body: str


@functools.cache
def dictionary(language: str) -> dict[str, str]:
    """The app's own words; English for a language that there is not."""
    name = language if language in LANGUAGES else LANGUAGES[0]
    found: dict[str, str] = json.loads((_FOLDER / f"words.{name}.json").read_text())
    return found


def words_of(alarm: Alarm, moment: Moment, language: str, zone: dt.tzinfo) -> Words:
    """What to say of an alarm at one moment of its life."""
    said = dictionary(language)
    happened = {
        Moment.OPENED: alarm.occurred_us if not alarm.clock_suspect else alarm.opened_us,
        Moment.REOPENED: alarm.reopened_us,
        Moment.HELP_SENT: alarm.dispatched_us,
        Moment.ENDED: alarm.closed_us,
    }[moment]
    time = dt.datetime.fromtimestamp((happened or alarm.updated_us) / 1e6, zone).strftime("%H:%M")
    parts = {
        "what": said.get(f"what.{alarm.code}") or said.get(f"kind.{alarm.kind}", alarm.title),
        "where": _where(alarm.room, said),
        "time": time,
        "service": said[f"service.{alarm.services[-1]}"] if alarm.services else "",
        "outcome": said[f"outcome.{alarm.close_out or 'unknown'}"],
        "next": _next(alarm, moment, said),
    }
    return Words(_filled(said[f"push.{moment}.title"], parts), _filled(said[f"push.{moment}"], parts))


def _next(alarm: Alarm, moment: Moment, said: dict[str, str]) -> str:
    then, stay = said[f"next.{alarm.kind}"], said.get(f"stay.{alarm.kind}")
    if moment is Moment.OPENED:
        return then
    return stay or (then if moment is Moment.REOPENED else said["stay.other"])


def _where(room: str, said: dict[str, str]) -> str:
    if not room:
        return ""
    shown = room if len(room) <= MAX_ROOM_CHARS else room[: MAX_ROOM_CHARS - 1] + "…"
    return said.get(f"room.{room}.in") or said["room.other.in"].format(room=shown)


def _filled(pattern: str, parts: dict[str, str]) -> str:
    return " ".join(pattern.format(**parts).split()).replace(" :", ":")
