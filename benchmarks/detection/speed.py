"""Scores per second and core, by family and for the cascade: the runtime, a bare loop, and through Beam.

CPU time of this process, so other load on the machine counts little. The bare loop is the product's
own functions on blocks (parse, features, model, score); through Beam it is `ScoreReadings`, and for the
cascade `ScoreClosely` after it, on an in-process runner, less what the same runner takes to hand over the
same readings and do nothing. In the cascade's readings one in fifty holds a sound that it selects.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import apache_beam as beam
import numpy as np
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.detection.page import table
from benchmarks.recorded import render
from local.simulator.scenarios import QUIET
from local.training import sounds
from pipelines.models import Models, model_handlers
from schemas import hearthwatch_v1_pb2 as pb
from schemas.models import LARGE_FAMILIES, line_of
from schemas.readings import MINUTE_US, READING_KINDS
from serving import cards
from serving.handlers import MAX_CLOSE_BATCH, label_scores
from serving.interpreter import MAX_BATCH, LoadedModel, open_card
from transforms.elements import AcceptedReading, Score
from transforms.model_score import model_score
from transforms.score_closely import ScoreClosely, selects
from transforms.score_readings import BLOCK, FAMILIES, ScoreReadings, prepare

READINGS: Final = 8_192  # of each family
RUNS: Final = 3  # the median counts
_START_US: Final = 1_763_985_600_000_000
_HOMES, _MINUTES = 4, 8
CLOSELY_ONE_IN: Final = 50  # design.md: the cascade selects at most 2 %
_SEED: Final = 5


def measure() -> dict[str, Any]:
    """Each family alone, then sound through both steps of the cascade."""
    models = model_handlers()
    readings = _readings()
    rows = []
    for family in FAMILIES:
        model = open_card(cards.find(family))
        some = _repeated(readings[family])
        block = prepare(some[:BLOCK]).inputs
        rows.append(
            {
                "family": family,
                "model": model.card.model_version,
                "runtime_per_s": _per_second(partial(_runtime, model, block)),
                "loop_per_s": _per_second(partial(_loop, model, some)),
                "beam_per_s": _through_beam(some, ScoreReadings(models.small)),
            }
        )
    rows.append(_cascade(readings, models))
    versions = {row["family"]: row["model"] for row in rows}
    return {"models": versions, "rows": rows, "readings": READINGS, "runs": RUNS, "figures": []}


class Cascade(beam.PTransform):
    """Readings → what the small model says, and what the large one says of those that it selects."""

    def __init__(self, models: Models) -> None:
        super().__init__()
        self.models = models

    def expand(self, readings):  # type: ignore[no-untyped-def]
        read = readings | "ScoreReadings" >> ScoreReadings(self.models.small)
        close = read.selected | "ScoreClosely" >> ScoreClosely(self.models.large)
        return (read.scores, close.scores) | "JoinScores" >> beam.Flatten()


def _cascade(readings: Mapping[str, list[AcceptedReading]], models: Models) -> dict[str, Any]:
    (family,) = LARGE_FAMILIES
    small, large = (open_card(cards.find(family, tier=tier)) for tier in ("small", "large"))
    some = _with_hazards(_repeated(readings[family]), small)
    block = prepare(some[:BLOCK]).inputs
    return {
        "family": line_of(family, "large"),
        "model": large.card.model_version,
        "selected": sum(len(_selected(small, some[i : i + BLOCK])) for i in range(0, len(some), BLOCK)),
        "runtime_per_s": _per_second(partial(_runtime, large, block)),
        "loop_per_s": _per_second(partial(_close_loop, small, large, some)),
        "beam_per_s": _through_beam(some, Cascade(models)),
    }


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Scores per second and core; the cascade's row counts readings."""
    rows = [
        [
            _called(row, found["readings"]),
            *(f"{row[key]:,.0f}" for key in ("runtime_per_s", "loop_per_s", "beam_per_s")),
            f"{row['beam_per_s'] / row['loop_per_s']:.2f}",
        ]
        for row in found["rows"]
    ]
    head = ["model", "runtime, blocks of 64", "bare loop with features", "through `RunInference`"]
    head.append("beside the loop")
    return {"scores": table(head, rows)}


