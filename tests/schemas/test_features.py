"""What the models see: shapes, ranges, meaning, and refusal of anything else."""

import itertools

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


def _many(family: str, count: int) -> list[pb.Reading]:
    """Readings that differ, of devices with and without a waveform."""
    rng = np.random.default_rng(count)
    made = []
    for number in range(count):
        loud = rng.random() < 0.5
        if family == "sound":
            payload = pb.SoundPayload(log_mel=rng.integers(0, 256, LOG_MEL_SHAPE, np.uint8).tobytes())
        elif family == "motion":
            payload = pb.MotionPayload(
                pir=(rng.normal(0, 900 if loud else 8, PIR_SHAPE)).astype("<i2").tobytes()
            )
        elif family == "air":
            rows = np.array([600, 10, 100, 21, 45, 1013]) + rng.normal(0, 0.3, AIR_SHAPE)
            payload = pb.AirPayload(samples=rows.astype("<f4").tobytes())
        else:
            accel = rng.normal([0, 0, 1000], 300 if loud else 5, ACCEL_SHAPE).astype("<i2")
            payload = pb.ContactPayload(accel=accel.tobytes(), open=loud, changes_ms=[7] * (number % 4))
        if number % 7 == 3 and family != "air":
            payload = {"sound": pb.SoundPayload, "motion": pb.MotionPayload, "contact": pb.ContactPayload}[
                family
            ]()
        made.append(_reading(**{family: payload}))
    return made


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 64, 70])
@pytest.mark.parametrize("family", ["sound", "motion", "air", "contact"])
def test_inputs_made_together_are_to_the_bit_those_made_alone(family, count):
    readings = _many(family, count)
    alone = [features.model_input(family, reading) for reading in readings]

    places, together = features.model_inputs(family, readings)

    assert places == [place for place, one in enumerate(alone) if one is not None]
    assert together.shape == (len(places), *features.input_shape(family))
    assert [row.tobytes() for row in together] == [one.tobytes() for one in alone if one is not None]


def test_motion_features_are_what_their_names_say():
    """Against the plain formulas, in double precision."""
    pir = np.random.default_rng(5).normal(3, 200, PIR_SHAPE).astype(np.int16)
    wave = pir - pir.mean()
    power = np.abs(np.fft.rfft(wave)) ** 2 / wave.size**2
    edges = [round(hertz * 60) for hertz in features.PIR_BANDS_HZ]
    energy = [power[low:high].sum() for low, high in itertools.pairwise(edges)]
    made = dict(zip(features.MOTION_FEATURES, features.motion_features(pir), strict=True))

    assert made["log_peak"] == pytest.approx(np.log1p(np.abs(wave).max()), rel=1e-6)
    assert made["log_rms"] == pytest.approx(np.log1p(wave.std()), rel=1e-6)
    assert made["log_diff"] == pytest.approx(np.log1p(np.abs(np.diff(wave)).mean()), rel=1e-6)
    assert made["log_quiet_ptp"] == pytest.approx(
        np.log1p(np.sort(np.ptp(wave.reshape(60, 80), axis=1))[15]), rel=1e-6
    )
    assert [made[name] for name in features.MOTION_FEATURES[6:13]] == pytest.approx(
        np.log1p(energy), rel=1e-4
    )


def test_contact_features_are_what_their_names_say():
    """Against the plain formulas, in double precision."""
    accel = np.random.default_rng(6).normal([0, 0, 1000], 40, ACCEL_SHAPE).astype(np.int16)
    jerk = np.linalg.norm(np.diff(accel.astype(float), axis=0), axis=1)
    halves = accel.reshape(125, 12, 3).mean(axis=1)
    made = dict(zip(features.CONTACT_FEATURES, features.contact_features(accel, True, 3), strict=True))

    assert made["log_peak_step_mg"] == pytest.approx(np.log1p(jerk.max()), rel=1e-6)
    assert made["log_rms_step_mg"] == pytest.approx(np.log1p(np.sqrt((jerk**2).sum() / 1500)), rel=1e-6)
    assert made["log_sway_mg"] == pytest.approx(
        np.log1p(np.linalg.norm(np.diff(halves, axis=0), axis=1).max()), rel=1e-5
    )
    assert (made["open"], np.expm1(made["changes"])) == (1, pytest.approx(3, rel=1e-5))
