"""What the cascade's small sound model sends to the large one, of minutes and sounds that are no alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.detection.figures import Figure, proportion
from benchmarks.lives import SEED
from benchmarks.recorded import render
from local import recordings
from local.training import sounds
from schemas import hearthwatch_v1_pb2 as pb
from schemas.features import model_inputs
from schemas.readings import MINUTE_US
from serving.interpreter import open_card
from transforms.score_closely import selects
from transforms.score_homes import VOICES

HOMES: Final = (1, 2, 3)
MINUTES: Final = 120
ESC_TEST_FOLD: Final = 5
EVENING_US: Final = 1_772_388_000_000_000  # 2026-03-01T18:00Z: people are at home


def shares(card_path: Path) -> list[Figure]:
    """A sound model's card → the share that it selects, simulated and real apart."""
    model = open_card(card_path)

    def chosen(batch: Any) -> int:
        rows = model.probabilities(np.asarray(batch))
        return sum(selects("sound", model.card.classes, row) for row in rows.tolist())

    heard = [
        reading
        for home in HOMES
        for minute in render(SEED, home, MINUTES, EVENING_US // MINUTE_US * MINUTE_US)
        for reading in minute.body.readings
        if reading.kind == pb.SENSOR_KIND_SOUND
    ]
    _, quiet = model_inputs("sound", heard)
    figures = [
        proportion(
            "selected of ordinary minutes",
            chosen(quiet),
            len(quiet),
            "synthetic",
            f"{len(HOMES)} quiet simulated homes, {MINUTES} minutes of an evening",
        )
    ]
    ordinary = [
        recording
        for recording in recordings.sounds(recordings.recordings_folder())
        if _is_ordinary(recording)
    ]
    if ordinary:
        rng = np.random.default_rng(SEED)
        clips = [
            sounds.heard(rng, sounds.loudest(recording.audio()), "household", augment=False)
            for recording in ordinary
        ]
        figures.append(
            proportion(
                "selected of ordinary sounds",
                chosen(clips),
                len(clips),
                "real",
                "ESC-10 fold 5 without fire, SESA casual",
                note="single sounds at one level, back to back: a home's minutes are mostly quiet",
            )
        )
    return figures


def _is_ordinary(recording: recordings.SoundRecording) -> bool:
    """No class of it has a voice, and no model was trained on it (the README's split)."""
    if recording.corpus == "esc10":
        return recording.fold == ESC_TEST_FOLD and ("sound", sounds.class_of(recording)) not in VOICES
    return recording.corpus == "sesa" and recording.label == "casual"
