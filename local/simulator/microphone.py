"""What a microphone sensor makes of a minute: names of sounds → a sound payload."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from local import recordings
from local.recordings import SoundRecording
from local.signals import sound
from local.signals.room import Clip, minute_sound
from local.signals.sound import Audio, Rng
from local.simulator.life import Heard
from schemas import hearthwatch_v1_pb2 as pb
from schemas.features import SAMPLE_HZ

_LOOP_S: Final = 4.0  # a sound that lasts is made of one stretch, repeated; also the T3 cycle
_LONGEST_S: Final = 5.0  # of a recording
_VARIANTS: Final = 12  # of each synthetic sound: a street shares them, every room hears its own mix

SYNTHESIS: Final[dict[str, Callable[[Rng], Audio]]] = {
    "glass_break": sound.glass_break,
    "smoke_alarm": lambda rng: sound.smoke_alarm_t3(rng, sound.T3_CYCLE_S, low_frequency=False),
    "fire_crackling": lambda rng: sound.fire_crackling(rng, _LOOP_S),
    "speech": lambda rng: sound.speech(rng, _LOOP_S),
    "music": lambda rng: sound.music(rng, _LOOP_S),
    "cooking": lambda rng: sound.cooking(rng, _LOOP_S),
    "vacuum": lambda rng: sound.vacuum(rng, _LOOP_S),
    "dog_bark": sound.dog_bark,
    "door_slam": sound.door_slam,
}
# Which recordings may stand in for which sound: (corpus, words in the label).
_RECORDED: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "fire_crackling": (("esc10", "crackling_fire"),),
    "dog_bark": (("esc10", "dog"), ("household_cc", "bark")),
    "door_slam": (("household_cc", "close-door"),),
    "speech": (("household_cc", "talking"),),
    "vacuum": (("household_cc", "vacuum"),),
}


@lru_cache(maxsize=_VARIANTS * len(SYNTHESIS))
def _variant(name: str, number: int) -> Audio:
    return SYNTHESIS[name](np.random.default_rng([list(SYNTHESIS).index(name), number]))


class Sounds:
    """Where a sound's waveform comes from: a recording where there is one, else synthesis.

    Args:
        folder: Of recordings (HEARTHWATCH_RECORDINGS); None: synthesis only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._recorded: dict[str, list[SoundRecording]] = {}
        for recording in recordings.sounds(folder):
            for name, sources in _RECORDED.items():
                if any(recording.corpus == corpus and word in recording.label for corpus, word in sources):
                    self._recorded.setdefault(name, []).append(recording)

    def audio(self, rng: np.random.Generator, name: str) -> Audio:
        """A waveform of a sound, float32 at 16 kHz.

        Raises:
            KeyError: No sound of that name.
        """
        choices = self._recorded.get(name)
        if not choices:
            return _variant(name, int(rng.integers(_VARIANTS)))
        audio = choices[int(rng.integers(len(choices)))].audio()[: int(_LONGEST_S * SAMPLE_HZ)]
        loudest = np.abs(audio).max() + np.float32(1e-6)
        scaled: Audio = (audio / loudest).astype(np.float32)
        return scaled

    def render(self, rng: np.random.Generator, heard: list[Heard]) -> pb.SoundPayload:
        """What is heard in a minute → the sensor's payload."""
        clips = [
            Clip(one.start_s, self.audio(rng, one.name), one.level_dba, one.seconds or None) for one in heard
        ]
        log_mel, levels, loudest_ms = minute_sound(rng, clips)
        return pb.SoundPayload(log_mel=log_mel.tobytes(), levels=levels.tobytes(), loudest_ms=loudest_ms)
