"""ScoreClosely: what the small model selects → Score, by the family's large model.

The second step of the cascade. Nothing waits for it: the small model's score is on its way already, and
this one takes its place in the home's window when it comes. Readings are batched over bundles for at most
`WAIT_S` (Beam keeps them in keyed state so long, and sends them where the large model is: to a pool with a
GPU, if the job asks for one); bounded input is batched within its bundles. A large version in the shadow
looks at the same batches, and what it says goes to the warehouse alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.pvalue import PCollection, TaggedOutput

from schemas.models import LARGE_FAMILIES
from transforms.elements import Score
from transforms.model_score import CloseVerdict, model_score
from transforms.score_homes import VOICES

WAIT_S: Final = 0.2
# What the large models judge: all that has a voice in fusion. A reading goes there whose small model gives it
# together this probability: it speaks for an alarm, or is not sure that it does not (docs/detection.md).
WATCHED: Final = {
    family: tuple(label for voiced, label in VOICES if voiced == family) for family in LARGE_FAMILIES
}
SELECT_AT: Final = 0.15
MIN_RAM: Final = "8GB"
_SHADOWS: Final = "shadows"


def selects(family: str, labels: Sequence[str], probabilities: Sequence[float]) -> bool:
    """Should the large model look at what the small one said so of?

    >>> selects("sound", ["quiet", "smoke_alarm"], [0.8, 0.2]), selects("sound", ["quiet"], [0.3])
    (True, False)
    """
    watched = WATCHED.get(family, ())
    return sum(p for label, p in zip(labels, probabilities, strict=True) if label in watched) >= SELECT_AT


class ScoredClosely(NamedTuple):
    """Outputs of ScoreClosely.

    Attributes:
        scores: What the large model says; none where none serves.
        shadows: What the version in the shadow says of the same readings.
    """

    scores: PCollection[Score]
    shadows: PCollection[Score]


class ScoreClosely(beam.PTransform):
    """(small model's Score, model input) → `ScoredClosely`.

    Attributes:
        handler: Makes the handler, given how long a batch may wait for more, None: within its bundle; it
            yields a `CloseVerdict` of each input (serving.handlers.CloseModelHandler).
        accelerator: Dataflow's resource hint ("type:nvidia-l4;count:1;install-nvidia-driver"), "" for none.
    """

    def __init__(self, handler: Callable[[float | None], ModelHandler], accelerator: str = "") -> None:
        super().__init__()
        self.handler = handler
        self.accelerator = accelerator

    def expand(self, selected):  # type: ignore[no-untyped-def]
        handler: ModelHandler = KeyedModelHandler(self.handler(None if selected.is_bounded else WAIT_S))
        infer = RunInference(handler).with_exception_handling()
        if self.accelerator:
            infer = infer.with_resource_hints(accelerator=self.accelerator, min_ram=MIN_RAM)
        verdicts, failures = selected | "ScoreLarge" >> infer
        _ = failures.failed_inferences | "CountFailures" >> beam.ParDo(_CountFailures())
        read = verdicts | "ReadScores" >> (
            beam.ParDo(_ReadScores())
            .with_output_types(Score, shadows=Score)
            .with_outputs(_SHADOWS, main="scores")
        )
        return ScoredClosely(read.scores, read.shadows)


class _ReadScores(beam.DoFn):
    """(Score, verdict) → the verdict's Score; tagged the shadow's."""

    def __init__(self) -> None:
        self._out = Metrics.counter("ScoreClosely", "scores_out")
        self._absent = Metrics.counter("ScoreClosely", "scores_absent")
        self._shadow = Metrics.counter("ScoreClosely", "scores_shadow")

    def process(self, element: tuple[Score, CloseVerdict]) -> Iterator[Any]:
        small, verdict = element
        score = model_score(small, verdict.fleet)
        if score is None:  # no number, or no large model is configured
            self._absent.inc()
        else:
            self._out.inc()
            yield score
        watched = model_score(small, verdict.shadow)
        if watched is not None:
            self._shadow.inc()
            yield TaggedOutput(_SHADOWS, watched)


class _CountFailures(beam.DoFn):
    """(failed batch, error) → nothing but a count: the small model's scores stand."""

    def __init__(self) -> None:
        self._failed = Metrics.counter("ScoreClosely", "scores_failed")

    def process(self, element: tuple[Sequence[Any], Any]) -> None:
        self._failed.inc(len(element[0]))
