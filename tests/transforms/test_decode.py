"""The rules of rejection, one test each, without Beam."""

from __future__ import annotations

import json

import numpy as np
import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import MAX_ENVELOPE_BYTES, seal, signed_bytes
from schemas.events import Code
from schemas.live_features import features_of
from tests.fake_messages import raw_message
from tests.fakes import (
    DAY_US,
    NOW_US,
    SECOND_US,
    FakeGateway,
    Fleet,
    body_of_event,
    body_of_minute,
    event,
    rebuilt_as,
)
from transforms.batch_parts import UNKNOWN_HOME
from transforms.decode_batches import MAX_PARTS, Decoded, decode
from transforms.trust import Trust

FLEET = Fleet(7)
TRUST = Trust(FLEET.ca)
GATEWAY = FLEET.gateway(1)
RNG = np.random.default_rng(7)
MINUTE = body_of_minute(NOW_US - 60 * SECOND_US, RNG)
SMOKE = event(Code.SMOKE)


def minute() -> pb.Body:
    """A body of its own to spoil."""
    body = pb.Body()
    body.CopyFrom(MINUTE)
    return body


def decoded(payload: bytes, trust: Trust = TRUST, **message: int) -> Decoded:
    return decode(raw_message(payload, **message), trust)


def sent(body: pb.Body, gateway: FakeGateway = GATEWAY, **header: object) -> Decoded:
    return decoded(gateway.envelope(body, **header))


def stages(result: Decoded) -> list[tuple[str, str, int]]:
    return [(letter.stage, letter.scope, letter.part) for letter in result.rejected]


def assert_refused_whole(result: Decoded, stage: str, payload: bytes) -> None:
    assert result.summary is None
    assert result.readings == []
    assert stages(result) == [(stage, "batch", -1)]
    letter = result.rejected[0]
    assert letter.payload == payload
    assert letter.error_type == "BadInput"
    assert letter.message != ""
    assert letter.publish_us == NOW_US


def test_healthy_batch_gives_all_its_readings_and_a_summary() -> None:
    result = sent(minute(), seq=9, oldest_unsent_seq=7, head_seq=12)
    assert len(result.readings) == 10
    assert {r.family for r in result.readings} == {"motion", "sound", "air", "contact"}
    assert pb.Reading.FromString(result.readings[0].reading) == MINUTE.readings[0]
    assert result.readings[0].arming_mode == "away"
    assert result.summary is not None
    assert (result.summary.seq, result.summary.oldest_unsent_seq, result.summary.head_seq) == (9, 7, 12)
    assert (result.summary.arming_mode, result.summary.arming_phase) == ("away", "set")
    sensors = json.loads(result.summary.sensors)
    assert sensors["air-kitchen"] == {"kind": "air", "room": "kitchen", "battery_percent": 90}
    assert not result.summary.clock_suspect
    assert result.rejected == []


@pytest.mark.parametrize("damage", ["random", "truncated", "empty"])
def test_bytes_that_are_no_envelope_are_refused_whole(damage: str) -> None:
    payload = {
        "random": np.random.default_rng(1).bytes(4_000),
        "truncated": GATEWAY.envelope(minute())[:3_000],
        "empty": b"",
    }[damage]
    result = decoded(payload)
    assert_refused_whole(result, "envelope", payload)
    assert result.events == []


def test_oversize_message_is_refused_with_its_size_and_the_limit() -> None:
    payload = bytes(MAX_ENVELOPE_BYTES + 1)
    result = decoded(payload)
    assert_refused_whole(result, "envelope", payload)
    assert f"{MAX_ENVELOPE_BYTES + 1} bytes, limit {MAX_ENVELOPE_BYTES}" in result.rejected[0].message


def test_unknown_schema_version_is_refused_whole() -> None:
    header = GATEWAY.header()
    header.schema_version = 2
    payload = rebuilt_as(GATEWAY.envelope(minute()), header=header.SerializeToString())
    assert_refused_whole(decoded(payload), "envelope", payload)


