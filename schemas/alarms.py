"""Firestore documents: alarms (episodes), their evidence, homes, and the proof of the path.

Collections:
    alarms/{alarm_id}                        one episode
    alarms/{alarm_id}/evidence/{evidence_id} what supports it, counted from here
    alarms/{alarm_id}/history/{entry_id}     what the console did, append-only
    open/{home_id}~{kind}                    the latest episode of a home and kind
    evidence/{evidence_id}                   which episode took it: a repeated delivery changes nothing
    homes/{home_id}                          status, written when a person would see a change
    directory/{home_id}                      names, address, phones: personal data, apart
    operations/{name}                        "path": the last proven path of each lane

Who writes what: the pipeline creates an episode and later writes only `PIPELINE_FIELDS` of it by
mask; the console alone writes `CONSOLE_FIELDS`; the notifier will own `NOTIFIER_FIELDS`.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.events import AlarmKind, Category

SCHEMA_VERSION: Final = 1

ALARMS: Final = "alarms"
EVIDENCE: Final = "evidence"
HISTORY: Final = "history"
OPEN: Final = "open"
HOMES: Final = "homes"
DIRECTORY: Final = "directory"
OPERATIONS: Final = "operations"
PATH_DOCUMENT: Final = "path"


class AlarmState(StrEnum):
    """Dispatch states (ASAP-to-PSAP)."""

    NEW = "new"
    CLAIMED = "claimed"
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    CLOSED = "closed"


TRANSITIONS: Final[dict[AlarmState, frozenset[AlarmState]]] = {
    AlarmState.NEW: frozenset({AlarmState.CLAIMED}),
    AlarmState.CLAIMED: frozenset({AlarmState.NEW, AlarmState.DISPATCHED, AlarmState.CLOSED}),
    AlarmState.DISPATCHED: frozenset({AlarmState.ON_SCENE, AlarmState.CLOSED}),
    AlarmState.ON_SCENE: frozenset({AlarmState.CLOSED}),
    AlarmState.CLOSED: frozenset(),
}


class CloseOutCode(StrEnum):
    """How it ended; these become labels."""

    REAL = "real"
    FALSE_USER = "false_user"
    FALSE_PET = "false_pet"
    FALSE_COOKING = "false_cooking"
    FALSE_SENSOR = "false_sensor"
    TEST = "test"
    UNKNOWN = "unknown"


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    schema_version: int = SCHEMA_VERSION

    def document(self) -> dict[str, Any]:
        """As Firestore takes it."""
        return self.model_dump(mode="json")


class SeriesDoc(BaseModel):
    """A short history of one quantity for a chart; None is "no data"."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    sensor_id: str
    kind: str
    room: str
    quantity: str
    unit: str
    start_us: int
    period_us: int
    values: list[float | None]


class MeasurementDoc(BaseModel):
    """What a rule saw and the bound that was crossed (0: none)."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    name: str
    value: float
    unit: str
    limit: float = 0.0


class ScoreDoc(BaseModel):
    """What a model said: label, probability, and the model's version."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    sensor_id: str
    room: str
    family: str
    label: str
    score: float
    model_version: str
    minute_us: int


class Evidence(_Document):
    """One thing that supports an episode.

    Attributes:
        source: Who said it: the gateway's rule, or fusion of scores in the cloud.
        code: Contact ID.
        qualifier: 1 new, 3 restore, 6 still present.
        occurred_us: Gateway clock. arrived_us: publish time. recorded_us: the pipeline's clock.
        clock_suspect, cert_expired: Accepted all the same, and said so.
    """

    evidence_id: str
    home_id: str
    gateway_id: str
    source: Literal["gateway", "fusion", "pipeline"]
    code: int
    qualifier: int
    title: str
    sensor_id: str = ""
    room: str = ""
    occurred_us: int
    arrived_us: int
    recorded_us: int
    measurements: list[MeasurementDoc] = Field(default_factory=list)
    scores: list[ScoreDoc] = Field(default_factory=list)
    series: list[SeriesDoc] = Field(default_factory=list)
    rule_version: str = ""
    batch_id: str = ""
    late: bool = False
    clock_suspect: bool = False
    cert_expired: bool = False


