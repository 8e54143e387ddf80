"""The gateway's configuration, with the bounds of every field.

Plain dataclasses: a gateway keeps no validator in memory (decision 041). `edge_client/config_file.py` reads
the file with pydantic, which checks types, the bounds written here and unknown keys; what concerns more
than one field is checked where an object is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from annotated_types import Interval, Len

from edge_client.users import parse_hash
from schemas import hearthwatch_v1_pb2 as pb
from schemas.payloads import MAX_ID_CHARS

_ID: Final = re.compile(r"[A-Za-z0-9._-]+")
Identifier = Annotated[str, Len(1, MAX_ID_CHARS)]
Named = Annotated[str, Len(1)]

SensorKindName = Literal["motion", "sound", "air", "contact", "smoke", "button", "keypad", "mains"]
KIND_OF_NAME: Final[dict[str, pb.SensorKind]] = {
    "motion": pb.SENSOR_KIND_MOTION,
    "sound": pb.SENSOR_KIND_SOUND,
    "air": pb.SENSOR_KIND_AIR,
    "contact": pb.SENSOR_KIND_CONTACT,
    "smoke": pb.SENSOR_KIND_SMOKE,
    "button": pb.SENSOR_KIND_BUTTON,
    "keypad": pb.SENSOR_KIND_GATEWAY,
    "mains": pb.SENSOR_KIND_GATEWAY,
}
_ROLES: Final = {"contact": ("entry", "perimeter"), "motion": ("interior",)}
# What pydantic reads from a dataclass; a plain dict, so that nothing of it is imported here.
_STRICT: Final[dict[str, Any]] = {"extra": "forbid"}


def _check_id(field_name: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise ValueError(f"{field_name} is {value!r}, limit: letters, digits and . _ -")


@dataclass(frozen=True, kw_only=True)
class SensorConfig:
    """One device of the home.

    Attributes:
        id: Last part of its MQTT topics.
        role: For arming: a contact is an entry door or perimeter (default), motion is interior (default);
            none keeps it out of arming.
        near_cooking: An air sensor that hangs where people cook: an opened oven is no fire there.
        model: Maker and model: evaluation tells makes apart.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    id: Identifier
    kind: SensorKindName
    room: Annotated[str, Len(0, MAX_ID_CHARS)] = ""
    role: Literal["entry", "perimeter", "interior", "none"] | None = None
    near_cooking: bool = False
    model: Annotated[str, Len(0, MAX_ID_CHARS)] = ""

    def __post_init__(self) -> None:
        _check_id("id", self.id)
        allowed = (*_ROLES.get(self.kind, ()), "none")
        if self.role is not None and self.role not in allowed:
            raise ValueError(f"role is {self.role}, allowed for {self.kind}: {', '.join(allowed)}")
        if self.near_cooking and self.kind != "air":
            raise ValueError(f"near_cooking is set, kind is {self.kind}, allowed for air only")

    @property
    def arming_role(self) -> str:
        """The role with the kind's default filled in."""
        return self.role or {"contact": "perimeter", "motion": "interior"}.get(self.kind, "none")

    @property
    def wire_kind(self) -> pb.SensorKind:
        """As the wire names it."""
        return KIND_OF_NAME[self.kind]


@dataclass(frozen=True, kw_only=True)
class UserConfig:
    """Somebody with a keypad code.

    Attributes:
        id: Opaque, never a name.
        code_hash: From `hearthwatch-gateway --hash-code`.
        duress: This code disarms and silently calls for help (121).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    id: Identifier
    code_hash: str = field(repr=False)
    duress: bool = False

    def __post_init__(self) -> None:
        _check_id("id", self.id)
        try:
            parse_hash(self.code_hash)
        except ValueError as error:
            raise ValueError(f"code_hash: {error}") from error


@dataclass(frozen=True, kw_only=True)
class BrokerConfig:
    """The home's own MQTT broker. keepalive_s: seconds."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    host: Named = "127.0.0.1"
    port: Annotated[int, Interval(ge=1, le=65_535)] = 1883
    keepalive_s: Annotated[int, Interval(ge=5, le=600)] = 30


@dataclass(frozen=True, kw_only=True)
class PubsubConfig:
    """Where batches go."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    project: Named
    urgent_topic: Named = "urgent"
    minutes_topic: Named = "minutes"
    bulk_topic: Named = "bulk"


@dataclass(frozen=True, kw_only=True)
class ArmingConfig:
    """Delays of the arming rules. Bounds: ANSI/SIA CP-01.

    Attributes:
        exit_delay_s, abort_window_s: Seconds.
        entry_delay_s: Seconds; profile en50131: at most 45.
        swinger_trips: Trips of one sensor while armed.
        settle_s: Seconds without intrusion rules after a restart.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    exit_delay_s: Annotated[int, Interval(ge=45, le=255)] = 60
    entry_delay_s: Annotated[int, Interval(ge=30, le=240)] = 30
    abort_window_s: Annotated[int, Interval(ge=15, le=45)] = 30
    swinger_trips: Annotated[int, Interval(ge=1, le=6)] = 2
    settle_s: Annotated[int, Interval(ge=60, le=600)] = 60
    profile: Literal["cp01", "en50131"] = "cp01"

    def __post_init__(self) -> None:
        total = self.entry_delay_s + self.abort_window_s
        if total > 60:
            raise ValueError(f"entry_delay_s + abort_window_s is {total}, limit 60 (CP-01)")
        if self.profile == "en50131" and self.entry_delay_s > 45:
            raise ValueError(f"entry_delay_s is {self.entry_delay_s}, limit 45 (EN 50131)")


