"""ScoreReadings: AcceptedReading → Score, by RunInference, in the stage that read the payload.

Nothing is shuffled: readings of a family form blocks within the bundle (no `max_batch_duration_secs`,
which would key and hold the payloads in state); features and models work on whole blocks. A model that
raises costs the scores of that block, one that answers with something that is no probability costs
that score; both are counted, the reading itself is archived already.

A reading that its model failed is passed on as unscored: the home is then watched by rules alone, and
its status says so. What a large model should look at again is selected here (transforms/score_closely.py);
a version in the shadow sees the same blocks, and what it says goes to the warehouse alone.

A device that sends no waveform (a plain Zigbee contact) is not asked of a model: its own verdict
becomes the score, with `model_version` "device", so that no dashboard mistakes it for a model's. A
sound sensor that sends levels only has no verdict: its score has an empty label and its quantities. A
reading may come as features (adaptive uplink): the models cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils import shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.features import input_shape, model_inputs
from schemas.live_features import model_input_of, quantities, summary_of
from schemas.models import LARGE_FAMILIES, UNSCORED
from schemas.readings import READING_KINDS
from transforms.elements import AcceptedReading, Score
from transforms.model_score import Verdict, model_score
from transforms.score_closely import selects

FAMILIES: Final = tuple(READING_KINDS.values())
DEVICE: Final = "device"
BLOCK: Final = 64  # readings that features and model take at once
_SELECTED, _UNSCORED = "selected", "unscored"

# What a device without a waveform can say. Not "person": a bare PIR cannot tell one from a pet.
DEVICE_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "motion": ("nobody", "occupied"),
    "contact": ("rest", "open_close"),
}


def device_score(blank: Score) -> Score:
    """The score of a reading without a waveform: what its device says (second of its quantities)."""
    labels = DEVICE_LABELS.get(blank.family, ())
    if not labels:
        return blank._replace(model_version=DEVICE)
    active = blank.quantities[1] > 0
    return blank._replace(
        label=labels[active],
        score=1.0,
        labels=list(labels),
        probabilities=[float(not active), float(active)],
        model_version=DEVICE,
    )


class ScoredReadings(NamedTuple):
    """Outputs of ScoreReadings.

    Attributes:
        scores: What models and devices say.
        unscored: Readings whose model failed, as Scores without a verdict, `model_version` "unscored".
        selected: (score, what the model saw) of readings that a large model should look at again.
        shadows: What the versions in the shadow say of the same readings; None: nobody is asked.
    """

    scores: PCollection[Score]
    unscored: PCollection[Score]
    selected: PCollection[tuple[Score, Any]]
    shadows: PCollection[Score] | None


class ScoreReadings(beam.PTransform):
    """PCollection[AcceptedReading] → `ScoredReadings`.

    Attributes:
        handlers: One for each of `FAMILIES`; takes blocks of what `schemas.features.model_inputs` makes
            of the family and yields a list of `Verdict`s of each (serving.handlers.ReadingModelHandler).
        shadows: As `handlers`, of the versions in the shadow; a family without one is left out.

    Raises:
        ValueError: A family has no handler.
    """

    def __init__(
        self, handlers: Mapping[str, ModelHandler], shadows: Mapping[str, ModelHandler] | None = None
    ) -> None:
        super().__init__()
        if missing := sorted(set(FAMILIES) - set(handlers)):
            raise ValueError(f"no model handler for {missing}, wanted one for each of {sorted(FAMILIES)}")
        self.handlers = dict(handlers)
        self.shadows = dict(shadows or {})

    def expand(self, readings):  # type: ignore[no-untyped-def]
        prepared = readings | "PrepareReadings" >> (
            beam.ParDo(_PrepareReadings())
            .with_output_types(Score, **dict.fromkeys(FAMILIES, tuple[Any, Any]))
            .with_outputs(*FAMILIES, main=DEVICE)
        )
        scores, unscored, selected = [prepared[DEVICE]], [], []
        for family in FAMILIES:
            name = family.capitalize()
            verdicts, failures = (
                prepared[family]
                | f"Score{name}"
                >> RunInference(KeyedModelHandler(self.handlers[family])).with_exception_handling()
            )
            read = verdicts | f"Read{name}Scores" >> (
                beam.ParDo(_ReadScores(family))
                .with_output_types(Score, unscored=Score, selected=tuple[Score, Any])
                .with_outputs(_UNSCORED, _SELECTED, main="scores")
            )
            failed = failures.failed_inferences | f"Count{name}Failures" >> beam.ParDo(_CountFailures(family))
            scores.append(read.scores)
            unscored += [read.unscored, failed]
            if family in LARGE_FAMILIES:
                selected.append(read.selected)
        return ScoredReadings(
            tuple(scores) | "JoinScores" >> beam.Flatten(),
            tuple(unscored) | "JoinUnscored" >> beam.Flatten(),
            tuple(selected) | "JoinSelected" >> beam.Flatten(),
            self._shadowed(prepared),
        )

    def _shadowed(self, prepared: Any) -> PCollection[Score] | None:
        if not self.shadows:
            return None
        blocks = tuple(prepared[family] for family in FAMILIES if family in self.shadows)
        return (
            blocks
            | "JoinBlocks" >> beam.Flatten()
            | "ScoreShadows" >> beam.ParDo(_ScoreShadows(self.shadows))
        )


class Block(NamedTuple):
    """Readings of one family, made ready for its model.

    Attributes:
        device: Scores of those without a waveform, by what their device says.
        blanks: Scores without a verdict of the others. inputs: what the model sees of them, [n, …].
        unscorable: Readings that features refuse.
    """

    device: list[Score]
    blanks: list[Score]
    inputs: NDArray
    unscorable: int


def prepare(accepted: Sequence[AcceptedReading]) -> Block:
    """Accepted readings of one family, at least one → a block; a bad one spoils no other."""
    whole = [element for element in accepted if not element.features]
    light = [element for element in accepted if element.features]
    if whole and light:
        return _joined([prepare(whole), _prepare_features(light)])
    if light:
        return _prepare_features(light)
    family = accepted[0].family
    readings = [pb.Reading.FromString(element.reading) for element in accepted]
    try:
        places, inputs = model_inputs(family, readings)
        scores = [
            _blank(element, read, quantities(family, read))
            for element, read in zip(accepted, readings, strict=True)
        ]
    except BadInput:
        # DecodeBatches has checked them: only features of a later version can refuse one here.
        if len(accepted) == 1:
            return Block([], [], np.zeros((0, *input_shape(family))), 1)
        return _joined([prepare([element]) for element in accepted])
    modelled = set(places)
    device = [device_score(score) for place, score in enumerate(scores) if place not in modelled]
    return Block(device, [scores[place] for place in places], inputs, 0)


def _prepare_features(accepted: Sequence[AcceptedReading]) -> Block:
    """Readings that came as features: the models see what the gateway computed."""
    device, blanks, inputs = [], [], []
    for element in accepted:
        features = pb.Features.FromString(element.features)
        score, seen = _blank(element, features, summary_of(features)), model_input_of(features)
        if seen is None:
            device.append(device_score(score))
        else:
            blanks.append(score)
            inputs.append(seen)
    nothing = np.zeros((0, *input_shape(accepted[0].family)))
    return Block(device, blanks, np.stack(inputs) if inputs else nothing, 0)


def _joined(blocks: Sequence[Block]) -> Block:
    """Blocks of one family, at least one → one block."""
    return Block(
        [score for block in blocks for score in block.device],
        [score for block in blocks for score in block.blanks],
        np.concatenate([block.inputs for block in blocks if block.blanks] or [blocks[0].inputs]),
        sum(block.unscorable for block in blocks),
    )


def _blank(element: AcceptedReading, reading: pb.Reading | pb.Features, summary: list[float]) -> Score:
    """A reading's score without a verdict."""
    return Score(
        home_id=element.home_id,
        gateway_id=element.gateway_id,
        batch_id=element.batch_id,
        reading_id=reading.reading_id.hex(),
        sensor_id=reading.sensor_id,
        room=reading.room,
        family=element.family,
        minute_us=reading.minute_us,
        publish_us=element.publish_us,
        arming_mode=element.arming_mode,
        label="",
        score=0.0,
        labels=[],
        probabilities=[],
        quantities=summary,
        model_version="",
    )


