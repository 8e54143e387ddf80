"""Messages of some homes → what is kept of them, sorted, without copies, and an account of it.

Two messages are copies if identity and content are equal. The same identity with another content is
kept beside the first, and where both are validly signed it is reported as a conflict: two gateways with
one identity, or a number that was used again. What has no readable header is kept by its message id.
The result does not depend on the order in which messages come. No Beam here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb
from schemas.compacted import Counts, tombstone
from schemas.envelope import open_body
from schemas.errors import BadInput
from transforms.archive_raw import archive_row
from transforms.elements import RawMessage
from transforms.ledger_accounts import Account, Declared, Fact, account_of
from transforms.trust import Trust, open_verified

_CONTENT_CHARS = 16  # of a digest in an account: tells a gateway's contents apart

# (object name, sha256, size) → why it is not there as announced, "" if it is.
BulkCheck = Callable[[pb.BulkReference], str]


class Known(NamedTuple):
    """A message that is in the compacted archive already: a row of schemas.compacted.INDEX_SCHEMA."""

    home_id: str
    gateway_id: str
    epoch: str
    seq: int
    message_id: str
    sha256: bytes
    verified: bool


@dataclass
class Merged:
    """What came of a bucket.

    Attributes:
        rows: Of schemas.archive.ARCHIVE_SCHEMA, sorted by home and time.
        index: A `Known` for each row.
        accounts: (home, gateway) → account of verified messages, copies included.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    index: list[Known] = field(default_factory=list)
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)


def bucket_of(row: dict[str, Any], count: int) -> int:
    """Row → bucket: all of a home in one, unreadable messages spread by content.

    >>> bucket_of({"home_id": "home-1", "envelope": b""}, 1)
    0
    """
    return home_bucket(row["home_id"] or hashlib.sha256(row["envelope"]).hexdigest(), count)


def bucket_of_known(known: Known, count: int) -> int:
    """The bucket that `bucket_of` gives the same message."""
    return home_bucket(known.home_id or known.sha256.hex(), count)


def home_bucket(key: str, count: int) -> int:
    """Home → its bucket of `count`.

    >>> home_bucket("home-1", 1)
    0
    """
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") * count >> 64


def merge_bucket(
    messages: Iterable[RawMessage],
    known: Iterable[Known],
    trust: Trust,
    *,
    tombstones: frozenset[str] = frozenset(),
    bulk_fault: BulkCheck | None = None,
) -> Merged:
    """Messages and what is known already → what is to be written.

    Args:
        tombstones: Homes that were erased: nothing of theirs is kept.
        bulk_fault: Asked for each object that a verified notice announces; None: objects are not looked at.
    """
    contents: dict[tuple[str, str, int, str], dict[bytes, bool]] = defaultdict(dict)
    for entry in known:
        contents[entry.gateway_id, entry.epoch, entry.seq, entry.message_id][entry.sha256] = entry.verified
    facts: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    merged = Merged()
    count = dict.fromkeys(Counts.model_fields, 0)
    gone: dict[str, bool] = {}
    for row in sorted(map(archive_row, messages), key=_order):
        count["rows_in"] += 1
        home = row["home_id"]
        if gone.setdefault(home, tombstone(home) in tombstones):
            count["erased"] += 1
            continue
        digest = hashlib.sha256(row["envelope"]).digest()
        # Without a header there is no identity but the message's own.
        message_id = "" if row["gateway_id"] else row["message_id"]
        same = contents[row["gateway_id"], row["epoch"], row["seq"], message_id]
        header = _verified_header(row["envelope"], trust)
        copy = digest in same
        if header is not None:
            rivals = tuple(
                other.hex()[:_CONTENT_CHARS]
                for other, verified in sorted(same.items())
                if verified and other != digest
            )
            fact = fact_of(header[1], row["publish_time"], digest, copy=copy, rivals=rivals)
            if bulk_fault is not None and header[1].lane == pb.LANE_BULK and not copy:
                fact = fact._replace(bulk_missing=_missing_objects(*header, bulk_fault))
            facts[home, row["gateway_id"]].append(fact)
            count["conflicts"] += bool(rivals) and not copy
        if copy:
            count["copies"] += 1
            continue
        same[digest] = header is not None
        count["kept"] += 1
        count["unparsable"] += not row["gateway_id"]
        count["unverified"] += bool(row["gateway_id"]) and header is None
        merged.rows.append(row)
        merged.index.append(
            Known(home, row["gateway_id"], row["epoch"], row["seq"], message_id, digest, header is not None)
        )
    merged.accounts = {key: account_of(found) for key, found in sorted(facts.items())}
    merged.counts = Counts(**count)
    return merged


def fact_of(
    header: pb.Header, publish_us: int, digest: bytes, *, copy: bool = False, rivals: tuple[str, ...] = ()
) -> Fact:
    """A verified header → what the ledger takes from it."""
    untimed = header.clock_unset or not 0 < header.created_us <= publish_us
    start = header.epoch_start if header.HasField("epoch_start") else None
    return Fact(
        epoch=header.epoch.hex(),
        seq=header.seq,
        written_us=publish_us if untimed else header.created_us,
        oldest_unsent_seq=header.oldest_unsent_seq,
        head_seq=header.head_seq,
        gaps=tuple(
            (
                gap.epoch.hex(),
                Declared(gap.first_seq, gap.last_seq, gap.reason, gap.first_us, gap.last_us),
            )
            for gap in header.gaps
            if len(gap.epoch) == 16 and 1 <= gap.first_seq <= gap.last_seq
        ),
        previous=(start.previous_epoch.hex(), start.previous_head_seq)
        if start is not None and len(start.previous_epoch) == 16
        else None,
        content=digest.hex()[:_CONTENT_CHARS],
        copy=copy,
        rivals=rivals,
    )


def _verified_header(payload: bytes, trust: Trust) -> tuple[pb.Envelope, pb.Header] | None:
    try:
        return open_verified(payload, trust)
    except BadInput:
        return None


def _missing_objects(envelope: pb.Envelope, header: pb.Header, fault: BulkCheck) -> tuple[str, ...]:
    try:
        body = open_body(envelope, header)
    except BadInput as error:
        return (f"notice {header.seq}: {error}",)
    return tuple(f"{reference.object}: {why}" for reference in body.bulk if (why := fault(reference)))


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["home_id"],
        row["publish_time"],
        row["gateway_id"],
        row["epoch"],
        row["seq"],
        hashlib.sha256(row["envelope"]).digest(),
        row["message_id"],
        sorted(row["attributes"].items()),
    )
