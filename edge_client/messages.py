"""What sensors say on the home's broker, parsed and checked; nothing else gets past here."""

from __future__ import annotations

import math
from typing import Final

from google.protobuf.message import DecodeError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.readings import (
    AIR_CHANNELS,
    MINUTE_US,
    READING_KINDS,
    SECONDS,
    acceleration,
    log_mel,
    pir_waveform,
    sound_levels,
)

MAX_PAYLOAD_BYTES: Final = 64 << 10  # the largest frame, sound, is 10.3 kB
MAX_AHEAD_US: Final = 5 * MINUTE_US  # sensors take their clock from the gateway
MAX_BEHIND_US: Final = 7 * 24 * 60 * MINUTE_US  # the longest that the broker may have kept a frame


class ZigbeeMessage(BaseModel):
    """The fields of Zigbee2MQTT's JSON that mean something here; devices send many more."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    contact: bool | None = Field(default=None, description="False is open, as Zigbee2MQTT has it")
    occupancy: bool | None = None
    smoke: bool | None = None
    mains: bool | None = None
    tamper: bool | None = None
    action: str | None = Field(default=None, max_length=40)
    action_code: str | None = Field(default=None, max_length=40, repr=False)
    battery: float | None = Field(default=None, ge=0, le=100, description="%")


def parse_zigbee(payload: bytes) -> ZigbeeMessage:
    """JSON of a Zigbee device → message.

    Raises:
        BadInput: Too long, not JSON, or a field of a wrong type or range.
    """
    _check_size(payload)
    try:
        return ZigbeeMessage.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]  # the input may hold a code
        field = ".".join(str(part) for part in first["loc"]) or "payload"
        raise BadInput(f"zigbee {field}: {first['msg']}") from error


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
        pir_waveform(frame.motion)
    elif kind == pb.SENSOR_KIND_SOUND:
        log_mel(frame.sound)
        sound_levels(frame.sound)
    elif kind == pb.SENSOR_KIND_AIR:
        _check_air(air_values(frame.air))
    else:
        acceleration(frame.contact)
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
