"""What passes between the transforms: NamedTuples with registered RowCoders, no dicts.

Nested tuples are kept out (a RowCoder of a RowCoder costs more than bytes): where a whole protobuf
must travel it travels serialized.
"""

from __future__ import annotations

from typing import NamedTuple

from transforms.rows import register_rows


class RawMessage(NamedTuple):
    """A message as it arrived, from Pub/Sub or from an archive file.

    Attributes:
        payload: The serialized Envelope, unverified.
        attributes: Flattened `key=value` pairs; they route and are never trusted.
        message_id: Pub/Sub's id; with a file, the archived one.
        publish_us: Publish time, µs since 1970 UTC: the element's timestamp.
        lane: "urgent", "minutes" or "bulk", from the source it was read from.
    """

    payload: bytes
    attributes: list[str]
    message_id: str
    publish_us: int
    lane: str


class Receipt(NamedTuple):
    """One archived message: what the ledger counts.

    Attributes:
        epoch, seq: As its unverified header says; "" and 0 if it has none.
        object_name: The archive object that holds it.
    """

    home_id: str
    gateway_id: str
    epoch: str
    seq: int
    lane: str
    message_id: str
    publish_us: int
    size: int
    object_name: str


class AcceptedReading(NamedTuple):
    """A verified, valid reading of a verified batch; stays within the reading stage.

    Attributes:
        home_id: Tenant key; every grouping starts with it.
        batch_id: Identity of its batch.
        reading: Serialized hearthwatch.v1.Reading; b"": it came as features.
        arming_mode: Of the batch's arming snapshot: "disarmed", "stay", "away" or "".
        features: Serialized hearthwatch.v1.Features, completed; b"": it came with its payload.
    """

    home_id: str
    gateway_id: str
    batch_id: str
    epoch: str
    seq: int
    reading: bytes
    family: str
    arming_mode: str
    publish_us: int
    lane: str
    features: bytes = b""


class AcceptedEvent(NamedTuple):
    """A verified event.

    Attributes:
        event: Serialized hearthwatch.v1.Event.
        clock_suspect: Its clock is further from arrival than the tolerance; arrival time counts.
        cert_expired: Signed by an expired certificate of this fleet.
        synthetic: From the path prover: proves the path, raises nothing.
        verified: False: a life-safety event whose sender could not be verified (operator's trouble).
    """

    home_id: str
    gateway_id: str
    batch_id: str
    epoch: str
    seq: int
    event: bytes
    arming_mode: str
    publish_us: int
    lane: str
    clock_suspect: bool
    cert_expired: bool
    synthetic: bool
    verified: bool


class BatchSummary(NamedTuple):
    """What a batch says of its gateway: a few hundred bytes for ledger, status and supervision.

    Attributes:
        previous_epoch: Hex; the epoch that its epoch follows, "" if it names none.
        previous_head_seq: The last number that the gateway knows of that one.
        gaps: Declared losses: JSON list of [epoch in hex, first seq, last seq, reason, first_us, last_us].
    """

    home_id: str
    gateway_id: str
    epoch: str
    seq: int
    lane: str
    created_us: int
    publish_us: int
    oldest_unsent_seq: int
    head_seq: int
    arming_mode: str
    arming_phase: str
    software_version: str
    sensors: str
    synthetic: bool
    clock_suspect: bool
    previous_epoch: str = ""
    previous_head_seq: int = 0
    gaps: str = ""


class Score(NamedTuple):
    """What one model said of one reading.

    Attributes:
        family: "sound", "motion", "air" or "contact".
        label: The most probable class. score: its probability in [0, 1].
        labels, probabilities: Every class of the model, in its order.
        model_version: Of the weights that said so.
        quantities: Small summaries for charts, by schemas.live_features.SUMMARY_NAMES of the
            family (for air: last value of each channel).
    """

    home_id: str
    gateway_id: str
    batch_id: str
    reading_id: str
    sensor_id: str
    room: str
    family: str
    minute_us: int
    publish_us: int
    arming_mode: str
    label: str
    score: float
    labels: list[str]
    probabilities: list[float]
    quantities: list[float]
    model_version: str


class WindowScore(NamedTuple):
    """A home's sliding window (5 min, every 1 min) after fusion.

    Attributes:
        window_end_us: End of the window, exclusive. The window covers the five minutes before.
        kind: What it argues for (schemas.events.AlarmKind), "" for nothing.
        score: Fused probability in [0, 1].
        heard: Voices in the window, and three for each score of a large model. It only grows: of a
            window's sendings the one with the greatest (publish_us, heard) stands.
        reasons: Readable, strongest first: "sound kitchen: glass_break 0.94 (sound-1)".
        rule_version: Of the fusion rule.
    """

    home_id: str
    gateway_id: str
    window_end_us: int
    publish_us: int
    arming_mode: str
    kind: str
    score: float
    heard: int
    reasons: list[str]
    evidence: list[str]
    rule_version: str


class DeadLetter(NamedTuple):
    """What was rejected, whole, with where and why. Columns: schemas.archive.DEAD_LETTER_SCHEMA."""

    stage: str
    error_type: str
    message: str
    scope: str
    part: int
    home_id: str
    gateway_id: str
    message_id: str
    publish_us: int
    attributes: list[str]
    payload: bytes


ELEMENTS = (
    RawMessage,
    Receipt,
    AcceptedReading,
    AcceptedEvent,
    BatchSummary,
    Score,
    WindowScore,
    DeadLetter,
)
register_rows(*ELEMENTS)
