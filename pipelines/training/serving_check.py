"""ServingCheck: the trained model, as it will be served, in the very `RunInference` handler that serves it.

It converts the model, writes card and weights, scores the evaluation split through the handler in a Beam
pipeline, and compares with the SavedModel: the same probabilities, in time. TFX's InfraValidator would
start a TensorFlow Serving container, which is not what scores our readings.
"""

import hashlib
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import RunInference
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from numpy.typing import NDArray
from tfx import v1 as tfx
from tfx.dsl.component.experimental.decorators import component

from pipelines.training import figures
from pipelines.training.convert import Trained
from schemas.features import FEATURE_NAMES, FEATURE_VERSION
from schemas.labels import CLASSES
from serving.cards import MAX_PARITY, ModelCard
from serving.handlers import ReadingModelHandler
from serving.interpreter import MAX_BATCH
from serving.live import ModelSource

MAX_MSEC_A_BLOCK = 20.0  # of MAX_BATCH readings, median; a core that is shared takes a tenth of it
DRAFT = "0"  # the registry gives the version its number
CARD, WEIGHTS = "card.json", "weights.tflite"


class ServingRefused(Exception):
    """As served, the model does not say what was trained, or not in time."""


@component
def ServingCheck(
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    candidate: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Model],
    blessing: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.InfraBlessing],
    family: tfx.dsl.components.Parameter[str],
    facts: tfx.dsl.components.Parameter[str],  # JSON: seed, span, origin of the fleet, lineage
) -> None:
    """Writes card and weights to `candidate`, or raises ServingRefused."""
    fileio = tfx.dsl.io.fileio
    trained = Trained(f"{model.uri}/Format-Serving")
    weights = trained.to_litert()
    seen = {split: figures.read_split(examples.uri, split, family) for split in ("train", "eval")}
    expected = trained.probabilities(seen["eval"].features)
    card = make_card(family, weights, seen, expected, json.loads(facts))
    got, msec = serve(card, weights, seen["eval"].features)
    parity = float(np.abs(got - expected).max())
    print(f"ServingCheck: parity {parity:.1e}, {msec:.2f} ms a block of {MAX_BATCH}", flush=True)
    if not parity <= MAX_PARITY:  # also when it is NaN
        raise ServingRefused(f"served probabilities differ by {parity:g}, limit {MAX_PARITY:g}")
    if msec > MAX_MSEC_A_BLOCK:
        raise ServingRefused(f"a block takes {msec:.1f} ms, limit {MAX_MSEC_A_BLOCK:g}")
    card = ModelCard.model_validate({**card.model_dump(), "parity": parity})
    fileio.makedirs(candidate.uri)
    for name, data in ((CARD, card.model_dump_json(indent=1).encode()), (WEIGHTS, weights)):
        with fileio.open(f"{candidate.uri}/{name}", "wb") as file:
            file.write(data)
    blessing.set_int_custom_property("blessed", 1)


def serve(
    card: ModelCard, weights: bytes, features: NDArray[np.float32]
) -> tuple[NDArray[np.float32], float]:
    """Card, weights, float32[n, f] → float32[n, classes] from the handler, and its median ms a block."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{card.model_version}.json").write_text(card.model_dump_json())
        (Path(folder) / card.weights).write_bytes(weights)
        out = str(Path(folder) / "scores")
        blocks = [features[first : first + MAX_BATCH] for first in range(0, len(features), MAX_BATCH)]
        with beam.Pipeline(FnApiRunner()) as pipeline:
            _ = (
                pipeline
                | "Blocks" >> beam.Create(list(enumerate(blocks)))
                | "Score" >> RunInference(_Numbered(card.family, ModelSource(folder)))
                | "Lines" >> beam.Map(json.dumps)
                | "Keep" >> beam.io.WriteToText(out, shard_name_template="")
            )
        lines = sorted(map(json.loads, Path(out).read_text().splitlines()))
    rows = [row for _, _, scores in lines for row in scores]
    return np.array(rows, np.float32), float(np.median([msec for _, msec, _ in lines]))


class _Numbered(ReadingModelHandler):
    """The handler, timed; blocks keep their number."""

    def run_inference(self, batch, model, inference_args=None):  # type: ignore[no-untyped-def]
        nothing = [math.nan] * len(model.current.card.classes)  # the output was not finite
        for number, block in batch:
            began = time.perf_counter()
            (scores,) = super().run_inference([block], model, inference_args)
            msec = (time.perf_counter() - began) * 1e3
            yield number, msec, [score.probabilities or nothing for score in scores]

    def get_num_bytes(self, batch):  # type: ignore[no-untyped-def]
        return sum(block.nbytes for _, block in batch)


def make_card(
    family: str,
    weights: bytes,
    seen: dict[str, figures.Seen],
    probabilities: NDArray[np.float32],
    facts: dict[str, Any],
) -> ModelCard:
    """What the model is and how well it does on homes it never saw."""
    uses: tuple[tuple[figures.Use, str], ...] = (("trained", "train"), ("tested", "eval"))
    return ModelCard(
        family=family,  # type: ignore[arg-type]  # checked when the model is made
        version=DRAFT,
        title=f"{family.capitalize()} of a minute, from the training table",
        weights=f"{family}-{DRAFT}.tflite",
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        weights_bytes=len(weights),
        feature_version=FEATURE_VERSION,
        input_shape=(len(FEATURE_NAMES[family]),),
        input_dtype="float32",
        classes=CLASSES[family],
        parity=0.0,
        seed=facts["seed"],
        split="by home or recording: a hash of home_id, three quarters trained, one tested",
        data=tuple(
            figures.source(use, told, facts["fleet"])
            for use, split in uses
            for told in figures.by_corpus(seen[split])
        ),
        figures=tuple(
            figures.measured(seen["eval"], probabilities.argmax(axis=1), CLASSES[family], facts["fleet"])
        ),
        intended_use="Evidence for fusion in an alarm system; never the only ground for a dispatch.",
        limits=(
            "labels of the fleet are close-out codes and speak of minutes, not of what a sensor saw",
            "minutes drawn by chance count as normal with a small weight; a hazard missed there is wrong",
        ),
        data_from_us=facts["from_us"],
        data_to_us=facts["to_us"],
        lineage=facts["lineage"],
    )
