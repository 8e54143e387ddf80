"""The gateway's configuration: one file, unknown keys refused, every bound checked when it is read."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge_client.users import parse_hash
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.readings import MAX_ID_CHARS

Identifier = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[A-Za-z0-9._-]+$")]

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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SensorConfig(_Strict):
    """One device of the home."""

    id: Identifier = Field(description="Last part of its MQTT topics")
    kind: SensorKindName
    room: str = Field(default="", max_length=MAX_ID_CHARS)
    role: Literal["entry", "perimeter", "interior", "none"] | None = Field(
        default=None,
        description="For arming: a contact is an entry door or perimeter (default), motion is "
        "interior (default); none keeps it out of arming",
    )

    @model_validator(mode="after")
    def _role_fits(self) -> Self:
        allowed = (*_ROLES.get(self.kind, ()), "none")
        if self.role is not None and self.role not in allowed:
            raise ValueError(f"role is {self.role}, allowed for {self.kind}: {', '.join(allowed)}")
        return self

    @property
    def arming_role(self) -> str:
        """The role with the kind's default filled in."""
        return self.role or {"contact": "perimeter", "motion": "interior"}.get(self.kind, "none")

    @property
    def wire_kind(self) -> pb.SensorKind:
        """As the wire names it."""
        return KIND_OF_NAME[self.kind]


class UserConfig(_Strict):
    """Somebody with a keypad code."""

    id: Identifier = Field(description="Opaque id, never a name")
    code_hash: str = Field(description="From `hearthwatch-gateway --hash-code`", repr=False)
    duress: bool = Field(default=False, description="This code disarms and silently calls for help (121)")

    @field_validator("code_hash")
    @classmethod
    def _hash_parses(cls, value: str) -> str:
        parse_hash(value)
        return value


