"""ScoreReadings: AcceptedReading → Score, by RunInference, in the stage that read the payload.

Nothing is shuffled: batches form within the bundle only (no `max_batch_duration_secs`, which would
key and hold the payloads in state). A model that raises costs the scores of that batch, one that
answers with something that is no probability costs that score; both are counted, the reading itself
is archived already.

A device that sends no waveform (a plain Zigbee contact) is not asked of a model: its own verdict
becomes the score, with `model_version` "device", so that no dashboard mistakes it for a model's. A
sound sensor that sends levels only has no verdict: its score has an empty label and its quantities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import apache_beam as beam
import numpy as np
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, ModelHandler, RunInference
from numpy.typing import NDArray

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.features import model_input
from schemas.readings import AIR_CHANNELS, READING_KINDS, air_samples, pir_waveform, sound_levels
from transforms.elements import AcceptedReading, Score

FAMILIES: Final = tuple(READING_KINDS.values())
DEVICE: Final = "device"

# What `Score.quantities` holds, by family; NaN is "no data". Energy: standard deviation of the PIR
# waveform in ADC counts. Contact: state at the end of the minute (0 or 1), flips during it.
SUMMARY_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "air": tuple(channel.name for channel in AIR_CHANNELS),
    "sound": ("max_dba", "mean_dba"),
    "motion": ("energy", "occupied"),
    "contact": ("open", "changes"),
}
# What a device without a waveform can say. Not "person": a bare PIR cannot tell one from a pet.
DEVICE_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "motion": ("nobody", "occupied"),
    "contact": ("rest", "open_close"),
}


class Verdict(Protocol):
    """What a model handler yields for each reading; no probabilities: it has nothing to say."""

    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def probabilities(self) -> Sequence[float]: ...
    @property
    def model_version(self) -> str: ...


def quantities(family: str, reading: pb.Reading) -> list[float]:
    """A valid reading → its small summaries, in the order of `SUMMARY_NAMES`.

    Raises:
        BadInput: A payload of the wrong size or range.
    """
    if family == "air":
        return air_samples(reading.air)[-1].tolist()
    if family == "sound":
        levels = sound_levels(reading.sound)
        return [float(levels.max()), float(levels.mean())] if levels.size else [math.nan, math.nan]
    if family == "motion":
        pir = pir_waveform(reading.motion)
        energy = math.nan if pir is None else float(np.std(pir))
        return [energy, float(reading.motion.occupied)]
    return [float(reading.contact.open), float(len(reading.contact.changes_ms))]


def device_score(blank: Score, reading: pb.Reading) -> Score:
    """The score of a reading without a waveform: what its device says."""
    labels = DEVICE_LABELS.get(blank.family, ())
    if not labels:
        return blank._replace(model_version=DEVICE)
    active = reading.motion.occupied if blank.family == "motion" else bool(reading.contact.changes_ms)
    return blank._replace(
        label=labels[active],
        score=1.0,
        labels=list(labels),
        probabilities=[float(not active), float(active)],
        model_version=DEVICE,
    )


def model_score(blank: Score, verdict: Verdict) -> Score | None:
    """The score that a model's verdict makes; None if it is no probability for each label."""
    probabilities = [float(p) for p in verdict.probabilities]
    if not probabilities or len(probabilities) != len(verdict.labels):
        return None
    if not all(0.0 <= p <= 1.0 for p in probabilities):  # also false for NaN
        return None
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    return blank._replace(
        label=verdict.labels[best],
        score=probabilities[best],
        labels=list(verdict.labels),
        probabilities=probabilities,
        model_version=verdict.model_version,
    )


class ScoreReadings(beam.PTransform):
    """PCollection[AcceptedReading] → PCollection[Score].

    Attributes:
        handlers: One for each of `FAMILIES`; takes what `schemas.features.model_input` makes of the
            family and yields `Verdict`s (serving.handlers.LiteRtModelHandler).

    Raises:
        ValueError: A family has no handler.
    """

    def __init__(self, handlers: Mapping[str, ModelHandler]) -> None:
        super().__init__()
        if missing := sorted(set(FAMILIES) - set(handlers)):
            raise ValueError(f"no model handler for {missing}, wanted one for each of {sorted(FAMILIES)}")
        self.handlers = dict(handlers)

    def expand(self, readings):  # type: ignore[no-untyped-def]
        prepared = readings | "PrepareReadings" >> (
            beam.ParDo(_PrepareReadings())
            .with_output_types(Score, **dict.fromkeys(FAMILIES, tuple[Score, Any]))
            .with_outputs(*FAMILIES, main=DEVICE)
        )
        scores = [prepared[DEVICE]]
        for family in FAMILIES:
            name = family.capitalize()
            verdicts, failures = (
                prepared[family]
                | f"Score{name}"
                >> RunInference(KeyedModelHandler(self.handlers[family])).with_exception_handling()
            )
            scores.append(verdicts | f"Read{name}Scores" >> beam.ParDo(_ReadScores(family)))
            _ = failures.failed_inferences | f"Count{name}Failures" >> beam.ParDo(_CountFailures(family))
        return tuple(scores) | "JoinScores" >> beam.Flatten()


class _PrepareReadings(beam.DoFn):
    """AcceptedReading → tagged by family (blank Score, model input), or the device's own Score."""

    def __init__(self) -> None:
        self._in = Metrics.counter("ScoreReadings", "readings_in")
        self._device = Metrics.counter("ScoreReadings", "scores_device")
        self._unscorable = Metrics.counter("ScoreReadings", "readings_unscorable")

    def process(self, element: AcceptedReading) -> Iterator[Any]:
        self._in.inc()
        try:
            blank, reading, features = prepare(element)
        except BadInput:
            # DecodeBatches has checked it: only features of a later version can refuse it here.
            self._unscorable.inc()
            return
        if features is None:
            self._device.inc()
            yield device_score(blank, reading)
        else:
            yield beam.pvalue.TaggedOutput(element.family, (blank, features))


def prepare(element: AcceptedReading) -> tuple[Score, pb.Reading, NDArray | None]:
    """A reading → its score without a verdict, itself parsed, and the model's input (None: no waveform).

    Raises:
        BadInput: The payload does not fit its family.
    """
    reading = pb.Reading.FromString(element.reading)
    features = model_input(element.family, reading)
    blank = Score(
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
        quantities=quantities(element.family, reading),
        model_version="",
    )
    return blank, reading, features


@beam.typehints.with_output_types(Score)
class _ReadScores(beam.DoFn):
    """(blank Score, verdict) → Score, nothing if the verdict says nothing."""

    def __init__(self, family: str) -> None:
        self._out = Metrics.counter("ScoreReadings", f"scores_{family}")
        self._absent = Metrics.counter("ScoreReadings", f"scores_absent_{family}")

    def process(self, element: tuple[Score, Verdict]) -> Iterable[Score]:
        score = model_score(*element)
        if score is None:
            self._absent.inc()
        else:
            self._out.inc()
            yield score


class _CountFailures(beam.DoFn):
    """(failed batch, error) → nothing but a count of the readings that go without a score."""

    def __init__(self, family: str) -> None:
        self._failed = Metrics.counter("ScoreReadings", f"scores_failed_{family}")

    def process(self, element: tuple[Sequence[Any], Any]) -> None:
        batch, _ = element
        self._failed.inc(len(batch))
