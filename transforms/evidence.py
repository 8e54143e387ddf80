"""Accepted events and window scores → evidence for an episode. Pure: no clock, no store."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Final, Literal, NamedTuple

from schemas import hearthwatch_v1_pb2 as pb
from schemas.alarms import Evidence, MeasurementDoc, ScoreDoc, SeriesDoc
from schemas.events import AlarmKind, Code, is_life_safety, meaning
from schemas.readings import MAX_ID_CHARS, MINUTE_US, READING_KINDS
from transforms.elements import AcceptedEvent, WindowScore
from transforms.rows import register_rows

NEW: Final = int(pb.QUALIFIER_NEW)
RESTORE: Final = int(pb.QUALIFIER_RESTORE)
LATE_US: Final = 10 * MINUTE_US  # design.md, rule 6: what is older took the late branch
MAX_AGE_US: Final = 31 * 24 * 60 * MINUTE_US  # an older time is no backlog but a wrong clock

# A document holds at most 1 MiB, and a life-safety event is never refused for its size: its charts
# are cut instead, oldest values first (32 * 1,200 values are about 350 kB).
MAX_SERIES: Final = 32
MAX_VALUES: Final = 1_200
MAX_MEASUREMENTS: Final = 32

# What fusion's conclusion is called in Contact ID.
FUSION_CODES: Final = {
    AlarmKind.FIRE: Code.FIRE,
    AlarmKind.CO: Code.CARBON_MONOXIDE,
    AlarmKind.BURGLARY: Code.BURGLARY,
}
FUSION_TITLES: Final = {
    AlarmKind.FIRE: "Signs of fire",
    AlarmKind.CO: "Signs of carbon monoxide",
    AlarmKind.BURGLARY: "Signs of a break-in",
}
ARMED: Final = frozenset({"stay", "away"})


class Raised(NamedTuple):
    """Evidence on its way to its episode.

    Attributes:
        kind: schemas.events.AlarmKind; with the home, the slot in which one episode can be open.
        armed_mode: Of the home when it happened, "" if unknown.
        evidence: schemas.alarms.Evidence as JSON.
    """

    home_id: str
    kind: str
    armed_mode: str
    evidence: str

    def parsed(self) -> Evidence:
        """The document it stands for."""
        return Evidence.model_validate_json(self.evidence)


class Proof(NamedTuple):
    """The synthetic gateway's test came through a lane.

    Attributes:
        sent_us: Gateway clock.
        proven_us: The pipeline's clock.
    """

    lane: str
    sent_us: int
    proven_us: int


register_rows(Raised, Proof)


def evidence_of_event(accepted: AcceptedEvent, recorded_us: int) -> Raised | None:
    """Event → evidence; None for one that says nothing of an alarm (arming, bypass, tests).

    A cancel (406) is evidence about a burglary. An event that could not be verified is evidence of a
    trouble of its own kind and never touches the home's real episodes; it counts by arrival.
    """
    if accepted.synthetic:
        return None
    event = pb.Event.FromString(accepted.event)
    meant = meaning(event.code)
    kind, code, title = meant.kind, event.code, meant.title
    qualifier, occurred_us = int(event.qualifier) or NEW, event.occurred_us
    if not accepted.verified:
        kind, code, qualifier = AlarmKind.UNVERIFIED, int(Code.UNVERIFIED), NEW
        title, occurred_us = f"{meant.title}, sender not verified", accepted.publish_us
    elif code == Code.CANCEL:
        kind = AlarmKind.BURGLARY
    if kind is None:
        return None
    evidence = Evidence(
        evidence_id=event_evidence_id(accepted, event),
        home_id=accepted.home_id,
        gateway_id=accepted.gateway_id[:MAX_ID_CHARS],
        source="gateway",
        code=code,
        qualifier=qualifier,
        title=title,
        sensor_id=event.sensor_id[:MAX_ID_CHARS],
        room=event.room[:MAX_ID_CHARS],
        occurred_us=occurred_us,
        arrived_us=accepted.publish_us,
        recorded_us=recorded_us,
        measurements=[
            _measurement(m) for m in event.measurements[:MAX_MEASUREMENTS] if math.isfinite(m.value)
        ],
        series=[_series(series) for series in event.series[:MAX_SERIES]],
        rule_version=event.rule_version[:MAX_ID_CHARS],
        batch_id=accepted.batch_id,
        clock_suspect=accepted.clock_suspect,
        cert_expired=accepted.cert_expired,
    )
    late = accepted.publish_us - when_us(evidence) > LATE_US
    return raised(kind, accepted.arming_mode, evidence.model_copy(update={"late": late}))


def proof_of_path(accepted: AcceptedEvent, recorded_us: int) -> Proof | None:
    """The synthetic gateway's periodic test (602) → proof of its lane, None for anything else."""
    if not (accepted.synthetic and accepted.verified):
        return None
    event = pb.Event.FromString(accepted.event)
    if event.code != Code.PERIODIC_TEST:
        return None
    return Proof(accepted.lane, event.occurred_us, recorded_us)


