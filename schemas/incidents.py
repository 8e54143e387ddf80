"""Firestore documents of supervision: incidents, a home's path, what is lost, how supervision fares.

Collections:
    incidents/{incident_id}               homes that fell silent together
    incidents/{incident_id}/homes/{part}  which: at most 500 ids a document, never one list of all
    homes/{home_id}                       of its fields, those of `HomePath`
    losses/{home_id}                      readings that will not come, while any is unexplained
    operations/supervision                how many homes are watched, and by a roster of what age

All are the pipeline's; each write carries the moment that it speaks of, and an older one changes nothing.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.documents import Document

INCIDENTS: Final = "incidents"
INCIDENT_HOMES: Final = "homes"
LOSSES: Final = "losses"
SUPERVISION_DOCUMENT: Final = "supervision"
MAX_HOMES_A_PART: Final = 500
MAX_NAMED: Final = 8  # regions or operators that an incident names, the largest first
UNEXPLAINED: Final = "unexplained"  # a loss that its gateway did not declare
MAX_LOSSES: Final = 100  # a home's document keeps the newest


class PathState(StrEnum):
    """Whether a home is heard (EN 50136-1's terms)."""

    PATH_OK = "PATH_OK"
    PATH_FAIL = "PATH_FAIL"


class HomePath(BaseModel):
    """Fields of homes/{home_id}. `path_since_us`: last heard if it fails (0: never), else heard again."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    path_state: PathState
    path_since_us: int


class NamedCount(BaseModel):
    """How many homes of an incident one region or operator has."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    name: str
    homes: int


class Incident(Document):
    """Homes that fell silent together, by their region or the operator of their gateways.

    Attributes:
        region, operator: What they have in common; "" where they differ.
        headline: One line for the dispatcher's queue.
        homes: Ever in it. returned: of them heard again, or withdrawn. mains_lost: silent after a mains
            failure.
        since_us: When the first was last heard. opened_us, updated_us: the pipeline's event time.
        restored_us: When the last one was back; None while any is silent.
    """

    incident_id: str
    region: str
    operator: str
    headline: str
    homes: int = Field(ge=1)
    returned: int = Field(ge=0, default=0)
    mains_lost: int = Field(ge=0, default=0)
    regions: list[NamedCount] = Field(default_factory=list)
    operators: list[NamedCount] = Field(default_factory=list)
    since_us: int
    opened_us: int
    updated_us: int
    restored_us: int | None = None


class Loss(BaseModel):
    """Batches that their gateway numbered and that never came.

    Attributes:
        from_us, to_us: Gateway clock, from the batches on either side; 0: unknown.
        reason: As the gateway declared; "unexplained": it did not.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    gateway_id: str
    epoch: str
    first_seq: int
    last_seq: int
    from_us: int
    to_us: int
    reason: str
    state: Literal["open", "filled"]


class HomeLosses(Document):
    """losses/{home_id}. `unexplained`: open losses without a declaration; `batches`: all open ones'."""

    home_id: str
    unexplained: int
    batches: int
    losses: list[Loss] = Field(default_factory=list)
    updated_us: int


class Supervision(Document):
    """operations/supervision. `roster_us`: when the roster in use was last seen to be the current one."""

    homes: int
    silent: int
    roster_us: int
    as_of_us: int


def incident_id(region: str, operator: str, first_home: str, from_us: int) -> str:
    """Identity of an incident, from what opened it: the same however often that is computed.

    >>> incident_id("Ost", "", "home-1", 5) == incident_id("Ost", "", "home-1", 5)
    True
    """
    digest = hashlib.sha256(f"{region}|{operator}|{first_home}|{from_us}".encode()).hexdigest()
    return f"incident-{digest[:20]}"