def test_sequence_number_beyond_64_bits_signed_is_refused_and_its_fire_is_shown() -> None:
    payload = GATEWAY.envelope(body_of_event(SMOKE), seq=(1 << 64) - 1)
    result = decoded(payload)
    assert_refused_whole(result, "envelope", payload)
    assert [(e.verified, e.seq) for e in result.events] == [(False, (1 << 63) - 1)]


def test_altered_body_fails_at_the_signature() -> None:
    good = GATEWAY.envelope(minute(), seq=2)
    payload = rebuilt_as(GATEWAY.envelope(minute(), seq=1), header=pb.Envelope.FromString(good).header)
    assert_refused_whole(decoded(payload), "signature", payload)


def test_certificate_of_a_foreign_ca_is_refused() -> None:
    payload = Fleet(8).gateway(1).envelope(minute())
    assert_refused_whole(decoded(payload), "certificate", payload)


def test_certificate_of_another_home_is_refused_though_the_signature_holds() -> None:
    other = FLEET.gateway(2)
    payload = seal(GATEWAY.header(), minute(), other.key, other.certificate)
    assert_refused_whole(decoded(payload), "tenant", payload)


def test_revoked_certificate_is_refused() -> None:
    thief = FLEET.gateway(3)
    payload = thief.envelope(minute())
    trust = Trust(FLEET.ca, lambda: frozenset({thief.serial}))
    assert_refused_whole(decoded(payload, trust), "revocation", payload)
    assert decoded(GATEWAY.envelope(minute()), trust).rejected == []


def test_revocation_reaches_a_certificate_that_is_already_cached() -> None:
    revoked: set[int] = set()
    trust = Trust(FLEET.ca, lambda: frozenset(revoked))
    assert decoded(GATEWAY.envelope(minute()), trust).rejected == []
    revoked.add(GATEWAY.serial)
    assert stages(decoded(GATEWAY.envelope(minute()), trust)) == [("revocation", "batch", -1)]


def test_body_that_does_not_unpack_is_refused() -> None:
    header, body = GATEWAY.header(), b"\x00" * 50
    header.schema_version, header.codec, header.body_size = 1, pb.CODEC_ZSTD, 50
    head = header.SerializeToString()
    payload = pb.Envelope(
        header=head,
        body=body,
        signature=GATEWAY.key.sign(signed_bytes(head, body)),
        certificate=GATEWAY.certificate,
    ).SerializeToString()
    assert_refused_whole(decoded(payload), "body", payload)


def test_reading_with_nan_is_rejected_alone() -> None:
    body = minute()
    samples = np.frombuffer(body.readings[5].air.samples, "<f4").copy()
    samples[7] = np.nan
    body.readings[5].air.samples = samples.tobytes()
    payload = GATEWAY.envelope(body)
    result = decoded(payload)
    assert stages(result) == [("reading", "reading", 5)]
    assert result.rejected[0].payload == payload
    assert "co_ppm is nan" in result.rejected[0].message
    assert len(result.readings) == 9
    assert result.summary is not None


def test_unknown_sensor_kind_is_rejected_alone() -> None:
    body = minute()
    body.readings[0].kind = 77  # type: ignore[assignment]
    result = sent(body)
    assert stages(result) == [("reading", "reading", 0)]
    assert len(result.readings) == 9


@pytest.mark.parametrize(
    ("offset_us", "accepted"),
    [
        pytest.param(-DAY_US, True, id="a day old is backlog"),
        pytest.param(-30 * DAY_US, True, id="thirty days old is backlog"),
        pytest.param(-32 * DAY_US, False, id="thirty-two days old"),
        pytest.param(DAY_US, False, id="a day ahead"),
        pytest.param(240 * SECOND_US, True, id="ahead within tolerance"),
    ],
)
def test_reading_is_judged_by_its_minute_against_arrival(offset_us: int, accepted: bool) -> None:
    body = body_of_minute(NOW_US + offset_us, np.random.default_rng(1))
    result = sent(body, created_us=NOW_US + offset_us)
    assert len(result.readings) == (10 if accepted else 0)
    assert len(result.rejected) == (0 if accepted else 10)
    assert result.summary is not None
    assert result.summary.clock_suspect is not accepted


