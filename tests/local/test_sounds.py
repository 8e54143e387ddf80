"""Examples of sound are what a sensor sends, the same for a seed, and of the right class."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.recordings import SoundRecording
from local.signals import sound
from local.training import sounds
from schemas.features import CLIP_SAMPLES, SAMPLE_HZ


def _recording(corpus: str, label: str, path: Path = Path("x_001.wav")) -> SoundRecording:
    return SoundRecording(corpus, label, 1, path, "CC0", True)


@pytest.mark.parametrize("label", sounds.CLASSES)
def test_a_synthetic_example_of_each_class_is_a_log_mel_and_the_same_for_a_seed(label):
    first, again, other = (sounds.synthetic(np.random.default_rng(seed), label) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((160, 64), np.uint8)
    assert (first == again).all()
    assert (first != other).any()


def test_household_has_three_times_as_many_examples_as_any_other_class():
    made = sounds.synthetic_examples(np.random.default_rng(1), 2)
    counts = np.bincount(made.labels)
    assert counts.tolist() == [6 if name == "household" else 2 for name in sounds.CLASSES]


@pytest.mark.parametrize(
    ("corpus", "label", "expected"),
    [
        ("esc10", "crackling_fire", "fire_crackling"),
        ("esc10", "rain", "household"),
        ("sesa", "siren", "siren"),
        ("sesa", "casual", "household"),
        ("household_cc", "193866-door-knock-38-wav", "impact"),
        ("household_cc", "369847-smoke-detector-alarm-distant-neighbori", "smoke_alarm"),
        ("household_cc", "438484-g31-46-dog-bark-and-door-wav", "dog"),
    ],
)
def test_a_recording_stands_for_a_class(corpus, label, expected):
    assert sounds.class_of(_recording(corpus, label)) == expected


def test_windows_of_a_recording_are_its_own_and_do_not_depend_on_how_many_processes_draw_them(tmp_path):
    rng = np.random.default_rng(4)
    recordings = []
    for number in range(3):
        path = tmp_path / f"siren_{number:03d}.wav"
        soundfile.write(path, sound.siren(rng, 3.0), SAMPLE_HZ)
        recordings.append(_recording("sesa", "siren", path))
    made = [sounds.real_examples(np.random.default_rng(5), recordings, 2, True, n) for n in (1, 2)]
    (alone, source), (shared, _) = made
    assert (alone.inputs == shared.inputs).all()
    assert source.tolist() == [0, 0, 1, 1, 2, 2]
    assert set(alone.labels) == {sounds.CLASSES.index("siren")}


def test_the_loudest_place_is_found_and_a_longer_window_lies_around_it():
    audio = np.zeros(5 * SAMPLE_HZ, np.float32)
    audio[3 * SAMPLE_HZ : 4 * SAMPLE_HZ] = 0.5
    exact = sounds.loudest(audio)
    wide = sounds.loudest(audio, 0, CLIP_SAMPLES + SAMPLE_HZ // 2)
    assert exact.size == CLIP_SAMPLES
    assert wide.size == CLIP_SAMPLES + SAMPLE_HZ // 2
    assert np.square(exact).sum() == np.square(wide).sum() == pytest.approx(0.25 * SAMPLE_HZ, rel=1e-3)


def test_without_augmentation_gain_of_the_recording_changes_nothing():
    audio = sound.siren(np.random.default_rng(6), 2.0)
    loud, soft = (
        sounds.heard(np.random.default_rng(7), gain * audio, "siren", augment=False) for gain in (1.0, 0.01)
    )
    assert np.abs(loud.astype(int) - soft).max() <= 1


def test_an_alarm_is_a_siren_or_an_alarm_of_any_make():
    said = np.zeros((1, len(sounds.CLASSES)))
    said[0, [sounds.CLASSES.index(name) for name in ("siren", "co_alarm", "household")]] = 0.3, 0.4, 0.3
    assert sounds.alarm_probability(said) == pytest.approx([0.7])
