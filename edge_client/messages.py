"""What sensors say on the home's broker, parsed and checked; nothing else gets past here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.payloads import (
    AIR_CHANNELS,
    MINUTE_US,
    READING_KINDS,
    SECONDS,
    check_acceleration,
    check_pir,
    check_sound,
)

MAX_PAYLOAD_BYTES: Final = 64 << 10  # the largest frame, sound, is 10.3 kB
MAX_WORD_CHARS: Final = 40
MAX_AHEAD_US: Final = 5 * MINUTE_US  # sensors take their clock from the gateway
MAX_BEHIND_US: Final = 7 * 24 * 60 * MINUTE_US  # the longest that the broker may have kept a frame


@dataclass(frozen=True)
class ZigbeeMessage:
    """The fields of Zigbee2MQTT's JSON that mean something here; devices send many more.

    Attributes:
        contact: False is open, as Zigbee2MQTT has it.
        battery: %.
    """

    contact: bool | None = None
    occupancy: bool | None = None
    smoke: bool | None = None
    mains: bool | None = None
    tamper: bool | None = None
    action: str | None = None
    action_code: str | None = field(default=None, repr=False)
    battery: float | None = None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("limit: true or false")
    return value


def _word(value: object) -> str:
    # JSON can say half a surrogate pair, which no encoder takes.
    if not isinstance(value, str) or len(value) > MAX_WORD_CHARS or not value.isprintable():
        raise ValueError(f"limit: a text of {MAX_WORD_CHARS} printable characters")
    return value


def _percent(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError("limits: a number from 0 to 100")
    return float(value)


_ZIGBEE: Final[dict[str, Callable[[object], object]]] = {
    **dict.fromkeys(("contact", "occupancy", "smoke", "mains", "tamper"), _flag),
    **dict.fromkeys(("action", "action_code"), _word),
    "battery": _percent,
}


def parse_zigbee(payload: bytes) -> ZigbeeMessage:
    """JSON of a Zigbee device → message.

    Raises:
        BadInput: Too long, not JSON, or a field of a wrong type or range.
    """
    _check_size(payload)
    try:
        said = json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"zigbee payload: not JSON: {type(error).__name__}") from error
    if not isinstance(said, dict):
        raise BadInput("zigbee payload: not a JSON object")
    known: dict[str, Any] = {}
    for name, check in _ZIGBEE.items():
        value = said.get(name)
        try:
            known[name] = None if value is None else check(value)
        except ValueError as error:  # which does not say the value: it may be a code
            raise BadInput(f"zigbee {name}: {error}") from error
    return ZigbeeMessage(**known)


def parse_frame(payload: bytes, sensor_id: str, kind: pb.SensorKind) -> pb.SensorFrame:
    """Bytes of a rich sensor → frame.

    Args:
        sensor_id: From the topic. kind: As configured.

    Raises:
        BadInput: Not a frame, of another sensor or kind, or a payload whose size or range is at
            fault.
    """
    _check_size(payload)
    try:
        frame = pb.SensorFrame.FromString(payload)
    except DecodeError as error:
        raise BadInput(f"not a sensor frame: {error}") from error
    if frame.sensor_id != sensor_id:
        raise BadInput(f"frame is of sensor {frame.sensor_id!r}, its topic says {sensor_id!r}")
    if frame.kind != kind or frame.WhichOneof("payload") != READING_KINDS.get(kind):
        raise BadInput(
            f"frame is of kind {frame.kind} with {frame.WhichOneof('payload')}, configured kind {kind}"
        )
    if frame.battery_percent > 100:
        raise BadInput(f"battery_percent is {frame.battery_percent}, limit 100")
    if kind == pb.SENSOR_KIND_MOTION:
        check_pir(frame.motion)
    elif kind == pb.SENSOR_KIND_SOUND:
        check_sound(frame.sound)
    elif kind == pb.SENSOR_KIND_AIR:
        _check_air(air_values(frame.air))
    else:
        check_acceleration(frame.contact)
        late = [ms for ms in frame.contact.changes_ms if ms >= SECONDS * 1000]
        if late:
            raise BadInput(f"changes_ms is {late[0]}, limit {SECONDS * 1000 - 1}")
    return frame


def believe_clock(frame: pb.SensorFrame, now_us: int) -> bool:
    """Give a frame whose clock cannot be right the time of its arrival → whether it was changed.

    A sensor that lost its clock still measured: the reading is kept, at the gateway's time.
    """
    if now_us - MAX_BEHIND_US <= frame.start_us <= now_us + MAX_AHEAD_US:
        return False
    lasted_us = 1_000_000 if frame.kind == pb.SENSOR_KIND_AIR else MINUTE_US
    frame.start_us = now_us - lasted_us
    return True


def air_values(air: pb.AirSecond) -> tuple[float, ...]:
    """One second of air in the order of `AIR_CHANNELS`."""
    return (air.co2_ppm, air.co_ppm, air.voc_index, air.temperature_c, air.humidity_pct, air.pressure_hpa)


def _check_air(values: tuple[float, ...]) -> None:
    for channel, value in zip(AIR_CHANNELS, values, strict=True):
        if not (math.isfinite(value) and channel.low <= value <= channel.high):
            raise BadInput(
                f"air.{channel.name} is {value:g} {channel.unit}, limits {channel.low:g} to {channel.high:g}"
            )


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadInput(f"payload is {len(payload)} bytes, limit {MAX_PAYLOAD_BYTES}")
