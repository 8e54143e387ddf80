"""Firestore documents: alarms (episodes), their evidence, and the proof of the path.

Collections:
    alarms/{alarm_id}                        one episode
    alarms/{alarm_id}/evidence/{evidence_id} what supports it, counted from here
    alarms/{alarm_id}/history/{entry_id}     what the console did, append-only
    open/{home_id}~{kind}                    the latest episode of a home and kind
    evidence/{evidence_id}                   which episode took it: a repeated delivery changes nothing
    operations/{name}                        "path": the last proven path of each lane

Who writes what: the pipeline creates an episode and later writes only `PIPELINE_FIELDS` of it by
mask; the console alone writes `CONSOLE_FIELDS` (`owner_said` and `owner_words` by the notifier, through the
console's transaction); the notifier owns `NOTIFIER_FIELDS`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.documents import Document
from schemas.events import AlarmKind, Category

ALARMS: Final = "alarms"
EVIDENCE: Final = "evidence"
HISTORY: Final = "history"
OPEN: Final = "open"
OPERATIONS: Final = "operations"
PATH_DOCUMENT: Final = "path"
CASE_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U


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
    AlarmState.CLOSED: frozenset({AlarmState.NEW}),  # reopened, with a reason and for a while
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


class Service(StrEnum):
    """Whom a dispatcher can send."""

    FIRE_BRIGADE = "fire_brigade"
    POLICE = "police"
    AMBULANCE = "ambulance"
    GUARD = "guard"
    KEY_HOLDER = "key_holder"


class CallOutcome(StrEnum):
    """How a call to a contact ended."""

    REACHED = "reached"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    WRONG_NUMBER = "wrong_number"


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


class Evidence(Document):
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


class Call(BaseModel):
    """One call to a contact: its place in the directory's order (from 0), never its name."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    contact: int
    outcome: CallOutcome
    at_us: int


class OwnerSaid(BaseModel):
    """What an owner said about an alarm in the app. `at_us`: by the database's clock. `note` is free text."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    kind: Literal["it_was_me", "help"]
    user: str
    at_us: int
    note: str = ""


class PushMark(BaseModel):
    """What of an alarm was put into the outbox: moments (`schemas.owners.Moment`) and the first one's time.

    Attributes:
        moments: Of the last round: what was reopened begins anew. round_us: its `reopened_us`, 0 for none.
        owners: How many accounts the first was for; 0: nobody has a phone that wants pushes.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    moments: list[str] = Field(default_factory=list)
    round_us: int = 0
    first_us: int
    owners: int


class Alarm(Document):
    """An episode. Times in µs since 1970 UTC, by the pipeline's or console's clock.

    Attributes:
        headline: One sentence for the dispatcher.
        avs_level: ANSI/TMA-AVS-01, 0 to 4; `avs_reasons` says why, `avs_rule` which rule version.
        evidence_count: Counted from the sub-collection, never incremented.
        restored_us: When the condition ended, None while it lasts.
        actioned_us, acted_us: When something was first and last done about it.
        returned_us: When it last came back to the queue: given back, lease run out, or reopened.
        owner_words: All that owners said, oldest first.
        owner_said: Of these the one that counts: help before "it was me", then the newest.
        escalation: 0 nobody called, 1 a second dispatcher, 2 the supervisor; 0 again once handled.
        services: Who was sent (`Service`). steps_done: ticked steps of the procedure, from 0.
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
    acted_us: int | None = None
    closed_us: int | None = None
    close_out: CloseOutCode | None = None
    close_note: str = ""
    returned_us: int | None = None
    escalation: int = 0
    escalated_us: int | None = None
    dispatched_us: int | None = None
    on_scene_us: int | None = None
    services: list[Service] = Field(default_factory=list)
    calls: list[Call] = Field(default_factory=list)
    steps_done: list[int] = Field(default_factory=list)
    safe_word_failures: int = 0
    safe_word_us: int | None = None
    reopened_us: int | None = None
    owner_said: OwnerSaid | None = None
    owner_words: list[OwnerSaid] = Field(default_factory=list)
    # the notifier's
    push: PushMark | None = None

    @model_validator(mode="before")
    @classmethod
    def _keep_earlier_word(cls, document: Any) -> Any:
        """Of an alarm from before all words were kept the one that counted is known: maybe a cry for help."""
        if isinstance(document, dict) and document.get("owner_said") and not document.get("owner_words"):
            return {**document, "owner_words": [document["owner_said"]]}
        return document


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
        "acted_us",
        "closed_us",
        "close_out",
        "close_note",
        "returned_us",
        "escalation",
        "escalated_us",
        "dispatched_us",
        "on_scene_us",
        "services",
        "calls",
        "steps_done",
        "safe_word_failures",
        "safe_word_us",
        "reopened_us",
        "owner_said",
        "owner_words",
    }
)
NOTIFIER_FIELDS: Final = frozenset({"push"})


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


def case_number(alarm_id: str, opened_us: int) -> str:
    """What people say on the phone: day (UTC) and seven letters and digits that cannot be misheard.

    Derived, not counted: a counter would be one document that every alarm has to write.

    >>> case_number("fire-0123", 1_790_000_000_000_000)
    '260921-RVKGNS7'
    """
    day = dt.datetime.fromtimestamp(opened_us / 1_000_000, dt.UTC).strftime("%y%m%d")
    number = int.from_bytes(hashlib.sha256(alarm_id.encode()).digest()[:5])
    return day + "-" + "".join(CASE_LETTERS[number >> shift & 31] for shift in range(30, -1, -5))


def open_id(home_id: str, kind: AlarmKind) -> str:
    """Document id under `open/`."""
    return f"{home_id}~{kind}"