def _called(row: Mapping[str, Any], readings: int) -> str:
    """A row's model; the cascade's with how much of it saw the large one."""
    if "selected" not in row:
        return str(row["model"])
    return f"cascade to {row['model']}, {row['selected'] / readings:.1%} selected; runtime: the large alone"


def _readings() -> dict[str, list[AcceptedReading]]:
    found: dict[str, list[AcceptedReading]] = defaultdict(list)
    for number in range(1, _HOMES + 1):
        for minute in render(3, number, _MINUTES, _START_US, QUIET):
            for reading in minute.body.readings:
                family = READING_KINDS[reading.kind]
                found[family].append(
                    AcceptedReading(
                        home_id=f"home-{number}",
                        gateway_id=f"gw-{number}",
                        batch_id="batch",
                        epoch="00",
                        seq=1,
                        reading=reading.SerializeToString(),
                        family=family,
                        arming_mode="away",
                        publish_us=minute.minute_us + MINUTE_US,
                        lane="minutes",
                    )
                )
    return found


def _repeated(readings: Sequence[AcceptedReading]) -> list[AcceptedReading]:
    return [readings[i % len(readings)] for i in range(READINGS)]


def _with_hazards(readings: list[AcceptedReading], small: LoadedModel) -> list[AcceptedReading]:
    """One in `CLOSELY_ONE_IN` sounds like a smoke alarm that the small model selects."""
    rng = np.random.default_rng(_SEED)
    for place in range(0, len(readings), CLOSELY_ONE_IN):
        reading = pb.Reading.FromString(readings[place].reading)
        heard = readings[place]
        while not _selected(small, [heard]):
            reading.sound.log_mel = sounds.synthetic(rng, "smoke_alarm").tobytes()
            heard = heard._replace(reading=reading.SerializeToString())
        readings[place] = heard
    return readings


def _runtime(model: LoadedModel, block: np.ndarray) -> None:
    for _ in range(READINGS // MAX_BATCH):
        model.probabilities(block)


def _loop(model: LoadedModel, readings: Sequence[AcceptedReading]) -> None:
    for first in range(0, len(readings), BLOCK):
        block = prepare(readings[first : first + BLOCK])
        verdicts = label_scores(model, block.inputs)
        for blank, verdict in zip(block.blanks, verdicts, strict=True):
            model_score(blank, verdict)


def _selected(small: LoadedModel, readings: Sequence[AcceptedReading]) -> list[tuple[Score, np.ndarray]]:
    """A block scored by the small model → the scores and inputs that a large one should see."""
    block = prepare(readings)
    said = map(model_score, block.blanks, label_scores(small, block.inputs))
    return [
        (score, seen)
        for score, seen in zip(said, block.inputs, strict=True)
        if score and selects(score.family, score.labels, score.probabilities)
    ]


def _close_loop(small: LoadedModel, large: LoadedModel, readings: Sequence[AcceptedReading]) -> None:
    waiting: list[tuple[Score, np.ndarray]] = []
    for first in range(0, len(readings), BLOCK):
        waiting += _selected(small, readings[first : first + BLOCK])
    for first in range(0, len(waiting), MAX_CLOSE_BATCH):
        batch = waiting[first : first + MAX_CLOSE_BATCH]
        verdicts = label_scores(large, np.stack([seen for _, seen in batch]))
        for (score, _), verdict in zip(batch, verdicts, strict=True):
            model_score(score, verdict)


def _per_second(work: Callable[[], None]) -> float:
    work()  # interpreters are planned on first use
    return READINGS / _median(work)


def _through_beam(readings: list[AcceptedReading], scores: beam.PTransform) -> float:
    _GIVEN[:] = readings
    scoring = _median(partial(_run, scores))
    return READINGS / (scoring - _median(partial(_run, beam.Map(_nothing))))


def _run(transform: beam.PTransform) -> None:
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        given = pipeline | "Impulse" >> beam.Impulse()
        read = given | "Give" >> beam.FlatMap(_give).with_output_types(AcceptedReading)
        _ = read | "Measured" >> transform


# In process and pickled by reference: otherwise Beam would carry 40 MB in the graph.
_GIVEN: Final[list[AcceptedReading]] = []


def _give(_: bytes) -> list[AcceptedReading]:
    return _GIVEN


def _nothing(_: AcceptedReading) -> None:
    return None


def _median(work: Callable[[], None]) -> float:
    taken = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return float(np.median(taken))
