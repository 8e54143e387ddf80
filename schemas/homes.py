"""Firestore documents of a home: its status, and, apart and under narrower rules, what is personal.

Collections:
    homes/{home_id}       status, written when a person would see a change
    directory/{home_id}   names, address, phones: personal data, apart
    safe_words/{home_id}  salted hash of the word that cancels an alarm
    on_test/{home_id}     until when somebody tests there
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.documents import Document

HOMES: Final = "homes"
DIRECTORY: Final = "directory"
SAFE_WORDS: Final = "safe_words"
ON_TEST: Final = "on_test"


class SensorStatus(BaseModel):
    """A sensor as the home's document shows it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    kind: str
    room: str
    battery_percent: int | None = None


class HomeStatus(Document):
    """homes/{home_id}.

    Attributes:
        last_seen_us: Coarse: five minutes.
        rules_only_since_us: Since when models of `rules_only_families` fail for this home, so that only
            the gateway's rules and the sensors' own verdicts watch it there; None: they work.
    """

    home_id: str
    gateway_id: str = ""
    armed_mode: str = "unknown"
    armed_phase: str = "unknown"
    sensors: dict[str, SensorStatus] = Field(default_factory=dict)
    software_version: str = ""
    last_seen_us: int = 0
    rules_only_since_us: int | None = None
    rules_only_families: list[str] = Field(default_factory=list)


class DirectoryEntry(Document):
    """directory/{home_id}: personal data, never logged. `time_zone`: IANA name, "" if unknown."""

    home_id: str
    time_zone: str = ""
    address: str
    place: str = ""
    region: str = ""
    phones: list[str] = Field(default_factory=list)
    contacts: list[str] = Field(default_factory=list)
    procedure: list[str] = Field(default_factory=list)


class SafeWord(Document):
    """safe_words/{home_id}: scrypt of the normalised word, hex. Never logged, never sent to a browser."""

    home_id: str
    salt: str
    digest: str


class OnTest(Document):
    """on_test/{home_id}: somebody tests there until `until_us`; then it is over by itself."""

    home_id: str
    until_us: int
    since_us: int
    by: str
    reason: str
