"""Examples of sound: synthetic clips and real recordings, each as a sensor in a room would send it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from local.recordings import SoundRecording
from local.signals import everyday, room, sirens, sound
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
# dB(A) at the microphone of the loudest second. Wide and alike: the level says little of the class.
_LEVELS: Final = {
    "quiet": (24, 44),
    "household": (40, 92),
    "voice": (42, 86),
    "dog": (46, 92),
    "impact": (44, 94),
    "glass_break": (48, 98),
    "fire_crackling": (38, 78),
    "siren": (42, 95),
    "smoke_alarm": (46, 98),
    "co_alarm": (44, 95),
}
TEST_LEVEL_DBA: Final = 62.0  # of every test recording: a level by class would tell the class
_LONGER_S: Final = 0.5  # of a window for training: its 1.6 s are cut anew at each draw
_MARGIN: Final = int(_LONGER_S * SAMPLE_HZ)
_ESC10: Final = {"crackling_fire": "fire_crackling", "dog": "dog", "crying_baby": "voice"}  # else household
_SESA: Final = {"siren": "siren", "gunshot": "impact", "explosion": "impact", "casual": "household"}
_HOUSEHOLD_CC: Final = (
    # Words in the file's name, first match wins.
    ("smoke-detector", "smoke_alarm"),
    ("dog", "dog"),
    ("bark", "dog"),
    ("perro", "dog"),
    ("door", "impact"),
    ("talking", "voice"),
    ("room-tone", "quiet"),
)


def class_of(recording: SoundRecording) -> str:
    """The class a recording stands for.

    SESA's "casual" is all that is no siren, shot or explosion: household here, and no truth beyond that.
    """
    if recording.corpus == "esc10":
        return _ESC10.get(recording.label, "household")
    if recording.corpus == "household_cc":
        return next((name for word, name in _HOUSEHOLD_CC if word in recording.label), "household")
    return _SESA[recording.label]


def synthetic(rng: Rng, label: str) -> NDArray[np.uint8]:
    """One made-up example of a class → uint8[160, 64]."""
    makers: dict[str, Callable[[], Audio]] = {
        "household": lambda: _household(rng),
        "voice": lambda: sound.speech(rng, 2.0),
        "dog": lambda: sound.dog_bark(rng, 2.0),
        "impact": lambda: _one_of(rng, (sound.knock, sound.door_slam, lambda r: everyday.bang(r, 1.6)))(rng),
        "glass_break": lambda: sound.glass_break(rng),
        "fire_crackling": lambda: sound.fire_crackling(rng, 2.0),
        "siren": lambda: (sound.siren if rng.random() < 0.15 else sirens.any_siren)(rng, 2.0),
        "smoke_alarm": lambda: _loud_phase(rng, sound.smoke_alarm_t3(rng, 3.0)),
        "co_alarm": lambda: sound.co_alarm_t4(rng, 2.0),
        "quiet": lambda: sound.pink(rng, CLIP_SAMPLES),
    }
    return heard(rng, makers[label](), label)


def heard(rng: Rng, audio: Audio, label: str, augment: bool = True) -> NDArray[np.uint8]:
    """Audio → uint8[160, 64] as the sensor sends it.

    With `augment`: random speed, equaliser, bit depth, room, level, other sounds, background and band
    limit, so that what marks a corpus (8-bit SESA, band-limited ogg) cannot stand in for a class.
    Without: one level for all.
    """
    low, high = _LEVELS[label]
    level, background = (
        (rng.uniform(low, high), rng.uniform(26, min(50, high))) if augment else (TEST_LEVEL_DBA, 32.0)
    )
    if label == "quiet":
        background, level = rng.uniform(24, 44), 15.0
    if augment:
        audio = _recorded(rng, audio)
        audio = room.in_room(rng, audio) if rng.random() < 0.8 else audio
    mixed = room.set_level(_cut(rng, audio), level)
    if augment and label != "quiet" and rng.random() < 0.35:
        mixed = mixed + room.set_level(_cut(rng, _backdrop(rng)), level - rng.uniform(4, 30))
    mixed = mixed + room.ambient(rng, CLIP_SAMPLES / SAMPLE_HZ, background)
    mel = log_mel_of(room.microphone(mixed))
    return _limited(rng, mel) if augment else mel


def loudest(audio: Audio, rank: int = 0, samples: int = CLIP_SAMPLES) -> Audio:
    """`samples` around the loudest 1.6 s of a recording; `rank` 1, 2, … takes quieter places."""
    if audio.size <= samples:
        return audio
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    starts = np.arange(0, audio.size - CLIP_SAMPLES + 1, SAMPLE_HZ // 10)
    order = np.argsort(-(energy[starts + CLIP_SAMPLES] - energy[starts]))
    start = starts[order[min(rank * 5, order.size - 1)]] - (samples - CLIP_SAMPLES) // 2
    start = int(np.clip(start, 0, audio.size - samples))
    return audio[start : start + samples]


def real_examples(
    rng: Rng, recordings: Sequence[SoundRecording], windows: int, augment: bool, processes: int = 1
) -> tuple[Examples, NDArray[np.intp]]:
    """`windows` examples of each recording, and the place in `recordings` behind each example."""
    seeds = rng.integers(2**63, size=len(recordings))
    make = partial(_windows, windows=windows, augment=augment)
    made = list(_mapped(make, zip(recordings, seeds.tolist(), strict=True), processes))
    inputs = np.array(made, np.uint8).reshape(-1, *LOG_MEL_SHAPE)
    labels = [CLASSES.index(class_of(recording)) for recording in recordings]
    return Examples(inputs, np.repeat(np.array(labels, np.intp), windows)), np.repeat(
        np.arange(len(recordings)), windows
    )


def synthetic_examples(rng: Rng, each: int, processes: int = 1) -> Examples:
    """`each` examples of every class, three times as many of household, which has the most kinds."""
    labels = [label for label in CLASSES for _ in range(each * (3 if label == "household" else 1))]
    seeds = rng.integers(2**63, size=len(labels))
    made = list(_mapped(_seeded, zip(labels, seeds.tolist(), strict=True), processes))
    return Examples(np.array(made), np.array([CLASSES.index(label) for label in labels], np.intp))


def alarm_probability(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """[n, classes] → float32[n], that it is a siren or an alarm of any make."""
    places = [CLASSES.index(label) for label in ALARM_CLASSES]
    return probabilities[:, places].sum(axis=1).astype(np.float32)


def _seeded(job: tuple[str, int]) -> NDArray[np.uint8]:
    label, seed = job
    return synthetic(np.random.default_rng(seed), label)


def _windows(job: tuple[SoundRecording, int], windows: int, augment: bool) -> list[NDArray[np.uint8]]:
    recording, seed = job
    rng, audio, label = np.random.default_rng(seed), recording.audio(), class_of(recording)
    samples = CLIP_SAMPLES + (_MARGIN if augment else 0)
    return [heard(rng, loudest(audio, rank, samples), label, augment) for rank in range(windows)]


def _mapped(make: Callable[[Any], Any], jobs: Any, processes: int) -> Iterator[Any]:
    if processes < 2:
        yield from map(make, jobs)
        return
    with ProcessPoolExecutor(min(processes, os.cpu_count() or 1)) as pool:
        yield from pool.map(make, jobs, chunksize=8)


def _household(rng: Rng) -> Audio:
    makers = everyday.NOT_ALARMS if rng.random() < 0.6 else sound.HOUSEHOLD
    return _one_of(rng, makers)(rng, 2.0)


def _backdrop(rng: Rng) -> Audio:
    """What sounds beside it: talk, music, television, a machine."""
    return _one_of(rng, (sound.speech, sound.music, everyday.television, sound.vacuum, everyday.rain))(
        rng, 1.7
    )


def _recorded(rng: Rng, audio: Audio) -> Audio:
    """What a recorder and a corpus do to a sound: speed, equaliser, clipping, bits."""
    if rng.random() < 0.5:
        up = int(rng.integers(85, 116))
        audio = signal.resample_poly(audio, up, 100).astype(np.float32)
    if rng.random() < 0.5:  # a tilt of up to 6 dB an octave, above or below a corner
        corner = rng.uniform(200, 4000)
        side = signal.lfilter(*signal.butter(1, corner, fs=SAMPLE_HZ), audio)
        audio = (audio + rng.uniform(-0.85, 2.0) * side).astype(np.float32)
    peak = float(np.abs(audio).max()) + 1e-12
    if rng.random() < 0.15:
        audio = np.clip(audio, -peak * rng.uniform(0.2, 0.8), peak * rng.uniform(0.2, 0.8))
    if rng.random() < 0.4:  # 8 bits or a little more, at any gain
        step = np.float32(peak / rng.choice([40, 100, 127, 511]))
        audio = np.rint(audio / step) * step
    return audio.astype(np.float32)


def _limited(rng: Rng, mel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A corpus or a microphone that hears nothing higher or lower; a strip of time or of bands lost."""
    if rng.random() < 0.3:
        cut = rng.integers(40, 64)
        mel[:, cut:] = np.minimum(mel[:, cut:], rng.integers(10, 60))
    if rng.random() < 0.2:
        cut = rng.integers(1, 12)
        mel[:, :cut] = np.minimum(mel[:, :cut], rng.integers(10, 60))
    for axis, most in ((0, 24), (1, 6)):
        if rng.random() < 0.25:
            width = int(rng.integers(1, most))
            first = int(rng.integers(0, mel.shape[axis] - width))
            strip = (slice(first, first + width), slice(None))[:: 1 if axis == 0 else -1]
            mel[strip] = mel.min()
    return mel


def _one_of(rng: Rng, makers: Sequence[Callable[..., Audio]]) -> Callable[..., Audio]:
    return makers[int(rng.integers(len(makers)))]


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
