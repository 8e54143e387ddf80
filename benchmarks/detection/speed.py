"""Scores per second and core, by family: the runtime, a bare loop over it, and the same through Beam.

CPU time of this process, so other load on the machine counts little. The bare loop is the product's
own functions on blocks (parse, features, model, score); through Beam it is `ScoreReadings` on an
in-process runner, less what the same runner takes to hand over the same readings and do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.detection.page import table
from benchmarks.recorded import render
from local.simulator.scenarios import QUIET
from pipelines.models import model_handlers
from schemas.readings import MINUTE_US, READING_KINDS
from serving import cards
from serving.handlers import label_scores
from serving.interpreter import MAX_BATCH, LoadedModel, open_card
from transforms.elements import AcceptedReading
from transforms.model_score import model_score
from transforms.score_readings import BLOCK, FAMILIES, ScoreReadings, prepare

READINGS: Final = 2_048  # of each family
RUNS: Final = 3  # the median counts
_START_US: Final = 1_763_985_600_000_000
_HOMES, _MINUTES = 4, 8


def measure() -> dict[str, Any]:
    """Each family alone, then all of a home's ten readings."""
    handlers = model_handlers().small
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
                "beam_per_s": _through_beam(some, handlers),
            }
        )
    return {"rows": rows, "readings": READINGS, "runs": RUNS, "figures": []}


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Scores per second and core."""
    rows = [
        [
            row["model"],
            *(f"{row[key]:,.0f}" for key in ("runtime_per_s", "loop_per_s", "beam_per_s")),
            f"{row['beam_per_s'] / row['loop_per_s']:.2f}",
        ]
        for row in found["rows"]
    ]
    head = ["model", "runtime, blocks of 64", "bare loop with features", "through `RunInference`"]
    head.append("beside the loop")
    return {"scores": table(head, rows)}


def _readings() -> dict[str, list[AcceptedReading]]:
    found: dict[str, list[AcceptedReading]] = {family: [] for family in FAMILIES}
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


def _runtime(model: LoadedModel, block: np.ndarray) -> None:
    for _ in range(READINGS // MAX_BATCH):
        model.probabilities(block)


def _loop(model: LoadedModel, readings: Sequence[AcceptedReading]) -> None:
    for first in range(0, len(readings), BLOCK):
        block = prepare(readings[first : first + BLOCK])
        verdicts = label_scores(model, block.inputs)
        for blank, verdict in zip(block.blanks, verdicts, strict=True):
            model_score(blank, verdict)


def _per_second(work: Callable[[], None]) -> float:
    work()  # interpreters are planned on first use
    return READINGS / _median(work)


def _through_beam(readings: list[AcceptedReading], handlers: Mapping[str, ModelHandler]) -> float:
    _GIVEN[:] = readings
    scoring = _median(partial(_run, ScoreReadings(handlers)))
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
