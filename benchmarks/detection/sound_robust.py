"""The shipped models under noise, gain, band limits, rooms, speech and television.

Real clips, made worse by what is synthesised here: speech and television are `local.signals`' own, rooms
are decaying noise. Sirens are SESA's even files, the others ESC-10's fold 5 and household_cc's odd files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from benchmarks.detection import figures
from benchmarks.detection.sound_clips import ALARM_AT
from local.recordings import SoundRecording
from local.signals import everyday, room, sound
from local.signals.sound import Audio, Rng
from local.training import sounds
from schemas.features import CLIP_SAMPLES, SAMPLE_HZ, log_mel_of
from serving.interpreter import LoadedModel

SEED: Final = 47
_QUIET_DBA: Final = 32.0


def _noise(rng: Rng, audio: Audio, snr_db: float) -> Audio:
    return _beside(audio, sound.pink(rng, CLIP_SAMPLES), snr_db)


def _gain(_rng: Rng, audio: Audio, dba: float) -> Audio:
    return room.set_level(audio, dba)


def _band(_rng: Rng, audio: Audio, hertz: float) -> Audio:
    if hertz >= SAMPLE_HZ / 2:
        return audio
    sos = signal.butter(6, hertz, fs=SAMPLE_HZ, output="sos")
    return signal.sosfilt(sos, audio).astype(np.float32)


def _reverberant(rng: Rng, audio: Audio, rt60_s: float) -> Audio:
    if rt60_s == 0:
        return audio
    t = np.arange(int(rt60_s * SAMPLE_HZ)) / SAMPLE_HZ
    tail = rng.standard_normal(t.size) * 10 ** (-3 * t / rt60_s)
    tail /= np.sqrt((tail**2).sum())  # as loud as the direct sound
    tail[0] += 1.0
    return signal.fftconvolve(audio, tail)[: audio.size].astype(np.float32)


def _speech(rng: Rng, audio: Audio, snr_db: float) -> Audio:
    return _beside(audio, sound.speech(rng, CLIP_SAMPLES / SAMPLE_HZ), snr_db)


def _television(rng: Rng, audio: Audio, snr_db: float) -> Audio:
    return _beside(audio, everyday.television(rng, CLIP_SAMPLES / SAMPLE_HZ), snr_db)


def _beside(audio: Audio, other: Audio, snr_db: float) -> Audio:
    return audio + room.set_level(other, sounds.TEST_LEVEL_DBA - snr_db)


# Name → unit, levels from mild to hard, and what they do to 1.6 s at the test's level.
CONDITIONS: Final[Mapping[str, tuple[str, tuple[float, ...], Callable[[Rng, Audio, float], Audio]]]] = {
    "noise": ("dB signal to noise", (30, 20, 10, 5, 0, -5), _noise),
    "gain": ("dB(A) at the microphone", (95, 80, 62, 50, 42, 36), _gain),
    "band limit": ("Hz", (8000, 6000, 4000, 3000, 2000, 1000), _band),
    "room": ("s reverberation", (0, 0.2, 0.4, 0.8, 1.2, 2.0), _reverberant),
    "speech": ("dB signal to speech", (30, 20, 10, 5, 0, -5), _speech),
    "television": ("dB signal to television", (30, 20, 10, 5, 0, -5), _television),
}


def robustness(
    models: Mapping[str, LoadedModel], sirens: Sequence[SoundRecording], others: Sequence[SoundRecording]
) -> dict[str, Any]:
    """Recall of sirens and share of false alarms, by condition and level, of each model."""
    places = [(sounds.loudest(r.audio()), i < len(sirens)) for i, r in enumerate([*sirens, *others])]
    truth = np.array([siren for _, siren in places])
    found: dict[str, Any] = {"curves": [], "figures": []}
    for name, (unit, levels, spoil) in CONDITIONS.items():
        curve: dict[str, Any] = {"condition": name, "unit": unit, "levels": list(levels)}
        for level in levels:
            inputs = np.array([_heard(SEED + i, audio, level, spoil) for i, (audio, _) in enumerate(places)])
            for model, loaded in models.items():
                alarm = sounds.alarm_probability(loaded.probabilities(inputs)) >= ALARM_AT
                curve.setdefault(f"recalled, {model}", []).append(int(alarm[truth].sum()))
                curve.setdefault(f"false, {model}", []).append(int(alarm[~truth].sum()))
        found["curves"].append(curve)
    found["n"] = {"sirens": int(truth.sum()), "others": int((~truth).sum())}
    for curve in found["curves"]:
        worst = f"{curve['condition']} of {curve['levels'][-1]:g} {curve['unit']}"
        for model in models:
            for what, key, n in (
                ("siren recalled", "recalled", truth.sum()),
                ("false alarm", "false", (~truth).sum()),
            ):
                found["figures"].append(
                    figures.proportion(
                        f"{what}, {worst}, {model}",
                        curve[f"{key}, {model}"][-1],
                        int(n),
                        "real",
                        "SESA's even sirens"
                        if key == "recalled"
                        else "ESC-10 fold 5, household_cc's odd files",
                        interval="clopper-pearson",
                        note="the disturbance is synthesised",
                    )
                )
    return found


def _heard(
    seed: int, audio: Audio, level: float, spoil: Callable[[Rng, Audio, float], Audio]
) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    cut = np.pad(audio, (0, CLIP_SAMPLES - audio.size)) if audio.size < CLIP_SAMPLES else audio
    spoilt = spoil(rng, room.set_level(cut, sounds.TEST_LEVEL_DBA), level)
    mixed = spoilt + room.ambient(rng, CLIP_SAMPLES / SAMPLE_HZ, _QUIET_DBA)
    return log_mel_of(room.microphone(mixed))
