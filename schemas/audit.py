"""The audit trail: who did what, when, with what was before and after; refusals too. Append-only.

Collections:
    audit/{chain}~{seq}     one entry; created, never written again
    audit_heads/{chain}     the newest entry of a chain, written with it
    audit_anchors/{seq}     now and then the heads that moved since: a chain of its own

A chain belongs to one alarm (`alarm:…`), home (`home:…`) or account (`user:…`, for what was refused).
Every entry holds the hash of the one before it. No personal data: accounts by their id, free text by
its length only.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

AUDIT: Final = "audit"
AUDIT_HEADS: Final = "audit_heads"
AUDIT_ANCHORS: Final = "audit_anchors"
MAX_ANCHORED: Final = 200  # heads in one anchor: a document of at most about 50 kB


class _Link(BaseModel):
    """Something with the hash of its predecessor (empty: the first) and its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    seq: int = Field(ge=1)
    previous: str
    at_us: int
    hash: str = ""

    def digest(self) -> str:
        """SHA-256 over everything but `hash`, in hex."""
        content = self.model_dump(mode="json", exclude={"hash"})
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


class AuditEntry(_Link):
    """One action of one account.

    Attributes:
        at_us: Console's clock, UTC.
        user, role: Who; the account's id, not a name.
        target: The alarm or home.
        reason: Why it was denied, a word of `webapp.errors.Refused.reason`.
        before, after: The fields that changed (done), or what was asked for (denied: `after`).
    """

    chain: str
    user: str
    role: str
    action: str
    target: str
    outcome: Literal["done", "denied"] = "done"
    reason: str = ""
    before: dict[str, Any] = Field(default_factory=dict)
    after: dict[str, Any] = Field(default_factory=dict)

    @property
    def entry_id(self) -> str:
        """Document id under `audit/`."""
        return f"{self.chain}~{self.seq:08d}"


class AuditHead(BaseModel):
    """The newest entry of a chain. `anchored`: an anchor names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    chain: str
    seq: int
    hash: str
    at_us: int
    anchored: bool = False


class AnchoredHead(BaseModel):
    """A head as an anchor remembers it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    chain: str
    seq: int
    hash: str


class AuditAnchor(_Link):
    """Heads that moved since the anchor before: what a later rewrite or cut of their chains contradicts."""

    heads: list[AnchoredHead] = Field(max_length=MAX_ANCHORED)

    @property
    def anchor_id(self) -> str:
        """Document id under `audit_anchors/`."""
        return f"{self.seq:08d}"


def chain_of(scope: Literal["alarm", "home", "user"], name: str) -> str:
    """Scope and id → chain, safe as a document id.

    >>> chain_of("user", "a/b")
    'user:a%2Fb'
    """
    return f"{scope}:{quote(name, safe='')}"
