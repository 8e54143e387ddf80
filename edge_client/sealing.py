"""What is to become durable, and how a draft becomes a sealed envelope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from edge_client.identity import Identity
from edge_client.minute import SealedSensor
from edge_client.store import IntakeRow
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import seal
from schemas.packing import LIVE_DICTIONARY

_CLOCK_UNSET_US: Final = 1_735_689_600_000_000  # 2025: before this software was written


class Draft(NamedTuple):
    """A body to be sealed. `packed`: with a dictionary, for one that is small and can wait for a cloud
    that knows it."""

    lane: pb.Lane
    body: pb.Body
    packed: bool = False


@dataclass
class Change:
    """What becomes durable in one transaction.

    Attributes:
        now_us: Gateway clock.
        arming: Snapshot for the headers.
        frames: Messages to keep until their minute is sealed.
        drafts: To seal and queue, in this order.
        sealed: Sensors' minutes that `drafts` contain.
        sealed_minutes: Minutes whose kept messages are now in `drafts`.
        notes: What the rules want to find again after a restart, by name.
        raw: Readings of a minute that `drafts` leave out, by minute.
        announced: (number, crc) of the kept minutes whose object the one draft announces.
        lost: Why and of which minute something that was acknowledged will not be in any batch. Each
            takes a seq of its own, which is declared at once.
    """

    now_us: int
    arming: pb.Arming
    frames: list[IntakeRow] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    sealed: list[SealedSensor] = field(default_factory=list)
    sealed_minutes: list[int] = field(default_factory=list)
    notes: dict[str, bytes] = field(default_factory=dict)
    raw: dict[int, list[pb.Reading]] = field(default_factory=dict)
    announced: list[tuple[int, int]] = field(default_factory=list)
    lost: list[tuple[pb.GapReason, int]] = field(default_factory=list)


class Place(NamedTuple):
    """Where a batch stands in its epoch, and what its header says of that epoch."""

    epoch: bytes
    seq: int
    oldest_unsent_seq: int
    gaps: Iterable[pb.Gap]
    epoch_start: pb.EpochStart | None


class Sealer(NamedTuple):
    """Signs one gateway's batches."""

    identity: Identity
    software_version: str
    synthetic: bool

    def seal(self, draft: Draft, change: Change, place: Place) -> bytes:
        """Draft → serialized Envelope."""
        header = pb.Header(
            home_id=self.identity.home_id,
            gateway_id=self.identity.gateway_id,
            epoch=place.epoch,
            seq=place.seq,
            lane=draft.lane,
            created_us=change.now_us,
            clock_unset=change.now_us < _CLOCK_UNSET_US,
            oldest_unsent_seq=place.oldest_unsent_seq,
            head_seq=place.seq,
            gaps=place.gaps,
            arming=change.arming,
            epoch_start=place.epoch_start,
            software_version=self.software_version,
            synthetic=self.synthetic,
        )
        dictionary_id = LIVE_DICTIONARY if draft.packed else 0
        identity = self.identity
        return seal(header, draft.body, identity.key, identity.certificate, dictionary_id=dictionary_id)
