"""Where episodes live: the interface, and a store in memory for replays and tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from schemas.alarms import Alarm, Evidence, LaneProof, open_id
from schemas.events import AlarmKind
from transforms.episodes import Change, Episode, Slot, fold, wanted


class AlarmStore(Protocol):
    """What the pipeline does to alarms, homes and the proof of the path. Every call is idempotent."""

    def attach(self, home_id: str, kind: AlarmKind, raised: Sequence[tuple[Evidence, str]]) -> list[Change]:
        """Evidence of one home and kind, each with the arming mode, in the order of arrival → changes
        that are now durable. Evidence that some episode has already changes nothing.

        Raises:
            google.api_core.exceptions.GoogleAPIError: The store could not be written: retry.
        """

    def prove(self, lane: str, proof: LaneProof) -> None:
        """Write when a lane was last proven."""

    def put_home(self, home_id: str, fields: dict[str, Any]) -> None:
        """Merge fields of schemas.homes.HomeStatus into the home's document."""

    def close(self) -> None:
        """Release connections."""


class MemoryStore:
    """An `AlarmStore` in dicts, keyed as the Firestore collections are.

    Args:
        clock_us: µs since 1970 UTC, for `opened_us` and `updated_us`.
    """

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self.alarms: dict[str, Alarm] = {}
        self.evidence: dict[str, dict[str, Evidence]] = {}
        self.index: dict[str, str] = {}
        self.slots: dict[str, Slot] = {}
        self.proofs: dict[str, LaneProof] = {}
        self.homes: dict[str, dict[str, Any]] = {}

    def attach(self, home_id: str, kind: AlarmKind, raised: Sequence[tuple[Evidence, str]]) -> list[Change]:
        fresh = [(evidence, mode) for evidence, mode in raised if evidence.evidence_id not in self.index]
        slot = self.slots.get(open_id(home_id, kind), Slot())
        names = wanted(slot, [evidence for evidence, _ in fresh])
        episodes = {name: Episode(self.alarms[name], list(self.evidence[name].values())) for name in names}
        outcome = fold(kind, slot, episodes, fresh, self._clock_us())
        for change in outcome.changes:
            taken_by = ""
            if change.action != "none" and change.alarm is not None:
                taken_by = change.alarm.alarm_id
                self.alarms[taken_by] = change.alarm
                self.evidence.setdefault(taken_by, {})[change.evidence.evidence_id] = change.evidence
            self.index[change.evidence.evidence_id] = taken_by or self.index.get(
                change.evidence.evidence_id, ""
            )
        if outcome.slot is not None:
            self.slots[open_id(home_id, kind)] = outcome.slot
        return [change for change in outcome.changes if change.action != "none"]

    def prove(self, lane: str, proof: LaneProof) -> None:
        self.proofs[lane] = proof

    def put_home(self, home_id: str, fields: dict[str, Any]) -> None:
        self.homes.setdefault(home_id, {}).update(fields)

    def close(self) -> None:
        pass
