"""A fleet for tests: its CA, gateways with real keys and certificates, and sealed batches of valid data.

Nothing here imports Beam, so that the edge client's and the web app's tests can use it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import seal
from schemas.events import Code
from schemas.identity import issue_certificate, issue_fleet_ca
from schemas.readings import (
    ACCEL_SHAPE,
    AIR_SHAPE,
    ALL_SECONDS,
    LOG_MEL_SHAPE,
    PIR_SHAPE,
    SECONDS,
    reading_id,
)

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
# 2026-03-01T12:00:00Z, the start of a minute: "now" of the tests unless they say otherwise.
NOW_US: Final = 1_772_366_400 * SECOND_US
EPOCH: Final = bytes(range(16))

SENSORS: Final = (
    ("motion-hall", pb.SENSOR_KIND_MOTION, "hall"),
    ("motion-living", pb.SENSOR_KIND_MOTION, "living room"),
    ("motion-bedroom", pb.SENSOR_KIND_MOTION, "bedroom"),
    ("sound-kitchen", pb.SENSOR_KIND_SOUND, "kitchen"),
    ("sound-living", pb.SENSOR_KIND_SOUND, "living room"),
    ("air-kitchen", pb.SENSOR_KIND_AIR, "kitchen"),
    ("air-bedroom", pb.SENSOR_KIND_AIR, "bedroom"),
    ("contact-front-door", pb.SENSOR_KIND_CONTACT, "hall"),
    ("contact-kitchen-window", pb.SENSOR_KIND_CONTACT, "kitchen"),
    ("contact-bedroom-window", pb.SENSOR_KIND_CONTACT, "bedroom"),
)


def moment(time_us: int) -> dt.datetime:
    """µs since 1970 UTC → datetime."""
    return dt.datetime.fromtimestamp(time_us / SECOND_US, dt.UTC)


@dataclass(frozen=True)
class FakeGateway:
    """One gateway's identity; `certificate` is DER."""

    home_id: str
    gateway_id: str
    key: Ed25519PrivateKey
    certificate: bytes

    @property
    def serial(self) -> int:
        """Of its certificate, for revocation."""
        return x509.load_der_x509_certificate(self.certificate).serial_number

    def header(self, *, seq: int = 1, lane: int = pb.LANE_MINUTES, **fields: Any) -> pb.Header:
        """A valid header; `fields` override any of it."""
        values: dict[str, Any] = {
            "home_id": self.home_id,
            "gateway_id": self.gateway_id,
            "epoch": EPOCH,
            "seq": seq,
            "lane": lane,
            "created_us": NOW_US,
            "oldest_unsent_seq": seq,
            "head_seq": seq,
            "arming": pb.Arming(
                mode=pb.ARMING_MODE_AWAY, phase=pb.ARMING_PHASE_SET, since_us=NOW_US - DAY_US
            ),
            "software_version": "1.0.0",
        }
        return pb.Header(**(values | fields))

    def envelope(self, body: pb.Body, *, seq: int = 1, lane: int = pb.LANE_MINUTES, **header: Any) -> bytes:
        """Body → sealed envelope, as it crosses the wire."""
        return seal(self.header(seq=seq, lane=lane, **header), body, self.key, self.certificate)


