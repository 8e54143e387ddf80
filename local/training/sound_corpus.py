"""Which recordings of sound train, and which are kept for judging."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from local import recordings
from local.recordings import SoundRecording

ESC_TEST_FOLD: Final = 5


class Corpus(NamedTuple):
    """Recordings by their part in the work."""

    train: list[SoundRecording]
    test_esc: list[SoundRecording]
    test_house: list[SoundRecording]
    sesa: list[SoundRecording]


def corpus(folder: Path | None) -> Corpus:
    """ESC-10's folds 1 to 3 and every other file of household_cc train; SESA never does."""
    found = recordings.sounds(folder)
    esc = [r for r in found if r.corpus == "esc10" and r.trainable]
    house = [r for r in found if r.corpus == "household_cc" and r.trainable]
    return Corpus(
        [*(r for r in esc if r.fold != ESC_TEST_FOLD), *house[0::2]],
        [r for r in esc if r.fold == ESC_TEST_FOLD],
        house[1::2],
        [r for r in found if r.corpus == "sesa"],
    )
