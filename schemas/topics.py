"""Names on the home's own MQTT broker and in Pub/Sub.

MQTT: `homes/{home_id}/rich/{sensor_id}` carries a protobuf `SensorFrame`;
`homes/{home_id}/zigbee2mqtt/{sensor_id}` carries the JSON that Zigbee2MQTT publishes
(`{"contact": false, "battery": 87}`). All with QoS 1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb

RICH: Final = "rich"
ZIGBEE: Final = "zigbee2mqtt"

# Pub/Sub topic of each lane, inside the project.
LANE_TOPICS: Final = {pb.LANE_URGENT: "urgent", pb.LANE_MINUTES: "minutes", pb.LANE_BULK: "bulk"}

# Pub/Sub attributes: they route and are never trusted.
ATTRIBUTE_HOME: Final = "home_id"
ATTRIBUTE_GATEWAY: Final = "gateway_id"
ATTRIBUTE_LANE: Final = "lane"


class SensorTopic(NamedTuple):
    """A parsed MQTT topic; `channel` is `RICH` or `ZIGBEE`."""

    home_id: str
    channel: str
    sensor_id: str


def sensor_topic(home_id: str, channel: str, sensor_id: str) -> str:
    """
    >>> sensor_topic("home-1", ZIGBEE, "front-door")
    'homes/home-1/zigbee2mqtt/front-door'
    """
    return f"homes/{home_id}/{channel}/{sensor_id}"


def parse_sensor_topic(topic: str) -> SensorTopic | None:
    """Topic → its parts, None if it is none of ours."""
    parts = topic.split("/")
    if len(parts) != 4 or parts[0] != "homes" or parts[2] not in (RICH, ZIGBEE) or not all(parts):
        return None
    return SensorTopic(parts[1], parts[2], parts[3])
