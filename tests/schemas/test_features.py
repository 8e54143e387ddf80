"""What the models see: shapes, ranges, meaning, and refusal of anything else."""

import numpy as np
import pytest

from schemas import features
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.readings import ACCEL_SHAPE, AIR_SHAPE, LOG_MEL_SHAPE, PIR_SHAPE


def _tone(hertz: float, amplitude: float = 1.0) -> np.ndarray:
    t = np.arange(features.CLIP_SAMPLES) / features.SAMPLE_HZ
    return (amplitude * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def _reading(**payload) -> pb.Reading:
    return pb.Reading(reading_id=bytes(16), sensor_id="s", minute_us=0, **payload)


def test_log_mel_of_a_full_scale_tone_peaks_at_the_top_of_its_scale_in_its_band():
    low, high = features.log_mel_of(_tone(500)), features.log_mel_of(_tone(3100))
    assert low.shape == LOG_MEL_SHAPE
    assert low.dtype == np.uint8
    assert low.max() >= 250
    assert low.mean(axis=0).argmax() < high.mean(axis=0).argmax()


def test_log_mel_falls_by_the_decibels_that_the_sound_falls():
    loud, quiet = features.log_mel_of(_tone(1000, 0.3)), features.log_mel_of(_tone(1000, 0.03))
    assert (int(loud.max()) - int(quiet.max())) * 120 / 255 == pytest.approx(20, abs=0.6)


def test_log_mel_of_silence_is_zero():
    assert features.log_mel_of(np.zeros(features.CLIP_SAMPLES, np.float32)).max() == 0


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros(100, np.float32), r"shape \(100,\)"),
        (np.full(features.CLIP_SAMPLES, np.nan, np.float32), "25600 samples that are not finite"),
    ],
    ids=["too short", "not a number"],
)
def test_bad_audio_is_refused_with_value_and_limit(audio, said):
    with pytest.raises(BadInput, match=said):
        features.log_mel_of(audio)


@pytest.mark.parametrize(
    ("family", "made"),
    [
        ("motion", features.motion_features(np.zeros(PIR_SHAPE, np.int16))),
        ("air", features.air_features(np.zeros(AIR_SHAPE, np.float32))),
        ("contact", features.contact_features(np.zeros(ACCEL_SHAPE, np.int16), False, 0)),
    ],
    ids=["motion", "air", "contact"],
)
def test_features_have_a_name_each_and_are_finite_at_rest(family, made):
    assert made.shape == features.input_shape(family)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert len(set(features.FEATURE_NAMES[family])) == made.size


@pytest.mark.parametrize("extreme", [-32768, 32767])
def test_features_of_the_largest_counts_stay_finite(extreme):
    pir = np.full(PIR_SHAPE, extreme, np.int16)
    pir[::2] = -extreme - 1 if extreme > 0 else 32767
    accel = np.full(ACCEL_SHAPE, extreme, np.int16)
    accel[::3] = 0
    assert np.isfinite(features.motion_features(pir)).all()
    assert np.isfinite(features.contact_features(accel, True, 60)).all()


def test_motion_features_count_bursts_and_active_seconds():
    pir = np.zeros(PIR_SHAPE, np.int16)
    for second in (3, 4, 20):
        pir[second * 80 + 10 : second * 80 + 40] = 500
    made = dict(zip(features.MOTION_FEATURES, features.motion_features(pir), strict=True))
    assert made["bursts"] == pytest.approx(0.2)
    assert made["active_fraction"] == pytest.approx(3 / 60)


def test_air_features_show_a_rise_in_its_own_channel_only():
    samples = np.tile(np.array([600, 0, 100, 21, 45, 1013], np.float32), (60, 1))
    flat = features.air_features(samples)
    samples[:, 1] = np.linspace(0, 60, 60)
    made = dict(zip(features.AIR_FEATURES, features.air_features(samples) - flat, strict=True))
    moved = {name for name, value in made.items() if abs(value) > 1e-6}
    assert moved == {"co_ppm_last", "co_ppm_change", "co_ppm_spread", "co_ppm_rise_10s"}


def test_air_features_refuse_a_value_that_is_not_finite():
    samples = np.zeros(AIR_SHAPE, np.float32)
    samples[5, 2] = np.inf
    with pytest.raises(BadInput, match="not finite"):
        features.air_features(samples)


def test_contact_features_count_blows():
    accel = np.zeros(ACCEL_SHAPE, np.int16)
    accel[[100, 300, 700]] = 800
    made = dict(zip(features.CONTACT_FEATURES, features.contact_features(accel, True, 2), strict=True))
    assert np.expm1(made["impacts"]) == pytest.approx(3)
    assert made["open"] == 1
    assert np.expm1(made["changes"]) == pytest.approx(2, rel=1e-5)


def test_model_input_reads_each_kind_of_payload():
    air = np.tile(np.array([600, 0, 100, 21, 45, 1013], "<f4"), (60, 1))
    readings = {
        "sound": _reading(sound=pb.SoundPayload(log_mel=bytes(range(256)) * 40)),
        "motion": _reading(motion=pb.MotionPayload(pir=bytes(9600))),
        "air": _reading(air=pb.AirPayload(samples=air.tobytes())),
        "contact": _reading(contact=pb.ContactPayload(accel=bytes(9000), changes_ms=[5])),
    }
    for family, reading in readings.items():
        assert features.model_input(family, reading).shape == features.input_shape(family)


def test_a_device_without_a_waveform_has_no_model_input():
    assert features.model_input("motion", _reading(motion=pb.MotionPayload(occupied=True))) is None
    assert features.model_input("contact", _reading(contact=pb.ContactPayload(open=True))) is None
    assert features.model_input("sound", _reading(sound=pb.SoundPayload())) is None


def test_model_input_refuses_a_reading_of_another_family():
    with pytest.raises(BadInput, match="payload is motion, model family is sound"):
        features.model_input("sound", _reading(motion=pb.MotionPayload(occupied=True)))


def test_an_unknown_family_is_named():
    with pytest.raises(BadInput, match="'smell'"):
        features.input_shape("smell")
