"""What the rules say happened, and the ledger of what is still open, so that all of it is restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from schemas import hearthwatch_v1_pb2 as pb

NewId = Callable[[], bytes]  # 16 random bytes


class Measure(NamedTuple):
    """What a rule saw. `limit` is the bound that was crossed, 0 for none."""

    name: str
    value: float
    unit: str
    limit: float = 0.0


class Signal(NamedTuple):
    """An event before it is put on the wire.

    Attributes:
        code: Contact ID (schemas.events.Code).
        event_id: 16 bytes.
        occurred_us: µs since 1970 UTC, of the reading that showed it.
        restores: Event id that a RESTORE ends.
        user: Opaque id of who did it, "" for nobody.
    """

    code: int
    qualifier: pb.Qualifier
    sensor_id: str
    event_id: bytes
    occurred_us: int
    rule_version: str
    restores: bytes = b""
    user: str = ""
    measures: tuple[Measure, ...] = ()


class OpenSignals:
    """Which codes are open at which sensor. A code raised twice is restored twice, each by its id."""

    def __init__(self, new_id: NewId, opens: dict[str, list[str]] | None = None) -> None:
        """
        Args:
            opens: From `dump()`, to go on after a restart.
        """
        self._new_id = new_id
        self._opens: dict[tuple[int, str], list[bytes]] = {}
        for key, ids in (opens or {}).items():
            code, _, sensor_id = key.partition("|")
            self._opens[int(code), sensor_id] = [bytes.fromhex(i) for i in ids]

    def dump(self) -> dict[str, list[str]]:
        """As JSON keeps it."""
        return {f"{code}|{sensor}": [i.hex() for i in ids] for (code, sensor), ids in self._opens.items()}

    def is_open(self, code: int, sensor_id: str) -> bool:
        """Was it raised and not restored?"""
        return (code, sensor_id) in self._opens

    def open_sensors(self, code: int) -> list[str]:
        """Sensors at which this code is open."""
        return [sensor for c, sensor in self._opens if c == code]

    def opened(
        self,
        code: int,
        sensor_id: str,
        occurred_us: int,
        rule: str,
        *,
        user: str = "",
        measures: tuple[Measure, ...] = (),
    ) -> Signal:
        """Something began."""
        event_id = self._new_id()
        self._opens.setdefault((code, sensor_id), []).append(event_id)
        new = pb.QUALIFIER_NEW
        return Signal(code, new, sensor_id, event_id, occurred_us, rule, user=user, measures=measures)

    def restored(
        self,
        code: int,
        sensor_id: str,
        occurred_us: int,
        rule: str,
        *,
        user: str = "",
        measures: tuple[Measure, ...] = (),
    ) -> list[Signal]:
        """It ended: one restore for each time it was raised, none if it never was."""
        return [
            Signal(
                code,
                pb.QUALIFIER_RESTORE,
                sensor_id,
                self._new_id(),
                occurred_us,
                rule,
                restores=event_id,
                user=user,
                measures=measures,
            )
            for event_id in self._opens.pop((code, sensor_id), [])
        ]

    def once(
        self,
        code: int,
        qualifier: pb.Qualifier,
        occurred_us: int,
        rule: str,
        *,
        sensor_id: str = "",
        user: str = "",
    ) -> Signal:
        """A signal that says all in itself (armed, cancelled) and opens nothing."""
        return Signal(code, qualifier, sensor_id, self._new_id(), occurred_us, rule, user=user)
