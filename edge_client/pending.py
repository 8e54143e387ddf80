"""What waits for the next commit, and what became of it if the disk refuses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_client.intake import Arrival
from edge_client.sealing import Draft
from edge_client.store import IntakeRow
from schemas import hearthwatch_v1_pb2 as pb


@dataclass
class Pending:
    """Everything between two commits.

    Attributes:
        arrivals: Messages to acknowledge after the commit.
        frames: To keep until their minute is sealed.
        events: To send, in this order.
        lost: Why and of which minute something is dropped.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    frames: list[IntakeRow] = field(default_factory=list)
    events: list[pb.Event] = field(default_factory=list)
    lost: list[tuple[pb.GapReason, int]] = field(default_factory=list)
    _unkept: set[bytes] = field(default_factory=set)  # ids of events that were queued in memory
    _published: set[bytes] = field(default_factory=set)

    def published(self, event_ids: Iterable[bytes]) -> None:
        """These left from memory and were confirmed: the disk need not keep them any more."""
        self._published.update(event_ids)

    def drafts(self) -> list[Draft]:
        """The events that the disk has to keep, an urgent batch each."""
        return [_draft(event) for event in self.events if event.event_id not in self._published]

    def unkept_drafts(self) -> list[Draft]:
        """The events that the disk refused and that are not on their way yet; they count as so now."""
        events = [event for event in self.events if event.event_id not in self._unkept]
        self._unkept.update(event.event_id for event in events)
        return [_draft(event) for event in events]


def _draft(event: pb.Event) -> Draft:
    return Draft(pb.LANE_URGENT, pb.Body(events=[event]))
