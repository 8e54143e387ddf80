"""Recorded batches: what gateways of simulated homes seal, the same for the same seed.

Sensors, minute assembly and sealing are those of the real system. Rendering a home's minute takes
about 30 ms, so a few homes are rendered and the others play the same minutes under identities of
their own: every batch is signed, compressed and identified anew, and costs the pipeline what it would.
Keys, headers and bodies are functions of the seed; certificates carry a random serial number.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import fastavro
import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1 import types as pubsub
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from edge_client.config import SensorConfig, SensorKindName
from edge_client.messages import parse_frame
from edge_client.minute import MinuteBuffer
from local.config import Settings
from local.simulator import devices
from local.simulator.scenarios import QUIET, Script
from local.simulator.sensors import SimulatedHome
from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import ARCHIVE_SCHEMA
from schemas.envelope import seal
from schemas.identity import issue_certificate, issue_fleet_ca
from schemas.readings import MINUTE_US, READING_KINDS, SECONDS, reading_id
from schemas.topics import (
    ATTRIBUTE_GATEWAY,
    ATTRIBUTE_HOME,
    ATTRIBUTE_LANE,
    LANE_TOPICS,
    RICH,
    parse_sensor_topic,
)
from transforms.archive_raw import archive_row
from transforms.elements import RawMessage
from transforms.write_objects import avro_bytes, object_name, write_object

RENDERED_HOMES: Final = 24
LOCAL_OFFSET_S: Final = 3_600
_FRAMES_LATE_S: Final = 2  # a minute's frames come in the two seconds after it
SEALED_LATE_US: Final = 2_000_000
_PER_OBJECT: Final = 100  # what a bundle of a busy worker holds
_PER_REQUEST: Final = 50  # 2 MB, well below the emulator's limit of 10
_CHANNEL: Final = [("grpc.max_send_message_length", -1)]
_VALID: Final = dt.timedelta(days=365)
MODES: Final = {
    "disarmed": pb.ARMING_MODE_DISARMED,
    "stay": pb.ARMING_MODE_STAY,
    "away": pb.ARMING_MODE_AWAY,
}


class Minute(NamedTuple):
    """A rendered minute of a home: its readings, and the mode the household had the home in."""

    minute_us: int
    body: pb.Body
    mode: str


class Recording(NamedTuple):
    """Batches in the order of their publication, and what they are worth.

    Attributes:
        raw_bytes: Payload bytes of all readings before compression: the "raw-equivalent".
        body_bytes: Bytes of all bodies before compression. wire_bytes: of all envelopes.
    """

    ca_pem: bytes
    messages: list[RawMessage]
    homes: int
    minutes: int
    readings: int
    raw_bytes: int
    body_bytes: int
    wire_bytes: int

    @property
    def raw_mb(self) -> float:
        """Raw-equivalent in 10⁶ bytes."""
        return self.raw_bytes / 1e6


class Sender(NamedTuple):
    """Who seals a batch. `certificate` is DER; `epoch` 16 bytes, of its outbox."""

    home_id: str
    gateway_id: str
    key: Ed25519PrivateKey
    certificate: bytes
    epoch: bytes


class RecordedFleet:
    """Gateways whose keys are functions of the seed."""

    def __init__(self, seed: int, now_us: int) -> None:
        self._seed = seed
        self._now = dt.datetime.fromtimestamp(now_us // 1_000_000, dt.UTC)
        self._ca_key = self._key(0)
        self._ca = issue_fleet_ca(self._ca_key, not_before=self._now - _VALID, not_after=self._now + _VALID)

    @property
    def ca_pem(self) -> bytes:
        """The fleet CA's certificate."""
        return self._ca.public_bytes(Encoding.PEM)

    def sender(self, number: int) -> Sender:
        """Gateway `number` of home `number`, from 1."""
        home_id, gateway_id, key = devices.home_id(number), devices.gateway_id(number), self._key(number)
        certificate = issue_certificate(
            self._ca,
            self._ca_key,
            key.public_key(),
            home_id=home_id,
            gateway_id=gateway_id,
            not_before=self._now - _VALID,
            not_after=self._now + _VALID,
        )
        epoch = hashlib.sha256(f"epoch {self._seed} {number}".encode()).digest()[:16]
        return Sender(home_id, gateway_id, key, certificate, epoch)

    def _key(self, number: int) -> Ed25519PrivateKey:
        digest = hashlib.sha256(f"key {self._seed} {number}".encode()).digest()
        return Ed25519PrivateKey.from_private_bytes(digest)


def render(seed: int, number: int, minutes: int, start_us: int, script: Script = QUIET) -> list[Minute]:
    """A home's life → its minutes as its gateway puts them together.

    Args:
        start_us: Start of the first minute; whole minutes.
    """
    home = SimulatedHome(seed, number, start_us, LOCAL_OFFSET_S, script)
    kinds = {device.sensor_id: device.kind for device in devices.READING_DEVICES}
    sensors = [
        SensorConfig(id=d.sensor_id, kind=cast(SensorKindName, READING_KINDS[d.kind]), room=d.room)
        for d in devices.READING_DEVICES
    ]
    buffer = MinuteBuffer(devices.gateway_id(number), sensors)
    for second in range(minutes * SECONDS + _FRAMES_LATE_S):
        for message in home.second(second):
            topic = parse_sensor_topic(message.topic)
            if topic is not None and topic.channel == RICH:
                buffer.add_frame(parse_frame(message.payload, topic.sensor_id, kinds[topic.sensor_id]))
    starts = [start_us + minute * MINUTE_US for minute in range(minutes)]
    return [
        Minute(at_us, pb.Body(readings=buffer.peek(at_us).readings), home.life.armed((i + 1) * SECONDS - 1))
        for i, at_us in enumerate(starts)
    ]