@pytest.mark.parametrize(
    "offset_us", [DAY_US, -DAY_US, -10_000 * DAY_US, 10_000 * DAY_US], ids=["+1d", "-1d", "-27y", "+27y"]
)
def test_life_safety_event_passes_whatever_its_clock_says(offset_us: int) -> None:
    result = sent(body_of_event(event(Code.SMOKE, occurred_us=NOW_US + offset_us)), lane=pb.LANE_URGENT)
    assert [(e.clock_suspect, e.verified) for e in result.events] == [(True, True)]
    assert result.rejected == []


def test_event_without_a_trustworthy_clock_is_suspect() -> None:
    (accepted,) = sent(body_of_event(SMOKE), clock_unset=True).events
    assert accepted.clock_suspect


@pytest.mark.parametrize("fault", ["no id", "long room", "nan measurement", "unknown field", "unknown kind"])
def test_life_safety_event_is_never_rejected_for_its_contents(fault: str) -> None:
    spoilt = event(Code.CARBON_MONOXIDE)
    if fault == "no id":
        spoilt.event_id = b""
    elif fault == "long room":
        spoilt.room = "x" * 5_000
    elif fault == "nan measurement":
        spoilt.measurements.add(name="co_ppm", value=float("nan"))
    elif fault == "unknown field":
        spoilt.MergeFromString(b"\xa2\x06\x03abc")
    else:
        spoilt.kind = 99  # type: ignore[assignment]
    result = sent(body_of_event(spoilt))
    assert [(e.verified, e.clock_suspect) for e in result.events] == [(True, False)]
    assert result.rejected == []
    assert result.summary is not None


def test_ordinary_event_with_a_bad_id_is_rejected_alone() -> None:
    body = pb.Body(events=[event(Code.TAMPER, event_id=b"short"), event(Code.PERIMETER)])
    result = sent(body)
    assert stages(result) == [("event", "event", 0)]
    assert [pb.Event.FromString(e.event).code for e in result.events] == [Code.PERIMETER]


def test_unknown_code_of_a_verified_event_passes() -> None:
    (accepted,) = sent(body_of_event(event(899))).events
    assert accepted.verified
    assert pb.Event.FromString(accepted.event).code == 899


def test_expired_certificate_passes_ordinary_data_for_thirty_days() -> None:
    late = FLEET.gateway(4, not_after_us=NOW_US - 29 * DAY_US)
    result = sent(pb.Body(readings=minute().readings, events=[SMOKE]), late)
    assert len(result.readings) == 10
    assert [e.cert_expired for e in result.events] == [True]
    assert result.rejected == []


def test_certificate_expired_longer_refuses_ordinary_data_and_keeps_the_fire() -> None:
    late = FLEET.gateway(5, not_after_us=NOW_US - 31 * DAY_US)
    payload = late.envelope(pb.Body(readings=minute().readings, events=[SMOKE, event(Code.TAMPER)]))
    result = decoded(payload)
    assert_refused_whole(result, "validity", payload)
    assert [(e.cert_expired, e.verified) for e in result.events] == [(True, True)]
    alone = sent(body_of_event(SMOKE), late)
    assert alone.rejected == []
    assert alone.summary is not None


def test_certificate_not_yet_valid_refuses_ordinary_data() -> None:
    early = FLEET.gateway(6, not_before_us=NOW_US + DAY_US)
    payload = early.envelope(minute())
    assert_refused_whole(decoded(payload), "validity", payload)


def test_too_many_parts_refuse_the_batch_but_not_its_fire() -> None:
    body = pb.Body(readings=[pb.Reading()] * (MAX_PARTS + 1), events=[SMOKE])
    payload = GATEWAY.envelope(body)
    result = decoded(payload)
    assert_refused_whole(result, "body", payload)
    assert [e.verified for e in result.events] == [True]