class Claim(BaseModel):
    """Who handles it. `fence` rises with every claim: a stale holder's write is refused."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    user: str
    name: str
    fence: int
    claimed_us: int
    expires_us: int


class Alarm(_Document):
    """An episode. Times in µs since 1970 UTC, by the pipeline's or console's clock.

    Attributes:
        headline: One sentence for the dispatcher.
        avs_level: ANSI/TMA-AVS-01, 0 to 4; `avs_reasons` says why, `avs_rule` which rule version.
        evidence_count: Counted from the sub-collection, never incremented.
        restored_us: When the condition ended, None while it lasts.
    """

    alarm_id: str
    home_id: str
    kind: AlarmKind
    category: Category
    code: int
    title: str
    headline: str
    room: str = ""
    avs_level: int = Field(ge=0, le=4)
    avs_reasons: list[str] = Field(default_factory=list)
    avs_rule: str = ""
    evidence_count: int = 1
    occurred_us: int
    opened_us: int
    updated_us: int
    restored_us: int | None = None
    cancelled_us: int | None = None
    armed_mode: str = ""
    clock_suspect: bool = False
    cert_expired: bool = False
    # the console's
    state: AlarmState = AlarmState.NEW
    claim: Claim | None = None
    fence: int = 0
    presented_us: int | None = None
    acknowledged_us: int | None = None
    actioned_us: int | None = None
    closed_us: int | None = None
    close_out: CloseOutCode | None = None
    close_note: str = ""


PIPELINE_FIELDS: Final = frozenset(
    {
        "code",
        "title",
        "headline",
        "room",
        "avs_level",
        "avs_reasons",
        "avs_rule",
        "evidence_count",
        "occurred_us",
        "updated_us",
        "restored_us",
        "cancelled_us",
        "armed_mode",
        "clock_suspect",
        "cert_expired",
    }
)
CONSOLE_FIELDS: Final = frozenset(
    {
        "state",
        "claim",
        "fence",
        "presented_us",
        "acknowledged_us",
        "actioned_us",
        "closed_us",
        "close_out",
        "close_note",
    }
)
NOTIFIER_FIELDS: Final = frozenset({"push"})


class SensorStatus(BaseModel):
    """A sensor as the home's document shows it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    kind: str
    room: str
    battery_percent: int | None = None


class HomeStatus(_Document):
    """homes/{home_id}. `last_seen_us` is coarse: five minutes."""

    home_id: str
    gateway_id: str = ""
    armed_mode: str = "unknown"
    armed_phase: str = "unknown"
    sensors: dict[str, SensorStatus] = Field(default_factory=dict)
    software_version: str = ""
    last_seen_us: int = 0


class DirectoryEntry(_Document):
    """directory/{home_id}: personal data, never logged."""

    home_id: str
    address: str
    place: str = ""
    region: str = ""
    phones: list[str] = Field(default_factory=list)
    contacts: list[str] = Field(default_factory=list)


class LaneProof(BaseModel):
    """When the synthetic gateway's test last came through a lane, and how long it took."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    proven_us: int
    sent_us: int


def alarm_id(home_id: str, kind: AlarmKind, evidence_id: str) -> str:
    """Identity of the episode that this evidence opens: the same however often it is delivered.

    >>> alarm_id("home-1", AlarmKind.FIRE, "ab") == alarm_id("home-1", AlarmKind.FIRE, "ab")
    True
    """
    digest = hashlib.sha256(f"{home_id}|{kind}|{evidence_id}".encode()).hexdigest()
    return f"{kind}-{digest[:20]}"


def open_id(home_id: str, kind: AlarmKind) -> str:
    """Document id under `open/`."""
    return f"{home_id}~{kind}"
