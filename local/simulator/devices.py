"""The sensors of a simulated home: what is screwed to its walls."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb

HALL, LIVING, BEDROOM, KITCHEN = "hall", "living room", "bedroom", "kitchen"
ROOMS: Final = (HALL, LIVING, BEDROOM, KITCHEN)


class Device(NamedTuple):
    """One sensor and where it hangs."""

    sensor_id: str
    kind: pb.SensorKind
    room: str


FRONT_DOOR: Final = "contact-front-door"
KITCHEN_WINDOW: Final = "contact-kitchen-window"
BEDROOM_WINDOW: Final = "contact-bedroom-window"
SMOKE_ALARM: Final = "smoke-kitchen"
PANIC_BUTTON: Final = "panic-bedroom"
KEYPAD: Final = "keypad-hall"
MAINS: Final = "mains"

# The ten that send a reading every minute.
MOTION: Final = (
    Device("motion-hall", pb.SENSOR_KIND_MOTION, HALL),
    Device("motion-living", pb.SENSOR_KIND_MOTION, LIVING),
    Device("motion-bedroom", pb.SENSOR_KIND_MOTION, BEDROOM),
)
SOUND: Final = (
    Device("sound-kitchen", pb.SENSOR_KIND_SOUND, KITCHEN),
    Device("sound-living", pb.SENSOR_KIND_SOUND, LIVING),
)
AIR: Final = (
    Device("air-kitchen", pb.SENSOR_KIND_AIR, KITCHEN),
    Device("air-bedroom", pb.SENSOR_KIND_AIR, BEDROOM),
)
CONTACT: Final = (
    Device(FRONT_DOOR, pb.SENSOR_KIND_CONTACT, HALL),
    Device(KITCHEN_WINDOW, pb.SENSOR_KIND_CONTACT, KITCHEN),
    Device(BEDROOM_WINDOW, pb.SENSOR_KIND_CONTACT, BEDROOM),
)
READING_DEVICES: Final = MOTION + SOUND + AIR + CONTACT

# The rest speak only when something happens.
SMOKE: Final = Device(SMOKE_ALARM, pb.SENSOR_KIND_SMOKE, KITCHEN)
EVENT_DEVICES: Final = (
    SMOKE,
    Device(PANIC_BUTTON, pb.SENSOR_KIND_BUTTON, BEDROOM),
    Device(KEYPAD, pb.SENSOR_KIND_GATEWAY, HALL),
    Device(MAINS, pb.SENSOR_KIND_GATEWAY, HALL),
)
DEVICES: Final = READING_DEVICES + EVENT_DEVICES


def home_id(number: int) -> str:
    """
    >>> home_id(7)
    'home-0007'
    """
    return f"home-{number:04d}"


def gateway_id(number: int) -> str:
    """
    >>> gateway_id(7)
    'gw-0007'
    """
    return f"gw-{number:04d}"