class _PrepareReadings(beam.DoFn):
    """AcceptedReading → blocks tagged by family (blank Scores, model inputs), and the devices' Scores."""

    def __init__(self) -> None:
        self._in = Metrics.counter("ScoreReadings", "readings_in")
        self._device = Metrics.counter("ScoreReadings", "scores_device")
        self._unscorable = Metrics.counter("ScoreReadings", "readings_unscorable")

    def start_bundle(self) -> None:
        self._waiting: dict[str, list[AcceptedReading]] = {family: [] for family in FAMILIES}

    def process(self, element: AcceptedReading) -> Iterable[Any]:
        waiting = self._waiting[element.family]
        waiting.append(element)
        return self._flush(element.family) if len(waiting) == BLOCK else ()

    def finish_bundle(self) -> Iterator[Any]:
        for family, waiting in self._waiting.items():
            if waiting:
                yield from self._flush(family)

    def _flush(self, family: str) -> Iterator[Any]:
        readings, self._waiting[family] = self._waiting[family], []
        block = prepare(readings)
        newest = Timestamp(micros=max(element.publish_us for element in readings))
        for score in block.device:
            yield WindowedValue(score, newest, (GlobalWindow(),))
        if block.blanks:
            key = (tuple(block.blanks), block.inputs if family in LARGE_FAMILIES else None)
            held = WindowedValue((key, block.inputs), newest, (GlobalWindow(),))
            yield beam.pvalue.TaggedOutput(family, held)
        self._in.inc(len(readings))
        self._device.inc(len(block.device))
        self._unscorable.inc(block.unscorable)


