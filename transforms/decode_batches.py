"""Messages → verified readings, events and summaries; what fails becomes dead letters.

Rejection is as narrow as the fault (design.md, "Rejection"):

- A bad reading or event is rejected alone; its neighbours live.
- Time is judged against arrival (publish time), so that a replay decides as the live run did.
  Readings of up to 31 days ago are ordinary backlog; older ones, and those further ahead than the
  clock tolerance, are rejected. Events are not rejected for their clock, whatever their code: they
  are marked `clock_suspect` and count by arrival.
- A life-safety event of a verified sender is never rejected. An expired certificate marks it
  `cert_expired`; ordinary data of such a certificate pass for 30 days.
- A life-safety event whose sender cannot be verified goes on with `verified=False`, for an operator
  to see, while its batch becomes a dead letter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import open_body, parse_envelope, read_envelope, verify_signature
from schemas.errors import BadInput
from schemas.events import is_life_safety
from schemas.identity import GatewayIdentity
from schemas.live_features import check_features, complete
from schemas.readings import MAX_ID_CHARS, check_reading
from transforms.batch_parts import (
    MAX_INT64,
    Fault,
    accepted_event,
    accepted_features,
    accepted_reading,
    batch_summary,
    dead_letter,
)
from transforms.elements import AcceptedEvent, AcceptedReading, BatchSummary, DeadLetter, RawMessage
from transforms.trust import RevocationList, Trust, check_tenant, load_ca

NAMESPACE: Final = "decode_batches"

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
CLOCK_TOLERANCE_S: Final = 300.0
MAX_AGE_US: Final = 31 * DAY_US  # the longest that Pub/Sub keeps a message
CERT_GRACE_US: Final = 30 * DAY_US
MAX_PARTS: Final = 256  # readings or events of one batch: bounds the dead letters that it can cause


class Decoded(NamedTuple):
    """What one message gave. `summary` is None exactly when the batch as a whole was rejected."""

    summary: BatchSummary | None
    readings: list[AcceptedReading]
    events: list[AcceptedEvent]
    rejected: list[DeadLetter]
    notices: list[RawMessage] = []  # noqa: RUF012 (never written to): the message, if it announces objects


def decode(
    message: RawMessage, trust: Trust, tolerance_us: int = int(CLOCK_TOLERANCE_S * SECOND_US)
) -> Decoded:
    """Message → its accepted parts and its dead letters. Never raises for what the input says.

    Args:
        tolerance_us: How far a gateway's clock may be from arrival.
    """
    stage = "envelope"
    try:
        envelope, header = parse_envelope(message.payload)
        _check_numbers(header)
        stage = "certificate"
        identity = trust.identity(envelope.certificate)
        stage = "revocation"
        trust.check_not_revoked(identity)
        stage = "signature"
        verify_signature(envelope, identity.key)
        stage = "tenant"
        check_tenant(header, identity)
        stage = "body"
        body = open_body(envelope, header)
    except BadInput as error:
        return _refuse(message, Fault(stage, error))
    return _accept(message, header, identity, body, tolerance_us)


def _check_numbers(header: pb.Header) -> None:
    for field in ("seq", "oldest_unsent_seq", "head_seq"):
        if getattr(header, field) > MAX_INT64:
            raise BadInput(f"{field} is {getattr(header, field)}, limit {MAX_INT64}")


def _refuse(message: RawMessage, fault: Fault) -> Decoded:
    """A batch that cannot be trusted: a dead letter, and its life-safety events for an operator to see."""
    header, body = _salvage(message.payload)
    alarming = [event for event in body.events if is_life_safety(event.code)] if body is not None else []
    events = [
        accepted_event(message, header, event, verified=False)
        for event in alarming[:MAX_PARTS]
        if header is not None
    ]
    return Decoded(None, [], events, [dead_letter(message, header, fault, "batch", -1)])


def _salvage(payload: bytes) -> tuple[pb.Header | None, pb.Body | None]:
    """As much of an unverified envelope as can be read within the size limits."""
    try:
        envelope, header = read_envelope(payload)
    except BadInput:
        return None, None
    try:
        return header, open_body(envelope, header)
    except BadInput:
        return header, None


def _accept(
    message: RawMessage, header: pb.Header, identity: GatewayIdentity, body: pb.Body, tolerance_us: int
) -> Decoded:
    """A verified batch → its parts."""
    outside = message.publish_us > identity.not_after_us or message.publish_us < identity.not_before_us
    batch_fault = _batch_fault(message, identity, body, tolerance_us)
    readings: list[AcceptedReading] = []
    events: list[AcceptedEvent] = []
    rejected: list[DeadLetter] = []
    ordinary = len(body.readings) + len(body.features) + len(body.bulk)
    if batch_fault is None:
        for part, reading in enumerate(body.readings):
            try:
                check_reading(reading)
                check_minute(reading.minute_us, message.publish_us, tolerance_us)
            except BadInput as error:
                rejected.append(dead_letter(message, header, Fault("reading", error), "reading", part))
            else:
                readings.append(accepted_reading(message, header, reading))
        for part, sent in enumerate(body.features, len(body.readings)):
            features = complete(sent, header.gateway_id, body)
            try:
                check_features(features)
                check_minute(features.minute_us, message.publish_us, tolerance_us)
            except BadInput as error:
                rejected.append(dead_letter(message, header, Fault("features", error), "reading", part))
            else:
                readings.append(accepted_features(message, header, features))
    for part, event in enumerate(body.events):
        if not is_life_safety(event.code):
            ordinary += 1
            if batch_fault is not None:
                continue
            try:
                _check_event(event)
            except BadInput as error:
                rejected.append(dead_letter(message, header, Fault("event", error), "event", part))
                continue
        suspect = header.clock_unset or abs(message.publish_us - event.occurred_us) > tolerance_us
        events.append(accepted_event(message, header, event, verified=True, suspect=suspect, expired=outside))
    # A batch of nothing but life-safety events has nothing that could be rejected.
    if batch_fault is not None and (ordinary or not events):
        return Decoded(None, [], events, [dead_letter(message, header, batch_fault, "batch", -1)])
    ahead_us = header.created_us - message.publish_us
    suspect = header.clock_unset or ahead_us > tolerance_us or -ahead_us > MAX_AGE_US
    notices = [message] if body.bulk else []
    return Decoded(batch_summary(message, header, body, suspect), readings, events, rejected, notices)


def _batch_fault(
    message: RawMessage, identity: GatewayIdentity, body: pb.Body, tolerance_us: int
) -> Fault | None:
    """Why the ordinary parts of a verified batch are refused, if they are."""
    overdue_us = message.publish_us - identity.not_after_us
    early_us = identity.not_before_us - message.publish_us
    if overdue_us > CERT_GRACE_US:
        error = f"certificate expired {overdue_us / DAY_US:.1f} days ago, limit {CERT_GRACE_US / DAY_US:.0f}"
    elif early_us > tolerance_us:
        error = f"certificate is valid in {early_us // SECOND_US} s, limit {tolerance_us // SECOND_US}"
    elif max(parts := _parts(body)) > MAX_PARTS:
        error = (
            f"batch has {parts[0]} readings, {parts[1]} events and {parts[2]} objects, limit {MAX_PARTS} each"
        )
        return Fault("body", BadInput(error))
    else:
        return None
    return Fault("validity", BadInput(error))


def _parts(body: pb.Body) -> tuple[int, int, int]:
    """Readings in either form, events, objects announced."""
    return len(body.readings) + len(body.features), len(body.events), len(body.bulk)


def check_minute(minute_us: int, publish_us: int, tolerance_us: int) -> None:
    """
    Raises:
        BadInput: A reading's minute is too far ahead of its arrival, or too old.
    """
    ahead_us = minute_us - publish_us
    if ahead_us > tolerance_us:
        raise BadInput(
            f"minute_us is {ahead_us // SECOND_US} s ahead of arrival, limit {tolerance_us // SECOND_US}"
        )
    if -ahead_us > MAX_AGE_US:
        raise BadInput(f"minute_us is {-ahead_us / DAY_US:.1f} days old, limit {MAX_AGE_US / DAY_US:.0f}")


def _check_event(event: pb.Event) -> None:
    """What an event that is not life-safety must satisfy."""
    if len(event.event_id) != 16:
        raise BadInput(f"event_id is {len(event.event_id)} bytes, limit exactly 16")
    for field in ("sensor_id", "room"):
        length = len(getattr(event, field))
        if length > MAX_ID_CHARS:
            raise BadInput(f"event.{field} has {length} characters, limit {MAX_ID_CHARS}")
    if event.code == 0:
        raise BadInput("event.code is 0, limit: at least 1")


class DecodedBatches(NamedTuple):
    """Named outputs of `DecodeBatches`."""

    readings: PCollection[AcceptedReading]
    events: PCollection[AcceptedEvent]
    summaries: PCollection[BatchSummary]
    notices: PCollection[RawMessage]
    rejected: PCollection[DeadLetter]


@dataclass
class DecodeBatches(beam.PTransform):
    """RawMessage → readings, events, summaries, the messages that announce bulk objects, and dead letters
    with stage, reason and whole payload.

    Attributes:
        ca: The fleet CA: PEM, or the path of a PEM file.
        revoked: Path of the revocation list, "" for none.
        clock_tolerance_s: How far a gateway's clock may be from arrival.
    """

    ca: str | bytes
    revoked: str = ""
    clock_tolerance_s: float = CLOCK_TOLERANCE_S

    def expand(self, messages: PCollection[RawMessage]):  # type: ignore[no-untyped-def]
        outputs = messages | "VerifyAndSplit" >> (
            beam.ParDo(_Decode(self.ca, self.revoked, int(self.clock_tolerance_s * SECOND_US)))
            .with_output_types(
                AcceptedReading,
                events=AcceptedEvent,
                summaries=BatchSummary,
                notices=RawMessage,
                rejected=DeadLetter,
            )
            .with_outputs("events", "summaries", "notices", "rejected", main="readings")
        )
        return DecodedBatches(
            outputs.readings, outputs.events, outputs.summaries, outputs.notices, outputs.rejected
        )


class _Decode(beam.DoFn):
    """Holds the certificate cache and the revocation list of one worker thread.

    Counters: batches_in = batches_out + batches_rejected; of verified batches that are not rejected,
    readings_in = readings_out + readings_rejected, and so for events. `events_unverified` are beside.
    """

    def __init__(self, ca: str | bytes, revoked: str, tolerance_us: int) -> None:
        self._ca = ca
        self._revoked = revoked
        self._tolerance_us = tolerance_us
        self._list: RevocationList | None = None
        self._count = {
            name: Metrics.counter(NAMESPACE, name)
            for name in (
                *(
                    f"{part}_{way}"
                    for part in ("batches", "readings", "events")
                    for way in ("out", "rejected")
                ),
                *("batches_in", "readings_in", "events_in", "events_unverified"),
            )
        }
        self._list_age = Metrics.gauge(NAMESPACE, "revocation_list_age_s")

    def setup(self) -> None:
        if self._revoked:
            self._list = RevocationList(self._revoked, time.monotonic)
            self._list.start()
        self._trust = Trust(load_ca(self._ca), self._list.serials if self._list else frozenset)

    def start_bundle(self) -> None:
        if self._list:
            self._list_age.set(int(self._list.age_s))

    def process(self, message: RawMessage) -> Iterator[AcceptedReading | TaggedOutput]:
        decoded = decode(message, self._trust, self._tolerance_us)
        self._measure(decoded)
        yield from decoded.readings
        for event in decoded.events:
            yield TaggedOutput("events", event)
        if decoded.summary is not None:
            yield TaggedOutput("summaries", decoded.summary)
        for notice in decoded.notices:
            yield TaggedOutput("notices", notice)
        for letter in decoded.rejected:
            yield TaggedOutput("rejected", letter)

    def teardown(self) -> None:
        if self._list:
            self._list.stop()

    def _measure(self, decoded: Decoded) -> None:
        count = self._count
        count["batches_in"].inc()
        count["batches_out" if decoded.summary else "batches_rejected"].inc()
        bad = {scope: sum(d.scope == scope for d in decoded.rejected) for scope in ("reading", "event")}
        verified = sum(e.verified for e in decoded.events)
        for part, accepted, refused in (
            ("readings", len(decoded.readings), bad["reading"]),
            ("events", verified, bad["event"]),
        ):
            count[f"{part}_in"].inc(accepted + refused)
            count[f"{part}_out"].inc(accepted)
            count[f"{part}_rejected"].inc(refused)
        count["events_unverified"].inc(len(decoded.events) - verified)