def evidence_of_window(window: WindowScore, recorded_us: int) -> Raised | None:
    """Window score → evidence; None where it argues for nothing.

    It happened when the newest reading that speaks for it ended: the same sound stays in five
    windows, and must not look new when an operator has closed the episode meanwhile. A burglary
    needs an armed home: fusion weighs each reading by the mode it was made in, and a home whose
    newest minute is disarmed has its user back. For the same reason those five are one evidence.
    """
    if window.kind == "" or (window.kind == AlarmKind.BURGLARY and window.arming_mode not in ARMED):
        return None
    kind = AlarmKind(window.kind)
    scores = [ScoreDoc.model_validate(json.loads(entry)) for entry in window.evidence]
    newest_us = max((score.minute_us + MINUTE_US for score in scores), default=window.window_end_us)
    occurred_us = min(newest_us, window.window_end_us)
    evidence = Evidence(
        evidence_id=digest(window.home_id, "window", window.kind, str(occurred_us)),
        home_id=window.home_id,
        gateway_id=window.gateway_id,
        source="fusion",
        code=FUSION_CODES.get(kind, Code.BURGLARY),
        qualifier=NEW,
        title=FUSION_TITLES.get(kind, f"Signs of {kind}"),
        sensor_id=scores[0].sensor_id if scores else "",
        room=scores[0].room if scores else "",
        occurred_us=occurred_us,
        arrived_us=window.publish_us,
        recorded_us=recorded_us,
        measurements=[MeasurementDoc(name="fused_score", value=window.score, unit="1")],
        scores=scores,
        rule_version=window.rule_version,
        late=window.publish_us - occurred_us > LATE_US,
    )
    return raised(kind, window.arming_mode, evidence)


def when_us(evidence: Evidence) -> int:
    """When it counts as having happened, µs since 1970 UTC.

    The gateway's clock, unless that is suspect: then arrival. One exception keeps a backlog in its
    place: an old time is believed of anything but a life-safety event.
    """
    if not evidence.clock_suspect:
        return evidence.occurred_us
    old = 0 <= evidence.arrived_us - evidence.occurred_us <= MAX_AGE_US
    if old and not is_life_safety(evidence.code):
        return evidence.occurred_us
    return evidence.arrived_us


def event_evidence_id(accepted: AcceptedEvent, event: pb.Event) -> str:
    """The same for every delivery of an event; no home or forger can take another home's id."""
    own = event.event_id.hex()
    if len(event.event_id) != 16:
        own = f"{accepted.batch_id}|{hashlib.sha256(accepted.event).hexdigest()}"
    sender: Literal["verified", "claimed"] = "verified" if accepted.verified else "claimed"
    return digest(accepted.home_id, sender, accepted.gateway_id, own)


def raised(kind: AlarmKind, armed_mode: str, evidence: Evidence) -> Raised:
    """Evidence, ready for the slot of its home and kind."""
    return Raised(evidence.home_id, str(kind), armed_mode, evidence.model_dump_json())


def digest(*parts: str) -> str:
    """Identity made of parts: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _measurement(measurement: pb.Measurement) -> MeasurementDoc:
    return MeasurementDoc(
        name=measurement.name[:MAX_ID_CHARS],
        value=measurement.value,
        unit=measurement.unit[:MAX_ID_CHARS],
        limit=measurement.limit if math.isfinite(measurement.limit) else 0.0,
    )


def _series(series: pb.Series) -> SeriesDoc:
    cut = max(0, len(series.values) - MAX_VALUES)
    return SeriesDoc(
        sensor_id=series.sensor_id[:MAX_ID_CHARS],
        kind=READING_KINDS.get(series.kind, ""),
        room=series.room[:MAX_ID_CHARS],
        quantity=series.quantity[:MAX_ID_CHARS],
        unit=series.unit[:MAX_ID_CHARS],
        start_us=series.start_us + cut * series.period_us,
        period_us=series.period_us,
        values=[value if math.isfinite(value) else None for value in series.values[cut:]],
    )
