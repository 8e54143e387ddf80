"""What test_train_system runs where TFX is: several trainings in one process, since importing TFX costs most.

`python -m tests.pipelines.train_story WORK FLAGS…` prints one JSON object as its last line.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from pipelines import train
from tests.pipelines.training_rows import DAY_A, DAY_B


def run(*flags: str) -> dict[str, Any]:
    """One run of pipelines.train → its exit code and what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = train.main(list(flags))
    print(said.getvalue(), file=sys.stderr, flush=True)
    return {"code": code, "said": said.getvalue()}


def day(begin: Any) -> list[str]:
    """The flags of one day's span."""
    return [f"--from={begin:%Y-%m-%dT00}", f"--to={begin:%Y-%m-%dT23}"]


def main() -> None:
    """The story."""
    work, *common = sys.argv[1:]
    common.append(f"--work={work}")
    told = {
        "good": run(*common, *day(DAY_A), "--train-steps=400"),
        "examples": examples(work),
        "worse": run(*common, *day(DAY_A), "--train-steps=32"),
        "drifted": run(*common, *day(DAY_B)),
        "again": run(*common, *day(DAY_B)),
        "vertex": run(
            *common, *day(DAY_A), "--vertex-image=registry.example/train:1", f"--vertex-output={work}"
        ),
    }
    print(json.dumps(told))


def examples(work: str) -> dict[str, Any]:
    """Of the first run: reading_id → features as ExampleGen wrote them, and as Transform hands them on."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_transform as tft

    from schemas.features import FEATURE_NAMES

    names = FEATURE_NAMES["air"]
    spec: dict[str, Any] = {name: tf.io.FixedLenFeature([1], tf.float32) for name in names}
    spec["reading_id"] = tf.io.FixedLenFeature([], tf.string)
    (graph,) = Path(work).glob("artifacts/Transform/transform_graph/*")
    layer = tft.TFTransformOutput(str(graph)).transform_features_layer()
    found: dict[str, Any] = {}
    for split in ("train", "eval"):
        files = [
            str(path) for path in Path(work).glob(f"artifacts/BigQueryExampleGen/examples/*/Split-{split}/*")
        ]
        read = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
        parsed = tf.io.parse_example(read, spec)
        raw = np.concatenate([parsed[name].numpy() for name in names], axis=1)
        scaled = layer({name: parsed[name] for name in names})["x"].numpy()
        ids = [one.decode() for one in parsed["reading_id"].numpy()]
        found[split] = {
            "ids": ids,
            "raw": raw.astype(float).tolist(),
            "scaled": scaled.astype(float).tolist(),
        }
    return found


if __name__ == "__main__":
    main()
