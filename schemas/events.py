"""Event codes: one table of Contact ID (SIA DC-05) numbers and what each means for an alarm.

A code that is not in the table is carried, archived and shown as a trouble; it is never dropped.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


class Code(IntEnum):
    """Contact ID event codes that Hearthwatch raises."""

    MEDICAL = 100
    FIRE = 110
    SMOKE = 111
    HEAT = 114
    PANIC = 120
    DURESS = 121
    BURGLARY = 130
    PERIMETER = 131
    INTERIOR = 132
    ENTRY_EXIT = 134
    TAMPER = 137
    SENSOR_TAMPER = 144
    SENSOR_SUPERVISION = 147
    GAS = 151
    WATER = 154
    CARBON_MONOXIDE = 162
    AC_LOSS = 301
    LOW_BATTERY = 302
    STORAGE = 330  # system peripheral: the gateway's disk
    RF_JAM = 344
    COMMUNICATION = 350
    PATH_FAILURE = 354
    EXIT_ERROR = 374
    SWINGER = 377
    CROSS_ZONE = 378
    SENSOR_TROUBLE = 380
    SUPERVISION = 381
    RF_BATTERY = 384
    OPEN_CLOSE = 401
    CANCEL = 406
    RECENT_CLOSE = 459
    BYPASS = 570
    PERIODIC_TEST = 602
    UNVERIFIED = 990  # ours: a life-safety event whose sender could not be verified
    MISSING_BATCHES = 991  # ours: a gateway numbered batches that never came, and did not say why


class AlarmKind(StrEnum):
    """What an episode is about: one open episode per home and kind."""

    FIRE = "fire"
    CO = "co"
    GAS = "gas"
    PANIC = "panic"
    MEDICAL = "medical"
    BURGLARY = "burglary"
    TAMPER = "tamper"
    WATER = "water"
    POWER = "power"
    BATTERY = "battery"
    PATH = "path"
    UNVERIFIED = "unverified"
    LOSS = "loss"
    UNKNOWN = "unknown"


class Category(StrEnum):
    """How a dispatcher sorts it: EN 50518 category I is security, II fire and social."""

    LIFE = "life"  # EN 50518 II, and hold-up: 80 % handled in 30 s, 98.5 % in 60 s
    INTRUSION = "intrusion"  # EN 50518 I: 80 % in 90 s, 98.5 % in 180 s
    TROUBLE = "trouble"
    INFORMATION = "information"


# Seconds in which 98.5 % must be handled (EN 50518, from domain notes; not a claim of conformity).
HANDLING_LIMIT_S: Final = {Category.LIFE: 60, Category.INTRUSION: 180}


class Meaning(NamedTuple):
    """What a code means.

    Attributes:
        kind: The episode it opens; None if it opens none (arming, tests, cancel).
        category: Where it stands in the queue.
        title: Words for a dispatcher, without place or time.
        avs_level: ANSI/TMA-AVS-01 level that this evidence alone supports, 0 to 4.
    """

    kind: AlarmKind | None
    category: Category
    title: str
    avs_level: int


_LIFE, _INTRUSION, _TROUBLE, _INFO = (
    Category.LIFE,
    Category.INTRUSION,
    Category.TROUBLE,
    Category.INFORMATION,
)

MEANINGS: Final[dict[int, Meaning]] = {
    Code.MEDICAL: Meaning(AlarmKind.MEDICAL, _LIFE, "Medical help", 4),
    Code.FIRE: Meaning(AlarmKind.FIRE, _LIFE, "Fire", 4),
    Code.SMOKE: Meaning(AlarmKind.FIRE, _LIFE, "Smoke", 4),
    Code.HEAT: Meaning(AlarmKind.FIRE, _LIFE, "Rapid heat rise", 4),
    Code.PANIC: Meaning(AlarmKind.PANIC, _LIFE, "Panic button", 4),
    Code.DURESS: Meaning(AlarmKind.PANIC, _LIFE, "Duress code", 4),
    Code.GAS: Meaning(AlarmKind.GAS, _LIFE, "Gas", 4),
    Code.CARBON_MONOXIDE: Meaning(AlarmKind.CO, _LIFE, "Carbon monoxide", 4),
    Code.BURGLARY: Meaning(AlarmKind.BURGLARY, _INTRUSION, "Break-in", 1),
    Code.PERIMETER: Meaning(AlarmKind.BURGLARY, _INTRUSION, "Window or door forced", 1),
    Code.INTERIOR: Meaning(AlarmKind.BURGLARY, _INTRUSION, "Movement inside", 1),
    Code.ENTRY_EXIT: Meaning(AlarmKind.BURGLARY, _INTRUSION, "Entry without disarming", 1),
    Code.TAMPER: Meaning(AlarmKind.TAMPER, _TROUBLE, "Tamper", 1),
    Code.SENSOR_TAMPER: Meaning(AlarmKind.TAMPER, _TROUBLE, "Sensor tamper", 1),
    Code.WATER: Meaning(AlarmKind.WATER, _TROUBLE, "Water leak", 1),
    Code.AC_LOSS: Meaning(AlarmKind.POWER, _TROUBLE, "Mains power lost", 0),
    Code.LOW_BATTERY: Meaning(AlarmKind.BATTERY, _TROUBLE, "Gateway battery low", 0),
    Code.RF_BATTERY: Meaning(AlarmKind.BATTERY, _TROUBLE, "Sensor battery low", 0),
    Code.STORAGE: Meaning(AlarmKind.PATH, _TROUBLE, "Gateway storage failed", 0),
    Code.RF_JAM: Meaning(AlarmKind.PATH, _TROUBLE, "Radio jammed", 1),
    Code.SENSOR_SUPERVISION: Meaning(AlarmKind.PATH, _TROUBLE, "Sensor not heard", 0),
    Code.SENSOR_TROUBLE: Meaning(AlarmKind.PATH, _TROUBLE, "Sensor sends what cannot be read", 0),
    Code.SUPERVISION: Meaning(AlarmKind.PATH, _TROUBLE, "Sensor not heard", 0),
    Code.COMMUNICATION: Meaning(AlarmKind.PATH, _TROUBLE, "Gateway cannot report", 0),
    Code.PATH_FAILURE: Meaning(AlarmKind.PATH, _TROUBLE, "Home not heard", 0),
    Code.CROSS_ZONE: Meaning(AlarmKind.BURGLARY, _TROUBLE, "Single zone tripped", 1),
    Code.SWINGER: Meaning(AlarmKind.PATH, _TROUBLE, "Sensor trips repeatedly", 0),
    Code.EXIT_ERROR: Meaning(AlarmKind.BURGLARY, _INTRUSION, "Exit error", 1),
    Code.MISSING_BATCHES: Meaning(AlarmKind.LOSS, _TROUBLE, "Readings missing without a reason", 0),
    Code.UNVERIFIED: Meaning(AlarmKind.UNVERIFIED, _TROUBLE, "Life-safety signal, sender not verified", 1),
    Code.OPEN_CLOSE: Meaning(None, _INFO, "Armed or disarmed", 0),
    Code.CANCEL: Meaning(None, _INFO, "Cancelled by a user", 0),
    Code.RECENT_CLOSE: Meaning(None, _INFO, "Armed just before", 0),
    Code.BYPASS: Meaning(None, _INFO, "Sensor bypassed", 0),
    Code.PERIODIC_TEST: Meaning(None, _INFO, "Path test", 0),
}

UNKNOWN: Final = Meaning(AlarmKind.UNKNOWN, _TROUBLE, "Unknown event code", 0)


def meaning(code: int) -> Meaning:
    """Code → its meaning; `UNKNOWN` for a code this version does not know.

    >>> meaning(Code.SMOKE).title
    'Smoke'
    >>> meaning(899).title
    'Unknown event code'
    """
    return MEANINGS.get(code, UNKNOWN)


def is_life_safety(code: int) -> bool:
    """Never rejected for clock, range, unknown field or expired certificate (design.md, "Rejection")."""
    return meaning(code).category is Category.LIFE
