"""What to do, step by step: the home's own procedure, or the usual one of the alarm's kind."""

from __future__ import annotations

from typing import Final

from schemas.events import AlarmKind
from schemas.homes import DirectoryEntry
from webapp.handling import MAX_PROCEDURE

_FIRE: Final = [
    "Call the home: is everybody out?",
    "No answer or fire confirmed: send the fire brigade (112)",
    "Call the contacts in order",
    "Stay until the brigade is on scene",
]
_AIR: Final = [
    "Call the home: everybody out, windows open",
    "Send the fire brigade (112)",
    "Anybody dizzy or sick: send an ambulance",
    "Call the contacts in order",
]
_BREAK_IN: Final = [
    "Call the home: ask for the safe word",
    "No answer or wrong word: send the police (110)",
    "Call the contacts in order",
    "Send the guard or a key holder",
]
_TROUBLE: Final = ["Call the home", "Call the contacts in order", "Note what was agreed"]
_USUAL: Final = {
    AlarmKind.FIRE: _FIRE,
    AlarmKind.CO: _AIR,
    AlarmKind.GAS: _AIR,
    AlarmKind.BURGLARY: _BREAK_IN,
    AlarmKind.MEDICAL: [
        "Call the home",
        "No answer or help wanted: send an ambulance (112)",
        "Call the contacts in order",
    ],
    # A call could tell whoever threatens them.
    AlarmKind.PANIC: ["Do not call the home", "Send the police (110)", "Tell the police: silent alarm"],
}


def procedure(home: DirectoryEntry | None, kind: AlarmKind) -> list[str]:
    """Steps in order, at most one a key."""
    return (home.procedure if home and home.procedure else _USUAL.get(kind, _TROUBLE))[:MAX_PROCEDURE]
