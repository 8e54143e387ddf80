"""The cloud's path for air, a minute at a time: features, the air model, the fusion of a home's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from local.recordings import FireCurve, RoomMinutes
from local.signals.air import Activity, RoomAir
from local.training.examples import room_minutes
from schemas.events import AlarmKind
from schemas.features import air_features
from schemas.readings import MINUTE_US
from serving import cards
from serving.handlers import LabelScores, label_scores
from serving.interpreter import open_card
from transforms.score_homes import HeldScore, HomeWindow, fuse

WINDOW_MINUTES: Final = 5
MOST_MINUTES: Final = 12
_FIRE: Final = (AlarmKind.FIRE, AlarmKind.CO)


class MinutePath:
    """The newest air model of the package behind the product's own fusion."""

    def __init__(self) -> None:
        self._model = open_card(cards.find("air"))

    @property
    def version(self) -> str:
        """Of the model."""
        return self._model.card.model_version

    def scores(self, minutes: Sequence[NDArray[np.float32]]) -> list[LabelScores]:
        """Minutes float32[60, 6] → what the model says of each."""
        return label_scores(self._model, air_features(np.stack(minutes)))

    def fire_s(self, curves: Sequence[FireCurve], phase: int, seed: int) -> float | None:
        """Seconds from ignition until the fused score of the house raises fire or CO.

        Each place is a simulated room that the recorded fire is played into; it fills what NIST did not
        measure. A minute is scored when it is over; what transport takes comes on top.

        Args:
            phase: Second of the minute in which the fire begins.
        """
        rng = np.random.default_rng([seed, phase])
        longest = max(len(curve.air) for curve in curves)
        minutes = min((phase + longest) // 60, MOST_MINUTES)
        held: list[HeldScore] = []
        rooms = []
        for curve in curves:
            air = RoomAir(rng, rng.uniform(15, 70))
            air.settle(Activity(int(rng.integers(0, 3))), int(rng.uniform(0, 7200)))
            air.play(np.concatenate([np.repeat(curve.air[:1], phase, axis=0), curve.air]))
            rooms.append((curve.room, air, Activity(int(rng.integers(0, 3)))))
        for minute in range(minutes):
            seen = [air.minute(activity) for _, air, activity in rooms]
            held += [
                _held(room, minute, score)
                for (room, _, _), score in zip(rooms, self.scores(seen), strict=True)
            ]
            if _raised(held, minute):
                return float((minute + 1) * 60 - phase)
        return None

    def ordinary(self, room: RoomMinutes, seed: int = 1) -> dict[str, Any]:
        """A recorded room as a home of one air sensor → alarms, and minutes that the model calls fire.

        Windows that raise one after the other are one alarm, as they are in an episode.
        """
        rng = np.random.default_rng(seed)
        held: list[HeldScore] = []
        fused = model = 0
        raised_before = False
        for minute, samples in room_minutes(rng, room):
            (score,) = self.scores([samples])
            model += score.label == "fire"
            held = [h for h in held if h.minute_us > (minute - WINDOW_MINUTES) * MINUTE_US]
            held.append(_held("", minute, score))
            raised = _raised(held, minute)
            fused += raised and not raised_before
            raised_before = raised
        return {"fused": fused, "model": model}


def _held(room: str, minute: int, score: LabelScores) -> HeldScore:
    labels, probabilities = list(score.labels), list(score.probabilities)
    return HeldScore(
        f"air-{room}", room, "air", minute * MINUTE_US, "disarmed", labels, probabilities, score.model_version
    )


def _raised(held: Sequence[HeldScore], minute: int) -> bool:
    end_us = (minute + 1) * MINUTE_US
    last = [h for h in held if h.minute_us >= end_us - WINDOW_MINUTES * MINUTE_US]
    return fuse(HomeWindow("home", "gateway", end_us, end_us, "disarmed", last)).kind in _FIRE