@pytest.mark.parametrize("reason", ["signature", "certificate", "revocation", "tenant", "envelope"])
def test_life_safety_event_that_cannot_be_verified_becomes_a_trouble_and_a_dead_letter(reason: str) -> None:
    body = pb.Body(readings=minute().readings, events=[SMOKE, event(Code.TAMPER)])
    trust, payload = TRUST, GATEWAY.envelope(body)
    if reason == "signature":
        payload = rebuilt_as(payload, signature=bytes(64))
    elif reason == "certificate":
        payload = Fleet(8).gateway(1).envelope(body)
    elif reason == "revocation":
        trust = Trust(FLEET.ca, lambda: frozenset({GATEWAY.serial}))
    elif reason == "tenant":
        other = FLEET.gateway(2)
        payload = seal(GATEWAY.header(), body, other.key, other.certificate)
    else:
        header = pb.Header.FromString(pb.Envelope.FromString(payload).header)
        header.schema_version = 2
        payload = rebuilt_as(payload, header=header.SerializeToString())
    result = decoded(payload, trust)
    assert_refused_whole(result, reason, payload)
    (accepted,) = result.events
    assert not accepted.verified
    assert accepted.home_id == "home-0001"
    assert accepted.arming_mode == ""
    assert pb.Event.FromString(accepted.event).code == Code.SMOKE


def test_claimed_home_of_a_forger_cannot_become_a_path() -> None:
    forger = Fleet(8).gateway(home_id="a/b", gateway_id="x")
    (accepted,) = decoded(forger.envelope(body_of_event(SMOKE))).events
    assert accepted.home_id == UNKNOWN_HOME


def test_synthetic_traffic_needs_the_reserved_home() -> None:
    probe = event(Code.PERIODIC_TEST)
    (honest,) = sent(body_of_event(probe), FLEET.prover(), synthetic=True).events
    (silenced,) = sent(body_of_event(SMOKE), GATEWAY, synthetic=True).events
    assert (honest.synthetic, silenced.synthetic) == (True, False)


def live(features: list[pb.Features]) -> Decoded:
    body = pb.Body(features=features, features_minute_us=NOW_US)
    return decoded(seal(GATEWAY.header(), body, GATEWAY.key, GATEWAY.certificate, dictionary_id=1))


def test_features_are_the_reading_that_their_payload_will_be() -> None:
    whole = body_of_minute(NOW_US, np.random.default_rng(1)).readings
    features = [features_of(one, GATEWAY.gateway_id, with_log_mel=True) for one in whole]
    result = live(features)
    assert result.rejected == []
    got = [pb.Features.FromString(one.features) for one in result.readings]
    assert [one.reading_id for one in got] == [one.reading_id for one in whole]
    assert {one.minute_us for one in got} == {NOW_US}
    assert {one.reading for one in result.readings} == {b""}
    assert result.summary is not None
    sensors = json.loads(result.summary.sensors)
    assert sensors["motion-hall"] == {"kind": "motion", "room": "hall", "battery_percent": 90}
    assert len(sensors) == 10


def test_bad_features_are_rejected_alone() -> None:
    whole = body_of_minute(NOW_US, np.random.default_rng(1)).readings[:3]
    features = [features_of(one, GATEWAY.gateway_id, with_log_mel=False) for one in whole]
    features[1].steps.append(1)
    features[2].minute_us = NOW_US + 600 * SECOND_US
    result = live(features)
    assert len(result.readings) == 1
    assert stages(result) == [("features", "reading", 1), ("features", "reading", 2)]
    assert "steps has 15 numbers, limit exactly 14" in result.rejected[0].message


def test_a_packed_envelope_that_is_forged_shows_its_alarm_to_an_operator() -> None:
    body = body_of_event(event())
    payload = seal(GATEWAY.header(), body, GATEWAY.key, FLEET.gateway(2).certificate, dictionary_id=1)
    result = decoded(payload)
    assert stages(result) == [("signature", "batch", -1)]
    assert [one.verified for one in result.events] == [False]
