"""Examples of sound: synthetic clips and real recordings, each as a sensor in a room would send it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from local.recordings import SoundRecording
from local.signals import room, sound
from local.signals.sound import Audio, Rng
from local.training.examples import Examples
from schemas.features import CLIP_SAMPLES, SAMPLE_HZ, log_mel_of
from schemas.readings import LOG_MEL_SHAPE

CLASSES: Final = (
    "quiet",
    "household",
    "voice",
    "dog",
    "impact",
    "glass_break",
    "fire_crackling",
    "siren",
    "smoke_alarm",
    "co_alarm",
)
ALARM_CLASSES: Final = ("siren", "smoke_alarm", "co_alarm")
# dB(A) at the microphone of the loudest second: a metre or a few from the source.
_LEVELS: Final = {
    "quiet": (24, 44),
    "household": (42, 78),
    "voice": (45, 76),
    "dog": (52, 92),
    "impact": (48, 85),
    "glass_break": (55, 98),
    "fire_crackling": (38, 72),
    "siren": (48, 95),
    "smoke_alarm": (50, 98),
    "co_alarm": (50, 95),
}
TEST_LEVEL_DBA: Final = 62.0  # of every test recording: a level by class would tell the class
_ESC10: Final = {"crackling_fire": "fire_crackling", "dog": "dog", "crying_baby": "voice"}  # else household
_HOUSEHOLD_CC: Final = (
    # Words in the file's name, first match wins.
    ("dog", "dog"),
    ("bark", "dog"),
    ("door", "impact"),
    ("talking", "voice"),
)


def class_of(recording: SoundRecording) -> str | None:
    """The class a recording stands for, None where the corpus' label has no class of ours."""
    if recording.corpus == "esc10":
        return _ESC10.get(recording.label, "household")
    if recording.corpus == "household_cc":
        return next((name for word, name in _HOUSEHOLD_CC if word in recording.label), "household")
    return "siren" if recording.label == "siren" else None


def synthetic(rng: Rng, label: str) -> NDArray[np.uint8]:
    """One made-up example of a class → uint8[160, 64]."""
    makers: dict[str, Callable[[], Audio]] = {
        "household": lambda: sound.HOUSEHOLD[rng.integers(len(sound.HOUSEHOLD))](rng, 2.0),
        "voice": lambda: sound.speech(rng, 2.0),
        "dog": lambda: sound.dog_bark(rng, 2.0),
        "impact": lambda: sound.knock(rng) if rng.random() < 0.5 else sound.door_slam(rng),
        "glass_break": lambda: sound.glass_break(rng),
        "fire_crackling": lambda: sound.fire_crackling(rng, 2.0),
        "siren": lambda: sound.siren(rng, 2.0),
        "smoke_alarm": lambda: _loud_phase(rng, sound.smoke_alarm_t3(rng, 3.0)),
        "co_alarm": lambda: sound.co_alarm_t4(rng, 2.0),
        "quiet": lambda: sound.pink(rng, CLIP_SAMPLES),
    }
    return heard(rng, makers[label](), label)


def heard(rng: Rng, audio: Audio, label: str, augment: bool = True) -> NDArray[np.uint8]:
    """Audio → uint8[160, 64] as the sensor sends it.

    With `augment`: random level, room, background, band limit and bit depth, so that what marks a
    corpus (8-bit SESA, band-limited ogg) cannot stand in for a class. Without: one level for all.
    """
    low, high = _LEVELS[label]
    if augment:
        audio = room.in_room(rng, audio) if rng.random() < 0.8 else audio
        level, background = rng.uniform(low, high), rng.uniform(26, min(50, high))
    else:
        level, background = TEST_LEVEL_DBA, 32.0
    if label == "quiet":
        background, level = rng.uniform(24, 44), 15.0
    scaled = room.set_level(_cut(rng, audio), level)
    if augment and rng.random() < 0.3:
        step = np.float32(np.abs(scaled).max() / rng.choice([127, 511]) + 1e-12)
        scaled = np.rint(scaled / step) * step
    mixed = scaled + room.ambient(rng, CLIP_SAMPLES / SAMPLE_HZ, background)
    mel = log_mel_of(room.microphone(mixed))
    if augment and rng.random() < 0.3:  # a corpus or a microphone that hears nothing higher
        cut = rng.integers(44, 64)
        mel[:, cut:] = np.minimum(mel[:, cut:], rng.integers(20, 60))
    return mel


def loudest(audio: Audio, rank: int = 0) -> Audio:
    """A part of 2 s around the loudest 1.6 s of a recording; `rank` 1, 2, … takes quieter places."""
    if audio.size <= CLIP_SAMPLES:
        return audio
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    starts = np.arange(0, audio.size - CLIP_SAMPLES + 1, SAMPLE_HZ // 10)
    order = np.argsort(-(energy[starts + CLIP_SAMPLES] - energy[starts]))
    start = starts[order[min(rank * 5, order.size - 1)]]
    return audio[start : start + CLIP_SAMPLES]


def real_examples(
    rng: Rng, recordings: Iterable[SoundRecording], windows: int, augment: bool
) -> tuple[Examples, list[SoundRecording]]:
    """Recordings with a class → examples, `windows` of each, and the recording behind each example."""
    inputs, labels, sources = [], [], []
    for recording in recordings:
        label = class_of(recording)
        if label is None:
            continue
        audio = recording.audio()
        for index in range(windows):
            inputs.append(heard(rng, loudest(audio, index), label, augment))
            labels.append(CLASSES.index(label))
            sources.append(recording)
    return Examples(np.array(inputs, np.uint8).reshape(-1, *LOG_MEL_SHAPE), np.array(labels)), sources


def synthetic_examples(rng: Rng, each: int) -> Examples:
    """`each` examples of every class."""
    inputs = [synthetic(rng, label) for label in CLASSES for _ in range(each)]
    return Examples(np.array(inputs), np.repeat(np.arange(len(CLASSES)), each))


def _loud_phase(rng: Rng, audio: Audio) -> Audio:
    """1.6 s of a temporal-three cycle: the sensor sends the loudest, which is never the long pause."""
    start = int(rng.uniform(0, audio.size / SAMPLE_HZ - 1.6) * SAMPLE_HZ)
    return audio[start : start + CLIP_SAMPLES]


def _cut(rng: Rng, audio: Audio) -> Audio:
    """Exactly 1.6 s: a random part of longer audio, a random place for shorter."""
    spare = audio.size - CLIP_SAMPLES
    if spare >= 0:
        start = int(rng.integers(0, spare + 1))
        return audio[start : start + CLIP_SAMPLES]
    lead = int(rng.integers(0, -spare + 1))
    return np.pad(audio, (lead, -spare - lead))
