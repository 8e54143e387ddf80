"""The elements that DecodeBatches makes of a batch: pure builders, no rule of acceptance."""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import batch_id
from schemas.errors import BadInput
from schemas.readings import MAX_ID_CHARS, READING_KINDS
from transforms.elements import AcceptedEvent, AcceptedReading, BatchSummary, DeadLetter, RawMessage

SYNTHETIC_HOME: Final = "synthetic"
MAX_INT64: Final = (1 << 63) - 1  # a RowCoder takes no larger number
UNKNOWN_HOME: Final = "unknown-home"
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

ARMING_MODES: Final = {
    pb.ARMING_MODE_DISARMED: "disarmed",
    pb.ARMING_MODE_STAY: "stay",
    pb.ARMING_MODE_AWAY: "away",
}
ARMING_PHASES: Final = {
    pb.ARMING_PHASE_SET: "set",
    pb.ARMING_PHASE_EXIT_DELAY: "exit_delay",
    pb.ARMING_PHASE_ENTRY_DELAY: "entry_delay",
    pb.ARMING_PHASE_ABORT_WINDOW: "abort_window",
    pb.ARMING_PHASE_ALARM: "alarm",
}


GAP_REASONS: Final = {
    pb.GAP_REASON_OUTBOX_FULL: "outbox_full",
    pb.GAP_REASON_CORRUPT_ROW: "corrupt_row",
    pb.GAP_REASON_DISK_ERROR: "disk_error",
    pb.GAP_REASON_POWER_LOSS: "power_loss",
}
MAX_GAPS: Final = 64


class Fault(NamedTuple):
    """Where a message failed, and why."""

    stage: str
    error: BadInput


def accepted_reading(message: RawMessage, header: pb.Header, reading: pb.Reading) -> AcceptedReading:
    return _accepted(message, header, READING_KINDS[reading.kind], reading=reading.SerializeToString())


def accepted_features(message: RawMessage, header: pb.Header, features: pb.Features) -> AcceptedReading:
    """Of completed features: the same reading as the one whose payload follows."""
    family = READING_KINDS[features.kind]
    return _accepted(message, header, family, features=features.SerializeToString())


def _accepted(
    message: RawMessage, header: pb.Header, family: str, reading: bytes = b"", features: bytes = b""
) -> AcceptedReading:
    return AcceptedReading(
        home_id=header.home_id,
        gateway_id=header.gateway_id,
        batch_id=str(batch_id(header)),
        epoch=header.epoch.hex(),
        seq=header.seq,
        reading=reading,
        family=family,
        arming_mode=ARMING_MODES.get(header.arming.mode, ""),
        publish_us=message.publish_us,
        lane=message.lane,
        features=features,
    )


def accepted_event(
    message: RawMessage,
    header: pb.Header,
    event: pb.Event,
    *,
    verified: bool,
    suspect: bool = False,
    expired: bool = False,
) -> AcceptedEvent:
    home_id = header.home_id
    if not verified and not _SAFE_ID.fullmatch(home_id):
        home_id = UNKNOWN_HOME  # a forger's text does not become part of a document's path
    return AcceptedEvent(
        home_id=home_id,
        gateway_id=header.gateway_id,
        batch_id=str(batch_id(header)),
        epoch=header.epoch.hex(),
        seq=min(header.seq, MAX_INT64),
        event=event.SerializeToString(),
        arming_mode=ARMING_MODES.get(header.arming.mode, "") if verified else "",
        publish_us=message.publish_us,
        lane=message.lane,
        clock_suspect=suspect,
        cert_expired=expired,
        synthetic=verified and is_synthetic(header),
        verified=verified,
    )


def is_synthetic(header: pb.Header) -> bool:
    """The path prover's traffic. The reserved home is asked for as well: a home's own gateway must
    not be able to silence its alarms by setting a flag."""
    return header.synthetic and header.home_id == SYNTHETIC_HOME


def batch_summary(message: RawMessage, header: pb.Header, body: pb.Body, clock_suspect: bool) -> BatchSummary:
    return BatchSummary(
        home_id=header.home_id,
        gateway_id=header.gateway_id,
        epoch=header.epoch.hex(),
        seq=header.seq,
        lane=message.lane,
        created_us=header.created_us,
        publish_us=message.publish_us,
        oldest_unsent_seq=header.oldest_unsent_seq,
        head_seq=header.head_seq,
        arming_mode=ARMING_MODES.get(header.arming.mode, ""),
        arming_phase=ARMING_PHASES.get(header.arming.phase, ""),
        software_version=header.software_version,
        sensors=sensors_json(body),
        synthetic=is_synthetic(header),
        clock_suspect=clock_suspect,
        previous_epoch=header.epoch_start.previous_epoch.hex(),
        previous_head_seq=min(header.epoch_start.previous_head_seq, MAX_INT64),
        gaps=gaps_json(header),
    )


def gaps_json(header: pb.Header) -> str:
    """Header → `BatchSummary.gaps`, "" for none. Malformed ones say nothing and are left out."""
    gaps = [
        [
            gap.epoch.hex(),
            *(gap.first_seq, gap.last_seq, GAP_REASONS.get(gap.reason, "declared")),
            *(gap.first_us, gap.last_us),
        ]
        for gap in header.gaps[:MAX_GAPS]
        if len(gap.epoch) == 16 and 1 <= gap.first_seq <= gap.last_seq <= MAX_INT64
    ]
    return json.dumps(gaps, separators=(",", ":")) if gaps else ""


def sensors_json(body: pb.Body) -> str:
    """Body → JSON object sensor_id → {kind, room, battery_percent}: schemas.homes.SensorStatus."""
    told: list[pb.Reading | pb.Features] = [*body.readings, *body.features]
    return json.dumps(
        {
            r.sensor_id: {
                "kind": READING_KINDS.get(r.kind, ""),
                "room": r.room,
                "battery_percent": r.battery_percent if r.HasField("battery_percent") else None,
            }
            for r in told
            if r.kind in READING_KINDS and 1 <= len(r.sensor_id) <= MAX_ID_CHARS
        },
        sort_keys=True,
        separators=(",", ":"),
    )


def dead_letter(
    message: RawMessage, header: pb.Header | None, fault: Fault, scope: str, part: int
) -> DeadLetter:
    """The whole envelope goes with each: only it carries the signature that a replay checks."""
    return DeadLetter(
        stage=fault.stage,
        error_type=type(fault.error).__name__,
        message=str(fault.error),
        scope=scope,
        part=part,
        home_id=header.home_id if header is not None else "",
        gateway_id=header.gateway_id if header is not None else "",
        message_id=message.message_id,
        publish_us=message.publish_us,
        attributes=message.attributes,
        payload=message.payload,
    )