class BrokerConfig(_Strict):
    """The home's own MQTT broker."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=1883, ge=1, le=65_535)
    keepalive_s: int = Field(default=30, ge=5, le=600, description="seconds")


class PubsubConfig(_Strict):
    """Where batches go."""

    project: str = Field(min_length=1)
    urgent_topic: str = Field(default="urgent", min_length=1)
    minutes_topic: str = Field(default="minutes", min_length=1)
    bulk_topic: str = Field(default="bulk", min_length=1)


class ArmingConfig(_Strict):
    """Delays of the arming rules. Bounds: ANSI/SIA CP-01."""

    exit_delay_s: int = Field(default=60, ge=45, le=255, description="seconds (CP-01: 45 to 255)")
    entry_delay_s: int = Field(
        default=30,
        ge=30,
        le=240,
        description="seconds (CP-01: 30 to 240; profile en50131: at most 45)",
    )
    abort_window_s: int = Field(default=30, ge=15, le=45, description="seconds (CP-01: 15 to 45)")
    swinger_trips: int = Field(default=2, ge=1, le=6, description="trips of one sensor while armed (CP-01)")
    settle_s: int = Field(
        default=60, ge=60, le=600, description="seconds without intrusion rules after a restart (CP-01)"
    )
    profile: Literal["cp01", "en50131"] = "cp01"

    @model_validator(mode="after")
    def _sums(self) -> Self:
        total = self.entry_delay_s + self.abort_window_s
        if total > 60:
            raise ValueError(f"entry_delay_s + abort_window_s is {total}, limit 60 (CP-01)")
        if self.profile == "en50131" and self.entry_delay_s > 45:
            raise ValueError(f"entry_delay_s is {self.entry_delay_s}, limit 45 (EN 50131)")
        return self


class OutboxConfig(_Strict):
    """The file in which everything waits until it is confirmed."""

    path: Path
    max_bytes: int = Field(
        default=256 << 20,
        ge=1 << 20,
        le=64 << 30,
        description="bytes of batches kept; a week of ten sensors is about 400 MB",
    )
    commit_interval_s: float = Field(
        default=1.0, gt=0, le=1.0, description="real seconds that telemetry may wait for its commit"
    )
    patience_s: float = Field(
        default=2.0, ge=0.2, le=60, description="real seconds until a disk that hangs counts as refusing"
    )
    witness_path: Path | None = Field(
        default=None,
        description="file in volatile memory that proves the outbox was not put back; by default one "
        "in /run/hearthwatch, $XDG_RUNTIME_DIR or /dev/shm",
    )


class ObjectsConfig(_Strict):
    """The hourly objects of the adaptive uplink: where they go, when, and how fast."""

    bucket: str = Field(min_length=1, description="of Cloud Storage, for the whole fleet")
    period_s: int = Field(default=3600, ge=60, le=3600, description="seconds of readings in one object")
    delay_s: int = Field(
        default=660, ge=0, le=3600, description="seconds after the period, at least: no window waits for it"
    )
    spread_s: int = Field(
        default=1800, ge=0, le=3600, description="seconds over which a fleet's gateways spread after that"
    )
    bytes_per_s: int = Field(
        default=64 << 10, ge=1 << 10, le=1 << 30, description="bytes a real second, at most"
    )

    @model_validator(mode="after")
    def _divides_the_hour(self) -> Self:
        if 3600 % self.period_s or self.period_s % 60:
            raise ValueError(f"period_s is {self.period_s}, limit: whole minutes that divide an hour")
        return self


class UplinkConfig(_Strict):
    """What travels live, and how hard the gateway tries. Times in real seconds."""

    policy: Literal["full", "adaptive"] = Field(
        default="full",
        description="full: each minute's payloads live; adaptive: features live, payloads hourly",
    )
    urgent_timeout_s: float = Field(default=5.0, ge=0.5, le=60, description="seconds for an attempt")
    minutes_timeout_s: float = Field(default=20.0, ge=0.5, le=120, description="seconds for an attempt")
    first_backoff_s: float = Field(default=0.5, ge=0.05, le=10, description="seconds after one failure")
    urgent_backoff_s: float = Field(default=5.0, ge=0.1, le=60, description="seconds at most, urgent")
    minutes_backoff_s: float = Field(default=60.0, ge=0.1, le=600, description="seconds at most, minutes")
    backlog_per_s: float = Field(
        default=5.0, ge=0.1, le=1000, description="batches a second after an outage (a week in 34 min)"
    )
    retry_refused_s: float = Field(
        default=3600.0, ge=1, le=86_400, description="seconds until a refused batch is tried again"
    )


class GatewayConfig(_Strict):
    """One home's gateway."""

    home_id: Identifier
    gateway_id: Identifier
    key_path: Path = Field(description="Ed25519 private key, PEM (PKCS 8)")
    certificate_path: Path = Field(description="X.509 from the fleet CA, PEM or DER")
    pubsub: PubsubConfig
    outbox: OutboxConfig
    broker: BrokerConfig = BrokerConfig()
    arming: ArmingConfig = ArmingConfig()
    uplink: UplinkConfig = UplinkConfig()
    objects: ObjectsConfig | None = Field(default=None, description="needed for the adaptive uplink")
    sensors: list[SensorConfig] = Field(default_factory=list, max_length=200)
    users: list[UserConfig] = Field(default_factory=list, max_length=50)
    batch_period_s: Literal[60] = Field(default=60, description="seconds; the reading is a minute")
    seal_grace_s: float = Field(
        default=2.0, ge=0.05, le=30, description="real seconds that a minute waits for its last frames"
    )
    synthetic: bool = Field(default=False, description="The path prover's traffic: pages nobody")
    prover_period_s: float = Field(
        default=60.0, ge=1, le=3600, description="seconds between the synthetic gateway's test events"
    )

    @model_validator(mode="after")
    def _has_somewhere_to_put_objects(self) -> Self:
        if self.uplink.policy == "adaptive" and self.objects is None:
            raise ValueError("uplink.policy is adaptive, limit: needs objects.bucket")
        return self

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, ids in (
            ("sensors", [s.id for s in self.sensors]),
            ("users", [u.id for u in self.users]),
        ):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            if twice:
                raise ValueError(f"{what} has the id {twice[0]} more than once, limit 1")
        return self


def load_config(path: Path) -> GatewayConfig:
    """Configuration file (.json, or .toml for people) → checked configuration.

    Raises:
        BadInput: Unreadable, not JSON or TOML, or a field at fault: the message has one line a
            mistake with field, value and bound.
    """
    try:
        text = path.read_text()
        document: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path}: not {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}") from error
    try:
        return GatewayConfig.model_validate(document)
    except ValidationError as error:
        raise BadInput("\n".join(f"{path}: {line}" for line in _mistakes(error))) from error


def _mistakes(error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"]) or "the file"
        value = item.get("input")
        shown = "" if item["type"] == "missing" or isinstance(value, dict | list) else f" is {value!r}:"
        if "code_hash" in field:
            shown = ""  # not even the hash of a code is printed
        lines.append(f"{field}{shown} {item['msg']}")
    return lines