def record(
    seed: int,
    homes: int,
    minutes: int,
    start_us: int,
    *,
    rendered_homes: int = RENDERED_HOMES,
    first_home: int = 1,
) -> Recording:
    """Sealed batches of `homes` quiet homes, one a home and minute; all homes' first minutes come first.

    Args:
        start_us: Start of the first minute, whole minutes, µs since 1970 UTC.
        rendered_homes: How many homes differ in what their sensors say.
        first_home: Number of the first home: recordings of one fleet that share no home.
    """
    fleet = RecordedFleet(seed, start_us)
    played = [render(seed, 1 + n, minutes, start_us) for n in range(min(homes, rendered_homes))]
    senders = [fleet.sender(number) for number in range(first_home, first_home + homes)]
    messages = []
    raw = body_size = wire = readings = 0
    for index in range(minutes):
        for place, sender in enumerate(senders):
            minute = played[place % len(played)][index]
            body = owned(minute.body, sender.gateway_id, minute.minute_us)
            messages.append(sealed_message(sender, index + 1, minute._replace(body=body)))
            readings += len(body.readings)
            raw += raw_bytes(body)
            body_size += body.ByteSize()
            wire += len(messages[-1].payload)
    return Recording(fleet.ca_pem, messages, homes, minutes, readings, raw, body_size, wire)


def owned(body: pb.Body, gateway_id: str, minute_us: int) -> pb.Body:
    """A body as another gateway would have made it in a certain minute: with readings' ids of its own."""
    copy = pb.Body()
    copy.CopyFrom(body)
    for reading in copy.readings:
        reading.minute_us = minute_us
        reading.reading_id = reading_id(gateway_id, reading.sensor_id, minute_us)
    return copy


def sealed_message(sender: Sender, seq: int, minute: Minute) -> RawMessage:
    """A minute → the message as a subscription would deliver it, two seconds after the minute."""
    created_us = minute.minute_us + MINUTE_US + SEALED_LATE_US
    header = pb.Header(
        home_id=sender.home_id,
        gateway_id=sender.gateway_id,
        epoch=sender.epoch,
        seq=seq,
        lane=pb.LANE_MINUTES,
        created_us=created_us,
        oldest_unsent_seq=seq,
        head_seq=seq,
        arming=pb.Arming(
            mode=MODES[minute.mode], phase=pb.ARMING_PHASE_SET, since_us=minute.minute_us - 60 * MINUTE_US
        ),
        software_version="recorded",
    )
    lane = LANE_TOPICS[pb.LANE_MINUTES]
    attributes = {ATTRIBUTE_GATEWAY: sender.gateway_id, ATTRIBUTE_HOME: sender.home_id, ATTRIBUTE_LANE: lane}
    return RawMessage(
        payload=seal(header, minute.body, sender.key, sender.certificate),
        attributes=[f"{key}={value}" for key, value in sorted(attributes.items())],
        message_id=f"recorded-{sender.gateway_id}-{seq}",
        publish_us=created_us,
        lane=lane,
    )


def raw_bytes(body: pb.Body) -> int:
    """Bytes of the arrays in a body, as sensors measured them."""
    return sum(
        len(r.motion.pir)
        + len(r.sound.log_mel)
        + len(r.sound.levels)
        + len(r.air.samples)
        + len(r.contact.accel)
        for r in body.readings
    )


def write_archive(folder: Path, messages: Sequence[RawMessage]) -> None:
    """Messages → Avro objects as ArchiveRaw leaves them."""
    schema = fastavro.parse_schema(ARCHIVE_SCHEMA)
    for first in range(0, len(messages), _PER_OBJECT):
        part = messages[first : first + _PER_OBJECT]
        name = object_name(str(folder), part[0].publish_us, part[0].lane)
        write_object(name, avro_bytes((archive_row(message) for message in part), schema))


def publish(
    settings: Settings, topic: str, messages: Sequence[RawMessage], pace_per_s: float | None = None
) -> None:
    """Publish to the emulator's topic; returns when all are accepted.

    Args:
        pace_per_s: Messages a second, one at a time, as a fleet's gateways send them; None: as fast as
            it goes.
    """
    name = f"projects/{settings.project}/topics/{topic}"
    began = time.monotonic()
    with grpc.insecure_channel(settings.address(settings.pubsub_port), options=_CHANNEL) as channel:
        client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        for turn, part in enumerate(_parts(messages, 1 if pace_per_s else _PER_REQUEST)):
            if pace_per_s:
                time.sleep(max(0.0, began + turn / pace_per_s - time.monotonic()))
            client.publish(topic=name, messages=part, timeout=30)


def _parts(messages: Sequence[RawMessage], size: int) -> Iterator[list[pubsub.PubsubMessage]]:
    for first in range(0, len(messages), size):
        yield [
            pubsub.PubsubMessage(
                data=message.payload, attributes=dict(pair.split("=", 1) for pair in message.attributes)
            )
            for message in messages[first : first + size]
        ]