class Fleet:
    """A fleet CA and its gateways; the same seed gives the same keys (serial numbers are random)."""

    def __init__(self, seed: int = 0, *, now_us: int = NOW_US) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._now_us = now_us
        self._ca_key = self._key()
        self.ca = issue_fleet_ca(
            self._ca_key,
            not_before=moment(now_us - 3650 * DAY_US),
            not_after=moment(now_us + 3650 * DAY_US),
        )

    @property
    def ca_pem(self) -> bytes:
        """The CA's certificate in PEM."""
        return self.ca.public_bytes(Encoding.PEM)

    def gateway(
        self,
        number: int = 1,
        *,
        home_id: str | None = None,
        gateway_id: str | None = None,
        not_before_us: int | None = None,
        not_after_us: int | None = None,
    ) -> FakeGateway:
        """Gateway `number` of home `number`, valid for a year on either side of now unless told."""
        home = home_id or f"home-{number:04d}"
        gateway = gateway_id or f"gw-{number:04d}"
        key = self._key()
        certificate = issue_certificate(
            self.ca,
            self._ca_key,
            key.public_key(),
            home_id=home,
            gateway_id=gateway,
            not_before=moment(self._now_us - 365 * DAY_US if not_before_us is None else not_before_us),
            not_after=moment(self._now_us + 365 * DAY_US if not_after_us is None else not_after_us),
        )
        return FakeGateway(home, gateway, key, certificate)

    def prover(self) -> FakeGateway:
        """The synthetic gateway that proves the path."""
        return self.gateway(home_id="synthetic", gateway_id="path-prover")

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._rng.bytes(32))


def body_of_minute(
    minute_us: int,
    rng: np.random.Generator,
    *,
    gateway_id: str = "gw-0001",
    events: tuple[pb.Event, ...] = (),
) -> pb.Body:
    """A valid batch body: the ten reading sensors of a home in one minute, about 100 kB."""
    readings = [reading(*sensor, minute_us, rng, gateway_id=gateway_id) for sensor in SENSORS]
    return pb.Body(readings=readings, events=events)


def reading(
    sensor_id: str,
    kind: pb.SensorKind,
    room: str,
    minute_us: int,
    rng: np.random.Generator,
    *,
    gateway_id: str = "gw-0001",
) -> pb.Reading:
    """One valid reading of a quiet room."""
    made = pb.Reading(
        reading_id=reading_id(gateway_id, sensor_id, minute_us),
        sensor_id=sensor_id,
        kind=kind,
        room=room,
        minute_us=minute_us,
        seconds_present=ALL_SECONDS,
        battery_percent=90,
    )
    if kind == pb.SENSOR_KIND_MOTION:
        made.motion.pir = rng.normal(0, 20, PIR_SHAPE).astype("<i2").tobytes()
    elif kind == pb.SENSOR_KIND_SOUND:
        made.sound.log_mel = rng.integers(20, 60, LOG_MEL_SHAPE, np.uint8).tobytes()
        made.sound.levels = rng.integers(60, 80, SECONDS, np.uint8).tobytes()
    elif kind == pb.SENSOR_KIND_AIR:
        usual = np.array([600, 0.5, 100, 21, 45, 1013], np.float32)
        noise = rng.normal(0, 0.01, AIR_SHAPE).astype(np.float32)
        made.air.samples = (usual * (1 + noise)).astype("<f4").tobytes()
    else:
        made.contact.open = False
        made.contact.accel = rng.normal([0, 0, 1000], 5, ACCEL_SHAPE).astype("<i2").tobytes()
    return made


def event(
    code: int = Code.SMOKE,
    *,
    event_id: bytes | int = 1,
    qualifier: pb.Qualifier = pb.QUALIFIER_NEW,
    sensor_id: str = "smoke-kitchen",
    kind: pb.SensorKind = pb.SENSOR_KIND_SMOKE,
    room: str = "kitchen",
    occurred_us: int = NOW_US,
    **fields: Any,
) -> pb.Event:
    """A valid event; an integer `event_id` is written as 16 bytes."""
    return pb.Event(
        event_id=event_id.to_bytes(16, "big") if isinstance(event_id, int) else event_id,
        code=code,
        qualifier=qualifier,
        sensor_id=sensor_id,
        kind=kind,
        room=room,
        occurred_us=occurred_us,
        **fields,
    )


def body_of_event(made: pb.Event) -> pb.Body:
    """An urgent batch's body."""
    return pb.Body(events=[made])


def rebuilt_as(envelope: bytes, **parts: bytes) -> bytes:
    """An envelope with parts replaced and nothing signed again: what a forger would send."""
    changed = pb.Envelope.FromString(envelope)
    for name, value in parts.items():
        setattr(changed, name, value)
    return changed.SerializeToString()
