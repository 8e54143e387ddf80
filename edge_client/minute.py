"""Frames of a home → the readings of its minutes. Pure; `intake` keeps the same frames on disk.

A minute is sealed once. A frame that comes after that and holds something new becomes a
*supplement*: a further reading of the same sensor and minute under an id of its own, so that what
was acknowledged is never lost and the first reading never changes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from edge_client.config import SensorConfig
from edge_client.messages import air_values
from schemas import hearthwatch_v1_pb2 as pb
from schemas.payloads import ALL_SECONDS, MINUTE_US, SECONDS, reading_id


class SealedSensor(NamedTuple):
    """What is on record of a sensor's minute; bit s of `seconds`: second s was sealed."""

    sensor_id: str
    minute_us: int
    seconds: int


class SealedMinute(NamedTuple):
    """Readings of a minute and what to remember of them."""

    readings: list[pb.Reading]
    sealed: list[SealedSensor]


@dataclass
class _SensorMinute:
    frame: pb.SensorFrame | None = None
    air: dict[int, tuple[float, ...]] = field(default_factory=dict)
    battery: int = 0
    state: bool | None = None  # of a plain Zigbee device: open, or occupied at any time
    changes_ms: list[int] = field(default_factory=list)


def minute_of(frame: pb.SensorFrame) -> int:
    """Frame → start of the minute that it belongs to, µs since 1970 UTC.

    A second of air belongs where it falls; a minute's frame where most of it lies.
    """
    start_us = frame.start_us
    if frame.kind != pb.SENSOR_KIND_AIR:
        start_us += MINUTE_US // 2
    return start_us // MINUTE_US * MINUTE_US


class MinuteBuffer:
    """The minutes of a home that are not sealed yet."""

    def __init__(
        self, gateway_id: str, sensors: Iterable[SensorConfig], sealed: Iterable[SealedSensor] = ()
    ) -> None:
        """
        Args:
            sealed: What was on record before a restart.
        """
        self._gateway_id = gateway_id
        self._sensors = {s.id: s for s in sensors}
        self._minutes: dict[int, dict[str, _SensorMinute]] = {}
        self._sealed = {(s.sensor_id, s.minute_us): s.seconds for s in sealed}
        self._last_state: dict[str, bool] = {}
        self._expected: set[str] = set()
        self._newest_us = -1

    @property
    def minutes(self) -> list[int]:
        """Starts of the minutes in which something arrived, oldest first."""
        return sorted(self._minutes)

    def add_frame(self, frame: pb.SensorFrame) -> bool:
        """A checked frame. False if it says nothing new (delivered again)."""
        minute_us = minute_of(frame)
        sealed = self._sealed.get((frame.sensor_id, minute_us), 0)
        is_air = frame.kind == pb.SENSOR_KIND_AIR
        second = (frame.start_us - minute_us) // 1_000_000 if is_air else 0
        if sealed >> second & 1:
            return False
        held = self._minutes.get(minute_us, {}).get(frame.sensor_id)
        if held is not None and (second in held.air if is_air else held.frame is not None):
            return False
        entry = self._entry(minute_us, frame.sensor_id)
        entry.battery = frame.battery_percent or entry.battery
        if is_air:
            entry.air[second] = air_values(frame.air)
        else:
            entry.frame = frame
        return True

    def add_state(self, sensor_id: str, state: bool, at_us: int, battery: float | None = None) -> None:
        """A plain Zigbee contact (True: open) or motion detector (True: occupied) reported."""
        minute_us = at_us // MINUTE_US * MINUTE_US
        entry = self._entry(minute_us, sensor_id)
        if self._last_state.get(sensor_id, state) != state:
            entry.changes_ms.append((at_us - minute_us) // 1000)
        self._last_state[sensor_id] = state
        occupied = self._sensors[sensor_id].kind == "motion" and bool(entry.state)
        entry.state = state or occupied
        entry.battery = round(battery) if battery is not None else entry.battery

    def complete(self, minute_us: int) -> bool:
        """Has every sensor that spoke in the last sealed minute said all of this one?"""
        entries = self._minutes.get(minute_us, {})
        return bool(self._expected) and all(
            (entry := entries.get(sensor_id)) is not None
            and (entry.frame is not None or (SECONDS - 1) in entry.air)
            for sensor_id in self._expected
        )

    def peek(self, minute_us: int) -> SealedMinute:
        """Readings of a minute, by sensor id; nothing changes until `sealed` says it is on disk."""
        readings, sealed = [], []
        for sensor_id, entry in sorted(self._minutes.get(minute_us, {}).items()):
            known = self._sealed.get((sensor_id, minute_us))
            reading, seconds = self._reading(sensor_id, minute_us, entry)
            if known is not None:
                supplement = f"{sensor_id}+{seconds:x}"
                reading.reading_id = reading_id(self._gateway_id, supplement, minute_us)
                if entry.frame is None and not entry.air:
                    continue  # a bare state that came late: the next minute tells it
            readings.append(reading)
            sealed.append(SealedSensor(sensor_id, minute_us, (known or 0) | seconds))
        return SealedMinute(readings, sealed)

    def commit(self, minute_us: int, sealed: Iterable[SealedSensor]) -> None:
        """The minute is on disk: forget its frames, remember that they were seen."""
        entries = self._minutes.pop(minute_us, {})
        if minute_us > self._newest_us:  # not a supplement
            self._newest_us = minute_us
            self._expected = {s for s, e in entries.items() if e.frame is not None or e.air}
        self._sealed.update({(s.sensor_id, s.minute_us): s.seconds for s in sealed})

    def forget_before(self, minute_us: int) -> None:
        """Drop the record of minutes older than this: nothing of them is delivered again."""
        self._sealed = {key: seconds for key, seconds in self._sealed.items() if key[1] >= minute_us}

    def _entry(self, minute_us: int, sensor_id: str) -> _SensorMinute:
        return self._minutes.setdefault(minute_us, {}).setdefault(sensor_id, _SensorMinute())

    def _reading(self, sensor_id: str, minute_us: int, entry: _SensorMinute) -> tuple[pb.Reading, int]:
        sensor = self._sensors[sensor_id]
        reading = pb.Reading(
            reading_id=reading_id(self._gateway_id, sensor_id, minute_us),
            sensor_id=sensor_id,
            kind=sensor.wire_kind,
            room=sensor.room,
            model=sensor.model,
            minute_us=minute_us,
        )
        if entry.battery:
            reading.battery_percent = entry.battery
        seconds = 0
        if entry.air:
            reading.air.samples, seconds = _air_minute(entry.air)
        elif entry.frame is not None:
            seconds = ALL_SECONDS
            payload = entry.frame.WhichOneof("payload")
            if payload is not None:
                getattr(reading, payload).CopyFrom(getattr(entry.frame, payload))
        elif sensor.kind == "motion":
            reading.motion.occupied = bool(entry.state)
        else:
            reading.contact.open = bool(entry.state)
            reading.contact.changes_ms.extend(entry.changes_ms)
        reading.seconds_present = seconds
        return reading, seconds


def _air_minute(air: Mapping[int, tuple[float, ...]]) -> tuple[bytes, int]:
    """Seconds of air → float32[60, 6] and which of them were measured; others repeat the last."""
    present = sorted(air)
    values: list[float] = []
    last = air[present[0]]
    for second in range(SECONDS):
        last = air.get(second, last)
        values += last
    return struct.pack(f"<{len(values)}f", *values), sum(1 << second for second in present)