class _ReadScores(beam.DoFn):
    """((blank Scores, inputs), verdicts) → Scores; tagged those without a verdict, and the selected."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._out = Metrics.counter("ScoreReadings", f"scores_{family}")
        self._absent = Metrics.counter("ScoreReadings", f"scores_absent_{family}")
        self._selected = Metrics.counter("ScoreReadings", f"readings_selected_{family}")

    def process(self, element: tuple[Any, Sequence[Verdict]]) -> Iterator[Any]:
        (blanks, inputs), verdicts = element
        absent = selected = 0
        for place, (blank, verdict) in enumerate(zip(blanks, verdicts, strict=True)):
            score = model_score(blank, verdict)
            if score is None:
                absent += 1
                yield beam.pvalue.TaggedOutput(_UNSCORED, blank._replace(model_version=UNSCORED))
                continue
            yield score
            if inputs is not None and selects(score.family, score.labels, score.probabilities):
                selected += 1
                yield beam.pvalue.TaggedOutput(_SELECTED, (score, inputs[place]))
        self._out.inc(len(blanks) - absent)
        self._absent.inc(absent)
        self._selected.inc(selected)


@beam.typehints.with_output_types(Score)
class _CountFailures(beam.DoFn):
    """(failed blocks, error) → their readings as unscored, counted."""

    def __init__(self, family: str) -> None:
        self._failed = Metrics.counter("ScoreReadings", f"scores_failed_{family}")

    def process(self, element: tuple[Sequence[Any], Any]) -> list[Score]:
        batch, _ = element
        failed = [blank._replace(model_version=UNSCORED) for (blanks, _), _ in batch for blank in blanks]
        self._failed.inc(len(failed))
        return failed


@beam.typehints.with_output_types(Score)
class _ScoreShadows(beam.DoFn):
    """((blank Scores, …), inputs) → Scores by the version in the shadow, none where there is none.

    Not RunInference: mostly there is no such version, and each of its steps costs a small bundle dearly.
    """

    def __init__(self, handlers: Mapping[str, ModelHandler]) -> None:
        self._handlers = dict(handlers)
        self._held = {family: shared.Shared() for family in handlers}
        self._out = Metrics.counter("ScoreReadings", "scores_shadow")
        self._failed = Metrics.counter("ScoreReadings", "scores_shadow_failed")

    def setup(self) -> None:
        self._models = {
            family: self._held[family].acquire(handler.load_model)
            for family, handler in self._handlers.items()
        }

    def process(self, element: tuple[Any, NDArray]) -> Iterable[Score]:
        (blanks, _), inputs = element
        family = blanks[0].family
        try:
            (verdicts,) = self._handlers[family].run_inference([inputs], self._models[family])
        except (RuntimeError, ValueError):  # what the runtimes raise
            self._failed.inc(len(blanks))
            return ()
        said = (model_score(blank, verdict) for blank, verdict in zip(blanks, verdicts, strict=True))
        scores = [score for score in said if score is not None]
        self._out.inc(len(scores))
        return scores
