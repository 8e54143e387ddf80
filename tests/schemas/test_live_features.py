"""Readings as they travel live: small, close to what the models see, and checked."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import hearthwatch_v1_pb2 as pb
from schemas.coarse_mel import STEP, pack_log_mel, unpack_log_mel
from schemas.errors import BadInput
from schemas.features import FEATURE_VERSION, input_shape, model_input
from schemas.live_features import (
    SUMMARY_NAMES,
    SUMMARY_STEPS,
    VALUE_STEP,
    check_features,
    complete,
    features_of,
    model_input_of,
    quantities,
    summary_of,
)
from schemas.readings import LOG_MEL_SHAPE, READING_KINDS, reading_id
from tests.fakes import NOW_US, SENSORS, reading

GATEWAY = "gw-0001"
BODY = pb.Body(features_minute_us=NOW_US)


def made(sensor: str = "motion-hall") -> pb.Reading:
    chosen = next(s for s in SENSORS if s[0] == sensor)
    return reading(*chosen, NOW_US, np.random.default_rng(1), gateway_id=GATEWAY)


def live(sensor: str = "motion-hall", *, with_log_mel: bool = True) -> pb.Features:
    return complete(features_of(made(sensor), GATEWAY, with_log_mel=with_log_mel), GATEWAY, BODY)


@pytest.mark.parametrize("sensor", [s[0] for s in SENSORS[::2]])
def test_features_say_what_the_cloud_needs_of_a_reading(sensor: str) -> None:
    original, features = made(sensor), live(sensor)
    check_features(features)
    family = READING_KINDS[original.kind]
    for field in ("reading_id", "sensor_id", "kind", "room", "minute_us", "battery_percent"):
        assert getattr(features, field) == getattr(original, field), field
    wanted, got = model_input(family, original), model_input_of(features)
    assert got is not None
    assert (got.shape, got.dtype) == (input_shape(family), wanted.dtype)
    if family != "sound":
        assert np.abs(got - wanted).max() <= VALUE_STEP / 2 + 1e-6
    for name, step, exact, close in zip(
        SUMMARY_NAMES[family],
        SUMMARY_STEPS[family],
        quantities(family, original),
        summary_of(features),
        strict=True,
    ):
        assert abs(exact - close) <= step / 2 + 1e-3, name


def test_usual_ids_and_the_minute_do_not_travel_and_a_supplement_keeps_its_own() -> None:
    usual = features_of(made(), GATEWAY, with_log_mel=False)
    assert (usual.reading_id, usual.minute_us) == (b"", 0)
    supplement = made()
    supplement.reading_id = reading_id(GATEWAY, "motion-hall+1", NOW_US)
    kept = complete(features_of(supplement, GATEWAY, with_log_mel=False), GATEWAY, BODY)
    assert kept.reading_id == supplement.reading_id


def test_a_quiet_sound_leaves_its_log_mel_at_home_and_keeps_its_levels() -> None:
    features = live("sound-kitchen", with_log_mel=False)
    check_features(features)
    assert model_input_of(features) is None
    assert summary_of(features)[0] == quantities("sound", made("sound-kitchen"))[0]


def test_a_device_without_waveform_tells_its_verdict() -> None:
    plain = pb.Reading(sensor_id="z", kind=pb.SENSOR_KIND_MOTION, minute_us=NOW_US)
    plain.reading_id = reading_id(GATEWAY, "z", NOW_US)
    plain.motion.occupied = True
    features = complete(features_of(plain, GATEWAY, with_log_mel=True), GATEWAY, BODY)
    check_features(features)
    assert model_input_of(features) is None
    energy, occupied = summary_of(features)
    assert math.isnan(energy)
    assert occupied == 1.0


def test_features_of_another_version_are_accepted_and_not_scored() -> None:
    features = live()
    features.feature_version = FEATURE_VERSION + 1
    features.steps.append(1)
    check_features(features)
    assert model_input_of(features) is None


def test_exact_values_stand_before_steps() -> None:
    features = live()
    features.values.extend([0.125] * len(features.steps))
    check_features(features)
    assert set(model_input_of(features).tolist()) == {0.125}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: setattr(f, "kind", pb.SENSOR_KIND_SMOKE), "features.kind is 5"),
        (lambda f: setattr(f, "sensor_id", "x" * 65), "sensor_id has 65 characters"),
        (lambda f: setattr(f, "room", "x" * 65), "room has 65 characters, limit 64"),
        (lambda f: setattr(f, "reading_id", b"1"), "reading_id is 1 bytes"),
        (lambda f: setattr(f, "minute_us", 1), "minute_us is 1, not the start of a minute"),
        (lambda f: setattr(f, "battery_percent", 101), "battery_percent is 101, limit 100"),
        (lambda f: f.steps.append(1), "steps has 15 numbers, limit exactly 14"),
        (lambda f: f.steps.__setitem__(0, 1 << 16), "steps reach 65536, limit 32768"),
        (lambda f: f.summary.append(1), "summary has 3 numbers, limit exactly 2"),
        (lambda f: setattr(f, "log_mel", b"x"), "log_mel is 1 bytes, limit 0 for motion"),
        (lambda f: f.values.extend([math.nan] * 14), "not finite"),
    ],
)
def test_what_is_at_fault_is_named_with_its_limit(change, message: str) -> None:
    features = live()
    change(features)
    with pytest.raises(BadInput, match=message):
        check_features(features)


def test_a_coarse_log_mel_is_small_and_keeps_what_is_loud() -> None:
    mel = np.random.default_rng(1).integers(20, 40, LOG_MEL_SHAPE, np.uint8)
    mel[40:100, 30:34] = 200  # a tone
    packed = pack_log_mel(mel)
    back = unpack_log_mel(packed).astype(int)
    assert len(packed) < 2_000
    assert np.abs(back - mel).mean() < STEP / 4
    assert back[40:96, 30:34].mean() > 180


@given(data=st.binary(max_size=200))
def test_any_bytes_for_a_log_mel_are_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        unpack_log_mel(data)


def test_a_log_mel_bomb_is_refused_before_it_unfolds() -> None:
    import zstandard

    with pytest.raises(BadInput, match="unfolds to 67108864 bytes, limit exactly 10240"):
        unpack_log_mel(zstandard.ZstdCompressor().compress(bytes(64 << 20)))
