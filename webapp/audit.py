"""The audit trail's rules, without IO: link entries, keep no personal data, find what was tampered with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from schemas.alarms import Alarm
from schemas.audit import AnchoredHead, AuditAnchor, AuditEntry, AuditHead, chain_of
from webapp.lifecycle import Actor, Step

# Free text may name people: only its length is kept. The text itself is in the alarm's history.
FREE_TEXT: Final = frozenset({"close_note", "note"})
CLAIM_KEPT: Final = frozenset({"user", "fence", "claimed_us", "expires_us"})


class Record(NamedTuple):
    """An entry before it has a place in its chain. Fields as in `AuditEntry`."""

    chain: str
    at_us: int
    user: str
    role: str
    action: str
    target: str
    outcome: str = "done"
    reason: str = ""
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}


def of_step(alarm: Alarm, actor: Actor, step: Step) -> Record:
    """What a step changes of an alarm."""
    before = alarm.document()
    after = dict(step.changes)
    if "note" in step.entry and "close_note" not in after:
        after["note"] = step.entry["note"]
    return Record(
        chain=chain_of("alarm", alarm.alarm_id),
        at_us=step.entry["at_us"],
        user=actor.user,
        role=actor.role,
        action=step.entry["action"],
        target=alarm.alarm_id,
        before={field: impersonal(field, before.get(field)) for field in step.changes},
        after={field: impersonal(field, value) for field, value in after.items()},
    )


def of_denial(actor: Actor, action: str, target: str, reason: str, at_us: int) -> Record:
    """Something that was asked for and refused. Kept by account: whoever knocks at every door cannot
    slow down the alarms behind them."""
    chain = chain_of("user", actor.user)
    return Record(chain, at_us, actor.user, actor.role, action, target, "denied", reason)


def impersonal(field: str, value: Any) -> Any:
    """What the trail keeps of a field.

    >>> impersonal("close_note", "Mrs. Weber said so")
    '18 characters'
    """
    if field in FREE_TEXT:
        return f"{len(value or '')} characters"
    if field == "owner_words":
        return [impersonal("owner_said", word) for word in value]
    if field == "owner_said" and value is not None:
        return {**value, "note": impersonal("note", value["note"])}
    if field == "claim" and value is not None:
        return {key: value[key] for key in sorted(CLAIM_KEPT & value.keys())}
    return value


def link(head: AuditHead | None, record: Record) -> AuditEntry:
    """The next entry of a chain."""
    entry = AuditEntry(
        seq=head.seq + 1 if head else 1, previous=head.hash if head else "", **record._asdict()
    )
    return entry.model_copy(update={"hash": entry.digest()})


def head_of(entry: AuditEntry) -> AuditHead:
    """The chain's head once this entry is in it."""
    return AuditHead(chain=entry.chain, seq=entry.seq, hash=entry.hash, at_us=entry.at_us)


def anchor(last: AuditAnchor | None, heads: Iterable[AuditHead], at_us: int) -> AuditAnchor:
    """The next anchor over heads that moved."""
    kept = [AnchoredHead(chain=h.chain, seq=h.seq, hash=h.hash) for h in heads]
    made = AuditAnchor(
        seq=last.seq + 1 if last else 1, previous=last.hash if last else "", at_us=at_us, heads=kept
    )
    return made.model_copy(update={"hash": made.digest()})


class Trail(NamedTuple):
    """Everything there is, as read. `unreadable`: paths of documents that are not what they should be."""

    entries: Sequence[AuditEntry]
    heads: Sequence[AuditHead]
    anchors: Sequence[AuditAnchor]
    unreadable: Sequence[str] = ()


def verify(trail: Trail, witness: AnchoredHead | None = None) -> list[str]:
    """A trail → what is wrong with it, in words; empty if it is whole.

    Edited, removed, reordered and inserted entries break their own chain or miss its head. A chain that
    was rewritten or cut together with its head contradicts an anchor; a rewritten chain of anchors
    contradicts a `witness`: seq and hash of an anchor, noted outside the database (the console logs each).
    """
    chains: dict[str, list[AuditEntry]] = defaultdict(list)
    for entry in trail.entries:
        chains[entry.chain].append(entry)
    faults = [f"{path}: cannot be read" for path in trail.unreadable]
    for chain, entries in sorted(chains.items()):
        faults += _broken(chain, sorted(entries, key=lambda e: e.seq))
    faults += _against_heads(chains, {head.chain: head for head in trail.heads})
    anchors = sorted(trail.anchors, key=lambda a: a.seq)
    faults += _broken("anchors", anchors)
    hashes = {(entry.chain, entry.seq): entry.hash for entry in trail.entries}
    for one in anchors:
        faults += [
            f"{head.chain}: entry {head.seq} is not the one that anchor {one.seq} saw"
            for head in one.heads
            if hashes.get((head.chain, head.seq)) != head.hash
        ]
    if witness and {a.seq: a.hash for a in anchors}.get(witness.seq) != witness.hash:
        faults.append(f"anchors: {witness.seq} is not the one that was witnessed")
    return faults


class _Linked(Protocol):
    @property
    def seq(self) -> int: ...
    @property
    def previous(self) -> str: ...
    @property
    def hash(self) -> str: ...
    def digest(self) -> str: ...


_L = TypeVar("_L", bound=_Linked)


def _broken(name: str, links: Sequence[_L]) -> list[str]:
    faults, expected, previous = [], 1, ""
    for one in links:
        if one.digest() != one.hash:
            faults.append(f"{name}: entry {one.seq} was edited")
        if one.seq != expected:
            what = "is there twice" if one.seq < expected else f"follows {expected - 1}: some were removed"
            faults.append(f"{name}: entry {one.seq} {what}")
        elif one.previous != previous:
            faults.append(f"{name}: entry {one.seq} does not follow the one before it")
        expected, previous = one.seq + 1, one.hash
    return faults


def _against_heads(chains: Mapping[str, list[AuditEntry]], heads: Mapping[str, AuditHead]) -> list[str]:
    faults = []
    for chain in sorted(chains.keys() | heads.keys()):
        last = max(chains.get(chain, []), key=lambda e: e.seq, default=None)
        head = heads.get(chain)
        if head is None:
            faults.append(f"{chain}: has entries and no head")
        elif last is None or (last.seq, last.hash) != (head.seq, head.hash):
            faults.append(f"{chain}: ends at {last.seq if last else 0}, its head says {head.seq}")
    return faults