@dataclass(frozen=True, kw_only=True)
class OutboxConfig:
    """The file in which everything waits until it is confirmed.

    Attributes:
        max_bytes: Bytes of batches kept; a week of ten sensors is about 400 MB.
        commit_interval_s: Real seconds that telemetry may wait for its commit.
        patience_s: Real seconds until a disk that hangs counts as refusing.
        witness_path: File in volatile memory that proves the outbox was not put back; by default one in
            /run/hearthwatch, $XDG_RUNTIME_DIR or /dev/shm.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    path: Path
    max_bytes: Annotated[int, Interval(ge=1 << 20, le=64 << 30)] = 256 << 20
    commit_interval_s: Annotated[float, Interval(gt=0, le=1.0)] = 1.0
    patience_s: Annotated[float, Interval(ge=0.2, le=60)] = 2.0
    witness_path: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectsConfig:
    """The hourly objects of the adaptive uplink: where they go, when, and how fast.

    Attributes:
        bucket: Of Cloud Storage, for the whole fleet.
        period_s: Seconds of readings in one object.
        delay_s: Seconds after the period, at least: no window waits for it.
        spread_s: Seconds over which a fleet's gateways spread after that.
        bytes_per_s: Bytes a real second, at most.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    bucket: Named
    period_s: Annotated[int, Interval(ge=60, le=3600)] = 3600
    delay_s: Annotated[int, Interval(ge=0, le=3600)] = 660
    spread_s: Annotated[int, Interval(ge=0, le=3600)] = 1800
    bytes_per_s: Annotated[int, Interval(ge=1 << 10, le=1 << 30)] = 64 << 10

    def __post_init__(self) -> None:
        if 3600 % self.period_s or self.period_s % 60:
            raise ValueError(f"period_s is {self.period_s}, limit: whole minutes that divide an hour")


@dataclass(frozen=True, kw_only=True)
class UplinkConfig:
    """What travels live, and how hard the gateway tries. Times in real seconds.

    Attributes:
        policy: full: each minute's payloads live; adaptive: features live, payloads hourly.
        urgent_timeout_s, minutes_timeout_s: For an attempt.
        first_backoff_s: After one failure. urgent_backoff_s, minutes_backoff_s: At most.
        backlog_per_s: Batches a second after an outage (a week in 34 min).
        retry_refused_s: Until a refused batch is tried again.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    policy: Literal["full", "adaptive"] = "full"
    urgent_timeout_s: Annotated[float, Interval(ge=0.5, le=60)] = 5.0
    minutes_timeout_s: Annotated[float, Interval(ge=0.5, le=120)] = 20.0
    first_backoff_s: Annotated[float, Interval(ge=0.05, le=10)] = 0.5
    urgent_backoff_s: Annotated[float, Interval(ge=0.1, le=60)] = 5.0
    minutes_backoff_s: Annotated[float, Interval(ge=0.1, le=600)] = 60.0
    backlog_per_s: Annotated[float, Interval(ge=0.1, le=1000)] = 5.0
    retry_refused_s: Annotated[float, Interval(ge=1, le=86_400)] = 3600.0


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """One home's gateway.

    Attributes:
        key_path: Ed25519 private key, PEM (PKCS 8).
        certificate_path: X.509 from the fleet CA, PEM or DER.
        objects: Needed for the adaptive uplink.
        batch_period_s: Seconds; the reading is a minute.
        seal_grace_s: Real seconds that a minute waits for its last frames.
        synthetic: The path prover's traffic: pages nobody.
        prover_period_s: Seconds between the synthetic gateway's test events.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    home_id: Identifier
    gateway_id: Identifier
    key_path: Path
    certificate_path: Path
    pubsub: PubsubConfig
    outbox: OutboxConfig
    broker: BrokerConfig = BrokerConfig()
    arming: ArmingConfig = ArmingConfig()
    uplink: UplinkConfig = UplinkConfig()
    objects: ObjectsConfig | None = None
    sensors: Annotated[list[SensorConfig], Len(0, 200)] = field(default_factory=list)
    users: Annotated[list[UserConfig], Len(0, 50)] = field(default_factory=list)
    batch_period_s: Literal[60] = 60
    seal_grace_s: Annotated[float, Interval(ge=0.05, le=30)] = 2.0
    synthetic: bool = False
    prover_period_s: Annotated[float, Interval(ge=1, le=3600)] = 60.0

    def __post_init__(self) -> None:
        _check_id("home_id", self.home_id)
        _check_id("gateway_id", self.gateway_id)
        if self.uplink.policy == "adaptive" and self.objects is None:
            raise ValueError("uplink.policy is adaptive, limit: needs objects.bucket")
        for what, ids in (
            ("sensors", [s.id for s in self.sensors]),
            ("users", [u.id for u in self.users]),
        ):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            if twice:
                raise ValueError(f"{what} has the id {twice[0]} more than once, limit 1")
