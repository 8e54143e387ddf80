"""The home's last ten minutes at a fixed pace: what an alarm carries for the dispatcher's charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from edge_client.clock import SECOND_US
from edge_client.config import SensorConfig
from schemas import hearthwatch_v1_pb2 as pb
from schemas.payloads import AIR_CHANNELS

PERIOD_US: Final = 10 * SECOND_US
SLOTS: Final = 60
_NOTHING: Final = float("nan")

# Quantities by kind: (name, unit, held). A held quantity keeps its value until it changes.
_QUANTITIES: Final[dict[str, tuple[tuple[str, str, bool], ...]]] = {
    "air": tuple((c.name, c.unit, False) for c in AIR_CHANNELS),
    "sound": (("sound_dba", "dB(A)", False),),
    "motion": (("motion", "1", True),),
    "contact": (("open", "1", True),),
}


class _Ring:
    """`SLOTS` values, one a slot of `PERIOD_US`; the highest value within a slot stays."""

    def __init__(self, held: bool) -> None:
        self._values = [_NOTHING] * SLOTS
        self._newest = 0  # slot number since 1970
        self._held = held
        self._last = _NOTHING

    def put(self, at_us: int, value: float) -> None:
        slot = at_us // PERIOD_US
        if self._newest - slot >= SLOTS:  # the clock was set back: begin anew
            self._values, self._newest = [_NOTHING] * SLOTS, slot - 1
        self._advance(slot)
        old = self._values[slot % SLOTS]
        self._values[slot % SLOTS] = value if math.isnan(old) else max(old, value)
        self._last = value

    def read(self, end_slot: int) -> list[float]:
        """Values of the `SLOTS` slots up to and with `end_slot`, oldest first."""
        first = end_slot - SLOTS + 1
        out = []
        for slot in range(first, end_slot + 1):
            known = self._newest - SLOTS < slot <= self._newest
            after = self._last if self._held and slot > self._newest else _NOTHING
            out.append(self._values[slot % SLOTS] if known else after)
        return out

    def _advance(self, slot: int) -> None:
        if slot <= self._newest:
            return
        fill = self._last if self._held else _NOTHING
        for passed in range(max(self._newest + 1, slot - SLOTS + 1), slot + 1):
            self._values[passed % SLOTS] = fill
        self._newest = slot


class HomeSeries:
    """A ring for each quantity of each sensor; about 10 kB of values a home."""

    def __init__(self, sensors: Iterable[SensorConfig]) -> None:
        self._sensors = {s.id: s for s in sensors if s.kind in _QUANTITIES}
        self._rings = {
            (s.id, name): _Ring(held) for s in self._sensors.values() for name, _, held in _QUANTITIES[s.kind]
        }

    def put(self, sensor_id: str, at_us: int, values: Mapping[str, float]) -> None:
        """Quantities of a sensor at a moment (µs since 1970 UTC); unknown ones are passed over."""
        for name, value in values.items():
            ring = self._rings.get((sensor_id, name))
            if ring is not None:
                ring.put(at_us, value)

    def last_minutes(self, now_us: int) -> list[pb.Series]:
        """Ten minutes up to now; a quantity of which nothing is known is left out."""
        end_slot = now_us // PERIOD_US
        out = []
        for sensor in self._sensors.values():
            for name, unit, _ in _QUANTITIES[sensor.kind]:
                values = self._rings[sensor.id, name].read(end_slot)
                if not all(map(math.isnan, values)):
                    out.append(
                        pb.Series(
                            sensor_id=sensor.id,
                            kind=sensor.wire_kind,
                            room=sensor.room,
                            quantity=name,
                            unit=unit,
                            start_us=(end_slot - SLOTS + 1) * PERIOD_US,
                            period_us=PERIOD_US,
                            values=values,
                        )
                    )
        return out
