"""Sounds follow their standards, and a minute at a microphone adds up."""

import itertools

import numpy as np
import pytest

from local.signals import room, sound
from schemas.features import SAMPLE_HZ
from schemas.readings import LOG_MEL_SHAPE


def _on_off(audio: np.ndarray) -> list[tuple[bool, float]]:
    """Runs of sound and silence → (sounding, seconds)."""
    frames = np.abs(audio[: audio.size // 80 * 80]).reshape(-1, 80).max(axis=1) > 0.3
    edges = np.flatnonzero(np.diff(frames)) + 1
    bounds = [0, *edges.tolist(), frames.size]
    return [(bool(frames[a]), (b - a) * 0.005) for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize("low_frequency", [False, True], ids=["piezo", "520 Hz"])
def test_smoke_alarm_keeps_the_temporal_three_pattern(low_frequency):
    runs = _on_off(sound.smoke_alarm_t3(np.random.default_rng(1), 8.0, low_frequency))
    expected = [(True, 0.5), (False, 0.5), (True, 0.5), (False, 0.5), (True, 0.5), (False, 1.5)] * 2
    assert [sounding for sounding, _ in runs] == [sounding for sounding, _ in expected]
    assert [seconds for _, seconds in runs] == pytest.approx([s for _, s in expected], abs=0.02)


def test_co_alarm_keeps_the_temporal_four_pattern():
    runs = _on_off(sound.co_alarm_t4(np.random.default_rng(1), 5.8))
    assert [seconds for on, seconds in runs if on] == pytest.approx([0.1] * 4, abs=0.02)
    assert runs[-1] == (False, pytest.approx(5.1, abs=0.02))


@pytest.mark.parametrize(
    ("low_frequency", "low", "high"), [(False, 2800, 3500), (True, 500, 540)], ids=["piezo", "520 Hz"]
)
def test_smoke_alarm_sounds_at_its_frequency(low_frequency, low, high):
    audio = sound.smoke_alarm_t3(np.random.default_rng(2), 4.0, low_frequency)
    peak = np.abs(np.fft.rfft(audio)).argmax() * SAMPLE_HZ / audio.size
    assert low < peak < high


def test_breaking_glass_rings_high_and_dies_away():
    audio = sound.glass_break(np.random.default_rng(3))
    power = np.abs(np.fft.rfft(audio)) ** 2
    hertz = np.fft.rfftfreq(audio.size, 1 / SAMPLE_HZ)
    assert power[hertz > 1500].sum() > 0.5 * power.sum()
    third = audio.size // 3
    assert (audio[:third] ** 2).sum() > 3 * (audio[-third:] ** 2).sum()


_MAKERS = {
    "siren": lambda rng: sound.siren(rng, 2.0),
    "glass": sound.glass_break,
    "speech": lambda rng: sound.speech(rng, 2.0),
    "dog": sound.dog_bark,
    "footsteps": lambda rng: sound.footsteps(rng, 2.0),
    "knock": sound.knock,
    "slam": sound.door_slam,
    "fire": lambda rng: sound.fire_crackling(rng, 2.0),
    "vacuum": lambda rng: sound.vacuum(rng, 2.0),
    "cooking": lambda rng: sound.cooking(rng, 2.0),
    "music": lambda rng: sound.music(rng, 2.0),
    "beeps": lambda rng: sound.beeps(rng, 2.0),
}


@pytest.mark.parametrize("name", _MAKERS)
def test_a_sound_is_reproducible_audio_of_peak_one(name):
    first, again = (_MAKERS[name](np.random.default_rng(7)) for _ in range(2))
    other = _MAKERS[name](np.random.default_rng(8))
    assert first.dtype == np.float32
    assert np.abs(first).max() == pytest.approx(1.0, abs=1e-3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other[: first.size])


def test_full_scale_at_one_kilohertz_is_120_dba():
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_HZ) / SAMPLE_HZ).astype(np.float32)
    assert room.level_dba(tone) == pytest.approx(120, abs=0.1)
    assert room.level_dba(tone * np.float32(0.1)) == pytest.approx(100, abs=0.1)


def test_a_weighting_takes_19_db_from_100_hz():
    tone = np.sin(2 * np.pi * 100 * np.arange(SAMPLE_HZ) / SAMPLE_HZ).astype(np.float32)
    assert room.level_dba(tone) == pytest.approx(120 - 19.1, abs=0.3)


def test_ambient_has_the_level_asked_for():
    audio = room.ambient(np.random.default_rng(1), 1.6, 38.0)
    assert room.level_dba(audio) == pytest.approx(38.0, abs=0.1)


def test_a_quiet_minute_reads_the_room():
    log_mel, levels, loudest_ms = room.minute_sound(np.random.default_rng(1), [], quiet_dba=35.0)
    assert log_mel.shape == LOG_MEL_SHAPE
    assert levels.shape == (60,)
    assert 33 < levels.mean() / 2 < 38
    assert 0 <= loudest_ms <= 58_400


def test_the_loudest_moment_is_where_the_glass_broke():
    rng = np.random.default_rng(2)
    clips = [
        room.Clip(10.0, sound.speech(rng, 2.0), 55.0),
        room.Clip(41.0, sound.glass_break(rng), 82.0),
    ]
    _, levels, loudest_ms = room.minute_sound(rng, clips)
    assert 39_400 <= loudest_ms <= 41_500
    assert levels[41] / 2 == pytest.approx(82, abs=2)
    assert levels[10] / 2 == pytest.approx(55, abs=4)
    assert levels[50] / 2 < 50


def test_a_smoke_alarm_goes_on_to_the_end_of_the_minute():
    rng = np.random.default_rng(3)
    alarm = room.Clip(20.0, sound.smoke_alarm_t3(rng, 4.0), 85.0, lasts_s=40.0)
    _, levels, loudest_ms = room.minute_sound(rng, [alarm])
    assert (levels[20:] / 2 > 80).sum() == 30  # three seconds of four
    assert (levels[:20] / 2 < 50).all()
    assert loudest_ms >= 19_900
