"""Firestore documents of the owner's app: what owners may read, what they may write, what is pushed to them.

Collections (rules: deploy/firestore.rules; H is a home's id):
    homes/H/told/{alarm_id}         what the owner is told of an alarm; the notifier writes
    homes/H/live/sensors            last minute of each sensor while somebody watches; the pipeline writes
    homes/H/said/{alarm~kind~user}  what the owner says about an alarm; the app creates, the notifier takes
    homes/H/devices/{device_id}     a phone that wants pushes; the app writes, the notifier removes dead ones
    homes/H/choices/{user}          an owner's choices about pushes; the app writes
    watching/H                      somebody looks at this home now; the app writes, the pipeline reads
    outbox/{alarm~moment~user}      pushes to hand over: written before the first try; the notifier's own

Everything under homes/H has the home in its path, so that no rule and no query can reach another one's.
Dispatchers' names, notes and safe-word failures are not in `Told`: rules cannot hide fields of a document.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alarms import AlarmState, CloseOutCode, OwnerSaid, Service
from schemas.documents import Document
from schemas.events import AlarmKind, Category

TOLD: Final = "told"
LIVE: Final = "live"
LIVE_DOCUMENT: Final = "sensors"
SAID: Final = "said"
DEVICES: Final = "devices"
CHOICES: Final = "choices"
WATCHING: Final = "watching"
OUTBOX: Final = "outbox"
NOTIFIER_DOCUMENT: Final = "notifier"  # operations/notifier: when it was last alive

MAX_NOTE_CHARS: Final = 200
# A renewal counts so long; an open app renews after two thirds of it.
WATCHED_US: Final = 180 * 1_000_000
LANGUAGES: Final = ("en", "de")
# The text that an owner agreed to when turning pushes on; a new text asks anew.
CONSENT_VERSION: Final = 1


class _OfTheApp(Document):
    """Written by the app under the rules, which also hold its times to the server's clock."""


class Told(Document):
    """homes/H/told/{alarm_id}: an alarm in the owner's eyes. Times in µs since 1970 UTC.

    Attributes:
        code: Contact ID, which the app has words for.
        seen_us: When a dispatcher took it.
        owner_said, owner_words: As in `Alarm`, once the notifier has taken them.
    """

    alarm_id: str
    home_id: str
    kind: AlarmKind
    category: Category
    code: int
    room: str
    armed_mode: str
    state: AlarmState
    occurred_us: int
    opened_us: int
    restored_us: int | None = None
    cancelled_us: int | None = None
    seen_us: int | None = None
    services: list[Service] = Field(default_factory=list)
    dispatched_us: int | None = None
    on_scene_us: int | None = None
    closed_us: int | None = None
    close_out: CloseOutCode | None = None
    owner_said: OwnerSaid | None = None
    owner_words: list[OwnerSaid] = Field(default_factory=list)


class LiveSensor(BaseModel):
    """A sensor in the last minute that was heard of it.

    Attributes:
        minute_us: Start of the minute, gateway clock. heard_us: its arrival.
        label: What the family's model or the device said, "" for nothing.
        quantities: By schemas.live_features.SUMMARY_NAMES; what was not measured is left out.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    kind: str
    room: str
    minute_us: int
    heard_us: int
    label: str = ""
    quantities: dict[str, float] = Field(default_factory=dict)


class LiveSensors(Document):
    """homes/H/live/sensors, merged sensor by sensor."""

    home_id: str
    sensors: dict[str, LiveSensor] = Field(default_factory=dict)


class Said(_OfTheApp):
    """homes/H/said/{alarm~kind~user}, as the rules let the app create it.

    Attributes:
        taken: The notifier has put it into the alarm.
    """

    home_id: str
    alarm_id: str
    user: str
    kind: Literal["it_was_me", "help"]
    note: str = Field(default="", max_length=MAX_NOTE_CHARS)
    said_at: dt.datetime
    taken: bool = False


class Device(_OfTheApp):
    """homes/H/devices/{device_id}. `consent_version`: the text that the owner agreed to on this phone."""

    home_id: str
    user: str
    token: str = Field(repr=False)
    language: Literal["en", "de"] = "en"
    consent_version: int
    updated_at: dt.datetime


class Choices(_OfTheApp):
    """homes/H/choices/{user}: what an owner wants pushed. Life safety and break-ins are always pushed.

    Attributes:
        quiet_from, quiet_to: "HH:MM" in `zone`, both "" for none; troubles and handling wait until the end.
        troubles: Battery, power, a silent gateway. handling: help is sent, arrived, over.
        zone: IANA name, of the phone.
    """

    home_id: str
    user: str
    quiet_from: str = ""
    quiet_to: str = ""
    troubles: bool = True
    handling: bool = True
    zone: str = "UTC"
    updated_at: dt.datetime


class Watching(_OfTheApp):
    """watching/H: somebody has looked at the home; for `WATCHED_US` its sensors are written every minute."""

    home_id: str
    renewed_at: dt.datetime


class Moment(StrEnum):
    """What in an alarm's life is pushed."""

    OPENED = "opened"
    REOPENED = "reopened"  # begins another round
    HELP_SENT = "help_sent"
    ENDED = "ended"


class PushState(StrEnum):
    """Of an entry of the outbox."""

    WAITING = "waiting"
    HANDED_OVER = "handed_over"
    DROPPED = "dropped"  # nobody to tell any more, or no longer worth telling
    GIVEN_UP = "given_up"  # tried until it was too old


class Push(Document):
    """outbox/{alarm~moment~user}: one thing to tell one owner, on all of this owner's phones.

    Attributes:
        moment: What it was made for; it tells what is so when it goes out. round_us: as in `PushMark`.
        first_due_us: When it was to go out: at once, or after quiet hours. due_us: Not before.
        lease_us: Some notifier is at it until then; `due_us` is no earlier.
        reached: Devices that FCM took it for: a second try leaves them out.
    """

    alarm_id: str
    home_id: str
    user: str
    moment: Moment
    round_us: int = 0
    category: Category
    state: PushState = PushState.WAITING
    created_us: int
    first_due_us: int
    due_us: int
    lease_us: int = 0
    attempts: int = 0
    reached: list[str] = Field(default_factory=list)
    handed_us: int | None = None
    reason: str = ""


def push_id(alarm_id: str, moment: Moment, user: str, round_us: int = 0) -> str:
    """Document id under `outbox/`: each round of an alarm tells each owner each moment once.

    >>> push_id("fire-0", Moment.OPENED, "u1")
    'fire-0~opened~u1'
    >>> push_id("fire-0", Moment.ENDED, "u1", 5)
    'fire-0~ended5~u1'
    """
    return f"{alarm_id}~{moment}{round_us or ''}~{user}"


def said_id(alarm_id: str, kind: str, user: str) -> str:
    """Document id under `homes/H/said/`: each owner says each thing once.

    >>> said_id("fire-0", "help", "u1")
    'fire-0~help~u1'
    """
    return f"{alarm_id}~{kind}~{user}"
