"""A clock that stands still until told, a publisher that can be out of order, and a fleet to sign with."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge_client.clock import Moment
from edge_client.config import GatewayConfig
from edge_client.config_file import checked
from edge_client.identity import Identity
from edge_client.publisher import PublishFailed
from edge_client.users import hash_code
from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import open_body, parse_envelope
from schemas.identity import issue_certificate, issue_fleet_ca

HOME, GATEWAY = "home-1", "gw-1"
START_US = 1_790_000_040_000_000 // 60_000_000 * 60_000_000  # some minute of 2026
SECOND = 1_000_000
MINUTE = 60 * SECOND


class ManualClock:
    """Time passes when `forward` says so."""

    def __init__(self, start_us: int = START_US) -> None:
        self.speed = 1.0
        self._now_us, self._elapsed_us = start_us, 0

    def now_us(self) -> int:
        return self._now_us

    def elapsed_us(self) -> int:
        return self._elapsed_us

    def moment(self) -> Moment:
        return Moment(self._now_us, self._elapsed_us)

    def forward(self, seconds: float) -> Moment:
        self._now_us += round(seconds * SECOND)
        self._elapsed_us += round(seconds * SECOND)
        return self.moment()

    def set(self, now_us: int) -> None:
        """Somebody sets the clock; steady time does not notice."""
        self._now_us = now_us


class Ids:
    """16 bytes that count up: randomness for tests."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int = 16) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")


class FakePublisher:
    """Keeps what was published; fails while `error` is set."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, dict[str, str]]] = []
        self.times_s: list[float] = []
        self.error: Exception | None = None
        self.attempts = 0
        self._lock = threading.Lock()

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str], timeout_s: float) -> str:
        assert timeout_s > 0
        with self._lock:
            self.attempts += 1
            if self.error is not None:
                raise self.error
            self.messages.append((topic, data, dict(attributes)))
            self.times_s.append(time.monotonic())
            return str(len(self.messages))

    def close(self) -> None:
        self.error = PublishFailed("closed")

    def batches(self, topic: str | None = None) -> list[tuple[pb.Header, pb.Body]]:
        """What came through, opened."""
        with self._lock:
            found = list(self.messages)
        return [opened(data) for name, data, _ in found if topic in (None, name)]

    def events(self) -> list[pb.Event]:
        return [event for _, body in self.batches("urgent") for event in body.events]


def opened(envelope: bytes) -> tuple[pb.Header, pb.Body]:
    """Envelope → header and body."""
    parsed, header = parse_envelope(envelope)
    return header, open_body(parsed, header)


def make_identity(home_id: str = HOME, gateway_id: str = GATEWAY) -> Identity:
    """A gateway enrolled with a fleet CA of its own."""
    ca_key, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    times = {
        "not_before": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "not_after": dt.datetime(2036, 1, 1, tzinfo=dt.UTC),
    }
    ca = issue_fleet_ca(ca_key, **times)
    certificate = issue_certificate(
        ca, ca_key, key.public_key(), home_id=home_id, gateway_id=gateway_id, **times
    )
    return Identity(home_id, gateway_id, key, certificate)


def write_identity(folder: Path, identity: Identity) -> dict[str, str]:
    """Identity → its files, as the configuration names them."""
    key, certificate = folder / "key.pem", folder / "certificate.der"
    key.write_bytes(identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(identity.certificate)
    return {"key_path": str(key), "certificate_path": str(certificate)}


SENSORS = [
    {"id": "motion-hall", "kind": "motion", "room": "hall"},
    {"id": "sound-kitchen", "kind": "sound", "room": "kitchen"},
    {"id": "air-kitchen", "kind": "air", "room": "kitchen"},
    {"id": "contact-front-door", "kind": "contact", "room": "hall", "role": "entry"},
    {"id": "contact-kitchen-window", "kind": "contact", "room": "kitchen"},
    {"id": "smoke-kitchen", "kind": "smoke", "room": "kitchen"},
    {"id": "panic-bedroom", "kind": "button", "room": "bedroom"},
    {"id": "keypad-hall", "kind": "keypad", "room": "hall"},
    {"id": "mains", "kind": "mains"},
]
CODE = "1234"
DURESS_CODE = "9999"
USERS = [
    {"id": "u1", "code_hash": hash_code(CODE, b"saltsalt")},
    {"id": "u2", "code_hash": hash_code(DURESS_CODE, b"saltsalt"), "duress": True},
]


def document(folder: Path, **changes: object) -> dict[str, object]:
    """A configuration as its file holds it."""
    return {
        "home_id": HOME,
        "gateway_id": GATEWAY,
        "key_path": str(folder / "key.pem"),
        "certificate_path": str(folder / "certificate.der"),
        "pubsub": {"project": "p"},
        "outbox": {
            "path": str(folder / "outbox.db"),
            "witness_path": str(folder / "outbox.witness"),
            "patience_s": 60,
        },
        "sensors": SENSORS,
        "users": USERS,
        "uplink": {"first_backoff_s": 0.05, "urgent_backoff_s": 0.1, "minutes_backoff_s": 0.2},
        **changes,
    }


def make_config(folder: Path, **changes: object) -> GatewayConfig:
    """A configuration whose identity files exist."""
    write_identity(folder, make_identity())
    return checked(document(folder, **changes))


def air_frame(
    start_us: int,
    *,
    sensor_id: str = "air-kitchen",
    co_ppm: float = 1.0,
    voc_index: float = 100.0,
    temperature_c: float = 21.0,
) -> pb.SensorFrame:
    """One second of air."""
    air = pb.AirSecond(
        co2_ppm=600,
        co_ppm=co_ppm,
        voc_index=voc_index,
        temperature_c=temperature_c,
        humidity_pct=40,
        pressure_hpa=1013,
    )
    return pb.SensorFrame(sensor_id=sensor_id, kind=pb.SENSOR_KIND_AIR, start_us=start_us, air=air)


def motion_frame(start_us: int, *, occupied: bool = False) -> pb.SensorFrame:
    """A minute of the hall's motion detector."""
    motion = pb.MotionPayload(pir=bytes(2 * 4800), occupied=occupied)
    return pb.SensorFrame(
        sensor_id="motion-hall", kind=pb.SENSOR_KIND_MOTION, start_us=start_us, motion=motion
    )


def sound_frame(start_us: int) -> pb.SensorFrame:
    """A quiet minute of the kitchen's microphone: 40 dB(A)."""
    sound = pb.SoundPayload(log_mel=bytes(160 * 64), levels=bytes([80] * 60))
    return pb.SensorFrame(
        sensor_id="sound-kitchen", kind=pb.SENSOR_KIND_SOUND, start_us=start_us, sound=sound
    )


def seconds(start_us: int, count: int) -> Iterator[int]:
    """`count` starts of seconds."""
    return iter(range(start_us, start_us + count * SECOND, SECOND))
