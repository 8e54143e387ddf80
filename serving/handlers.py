"""Beam model handlers: what `RunInference` needs to score readings with the LiteRT models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import ModelHandler
from numpy.typing import NDArray

from serving import cards
from serving.interpreter import LiteRtModel


class LabelScores(NamedTuple):
    """What a model says of one reading.

    Attributes:
        label: The most probable class, "" when the score is absent.
        score: Its probability in [0, 1], 0 when absent.
        labels: Every class, in the model's order.
        probabilities: One for each label; empty: the output was not finite and says nothing.
        model_version: "sound-1".
    """

    label: str
    score: float
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    model_version: str


class LiteRtModelHandler(ModelHandler[NDArray[Any], list[LabelScores], LiteRtModel]):
    """Scores blocks of model inputs (schemas.features.model_inputs) of one family.

    An element is a block [n, *input_shape], n up to `serving.interpreter.MAX_BATCH`, and a batch is
    one block: the stage before has made it already, and Beam's batching of single readings costs as
    much as the models do. The model is loaded once a process: RunInference keeps it in Beam's shared
    handle, and `LiteRtModel` gives each thread an interpreter of its own.

    Args:
        family: "sound", "motion", "air" or "contact".
        card_path: A model card; None takes the newest of the family from the package.
    """

    def __init__(self, family: str, card_path: str | None = None) -> None:
        super().__init__()
        self._family = family
        self._card_path = card_path

    def load_model(self) -> LiteRtModel:
        """Verified weights.

        Raises:
            ModelRefused: The card or its weights are missing, corrupt or of another family.
        """
        path = Path(self._card_path) if self._card_path else cards.find(self._family)
        card, weights = cards.load(path)
        if card.family != self._family:
            raise cards.ModelRefused(f"{path.name} is of family {card.family}, wanted {self._family}")
        return LiteRtModel(card, weights)

    def run_inference(
        self,
        batch: Sequence[NDArray[Any]],
        model: LiteRtModel,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterable[list[LabelScores]]:
        """Blocks → the scores of each, in order. An output that is not finite becomes an absent score."""
        del inference_args  # the models take none
        return [label_scores(model, block) for block in batch]

    def update_model_path(self, model_path: str | None = None) -> None:
        """Beam's hook for a new model while a job runs."""
        self._card_path = model_path or self._card_path

    def get_num_bytes(self, batch: Sequence[NDArray[Any]]) -> int:
        """Bytes of the inputs."""
        return sum(block.nbytes for block in batch)

    def get_metrics_namespace(self) -> str:
        """Namespace of RunInference's own metrics."""
        return f"score_{self._family}"

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """One block at a time (no `max_batch_duration_secs`: that would need state)."""
        return {"min_batch_size": 1, "max_batch_size": 1}


def label_scores(model: LiteRtModel, batch: NDArray[Any]) -> list[LabelScores]:
    """A batch of inputs → scores in order; also what a plain loop without Beam calls."""
    card = model.card
    rows = model.probabilities(batch)
    found = []
    for row, top in zip(rows.tolist(), rows.argmax(axis=1).tolist(), strict=True):
        if all(map(math.isfinite, row)):
            found.append(
                LabelScores(card.classes[top], row[top], card.classes, tuple(row), card.model_version)
            )
        else:
            Metrics.counter(f"score_{card.family}", "absent_scores").inc(1)
            found.append(LabelScores("", 0.0, card.classes, (), card.model_version))
    return found
