"""Beam model handlers: what `RunInference` needs to score readings with the models of a source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import ModelHandler
from numpy.typing import NDArray

from serving.channels import State
from serving.interpreter import LoadedModel
from serving.live import PACKAGED, LiveModel, ModelSource

MAX_CLOSE_BATCH: Final = 32  # benchmarks/models.py: a larger one gains nothing on a CPU


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


NOTHING: Final = LabelScores("", 0.0, (), (), "")


class ReadingModelHandler(ModelHandler[NDArray[Any], list[LabelScores], LiveModel]):
    """Scores blocks of model inputs (schemas.features.model_inputs) of one family.

    An element is a block [n, *input_shape], n up to `serving.interpreter.MAX_BATCH`, and a batch is
    one block: the stage before has made it already, and Beam's batching of single readings costs as
    much as the models do. The model is loaded once a process: RunInference keeps it in Beam's shared
    handle, and `LiteRtModel` gives each thread an interpreter of its own.

    Args:
        family: "sound", "motion", "air" or "contact".
        state: "fleet", or "shadow" for the version that is watched; where there is none every verdict
            is `NOTHING`.
    """

    def __init__(self, family: str, source: ModelSource = PACKAGED, state: State = "fleet") -> None:
        super().__init__()
        self._family = family
        self._source = source
        self._state: State = state

    def load_model(self) -> LiveModel:
        """The family's model, which follows the registry from then on.

        Raises:
            ModelRefused: Neither registry nor folder has one that can be served.
        """
        return LiveModel(self._source, self._family, "small", self._state)

    def run_inference(
        self,
        batch: Sequence[NDArray[Any]],
        model: LiveModel,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterable[list[LabelScores]]:
        """Blocks → the scores of each, in order. An output that is not finite becomes an absent score."""
        del inference_args  # the models take none
        loaded = _count_and_take(model)
        return [label_scores(loaded, block) if loaded else [NOTHING] * len(block) for block in batch]

    def get_num_bytes(self, batch: Sequence[NDArray[Any]]) -> int:
        """Bytes of the inputs."""
        return sum(block.nbytes for block in batch)

    def get_metrics_namespace(self) -> str:
        """Namespace of RunInference's own metrics."""
        return f"score_{self._family}" if self._state == "fleet" else f"{self._state}_{self._family}"

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """One block at a time (no `max_batch_duration_secs`: that would need state)."""
        return {"min_batch_size": 1, "max_batch_size": 1}


class CloseScores(NamedTuple):
    """What the large models say of one reading: the fleet's, and the one that is watched."""

    fleet: LabelScores
    shadow: LabelScores


@dataclass
class CloseModels:
    """The large models of a family in this process. `shadow`: None without a registry to say which."""

    fleet: LiveModel
    shadow: LiveModel | None


class CloseModelHandler(ModelHandler[NDArray[Any], CloseScores, CloseModels]):
    """Scores single inputs by the large model of a family, batched over time.

    A version in the shadow looks at the same batch: the readings that the small model selects have crossed
    to here already, and a step of its own would hold them in keyed state once more.

    Args:
        wait_s: How long a batch may wait for more; None: batches within a bundle, for bounded input.
    """

    def __init__(self, family: str, source: ModelSource = PACKAGED, wait_s: float | None = None) -> None:
        super().__init__()
        self._family = family
        self._source = source
        self._wait_s = wait_s

    def load_model(self) -> CloseModels:
        """The family's large models; where there is none every verdict is `NOTHING`."""
        shadow = LiveModel(self._source, self._family, "large", "shadow") if self._source.registry else None
        return CloseModels(LiveModel(self._source, self._family, "large"), shadow)

    def run_inference(
        self,
        batch: Sequence[NDArray[Any]],
        model: CloseModels,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterable[CloseScores]:
        """Inputs → verdicts, in order. A shadow that fails is counted and says nothing."""
        del inference_args
        inputs = np.stack(batch)
        nothing = [NOTHING] * len(batch)
        loaded = _count_and_take(model.fleet)
        fleet = label_scores(loaded, inputs) if loaded else nothing
        watched = _count_and_take(model.shadow) if model.shadow else None
        try:
            shadow = label_scores(watched, inputs) if watched else nothing
        except (RuntimeError, ValueError):  # what the runtimes raise
            Metrics.counter("ScoreClosely", "scores_shadow_failed").inc(len(batch))
            shadow = nothing
        return map(CloseScores, fleet, shadow)

    def get_num_bytes(self, batch: Sequence[NDArray[Any]]) -> int:
        """Bytes of the inputs."""
        return sum(one.nbytes for one in batch)

    def get_metrics_namespace(self) -> str:
        """Namespace of RunInference's own metrics."""
        return f"score_{self._family}_large"

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """With a wait: batches over bundles, in keyed state. The readings are few."""
        wait = {} if self._wait_s is None else {"max_batch_duration_secs": self._wait_s}
        return {"min_batch_size": 1, "max_batch_size": MAX_CLOSE_BATCH, **wait}


def label_scores(model: LoadedModel, batch: NDArray[Any]) -> list[LabelScores]:
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


def _count_and_take(model: LiveModel) -> LoadedModel | None:
    """The model to use for this batch; what its thread counted becomes metrics here, within a bundle."""
    for name, count in model.take_counts().items():
        Metrics.counter(f"models_{model.line}", name).inc(count)
    return model.current
