"""The training pipeline where TFX is: it publishes, it refuses what is worse, it stops at drift, it compiles.

On an older system TFX runs in a Debian root of its own (tests/local/tfx.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from local import emulators, install, models, parts, tfx_root
from local.config import Settings, isolated
from schemas.features import FEATURE_NAMES
from schemas.labels import CLASSES
from schemas.warehouse import TRAINING_READINGS
from serving.interpreter import open_model
from serving.live import kept_weights
from tests.local.tfx import need_tfx
from tests.pipelines import training_rows
from transforms.warehouse_loads import load_target, merge_data
from transforms.write_warehouse import json_line

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


class Story(NamedTuple):
    """What was told, and the rows that it was told from."""

    told: dict[str, Any]
    settings: Settings
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    settings = isolated(tmp_path_factory.mktemp("train"))
    need_tfx(settings)
    install.ensure_warehouse(settings, print)
    by_name = {part.name: part for part in parts.stand_ins(settings)}
    rows = training_rows.rows(training_rows.DAY_A)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulators.client_environment(settings).items():
            patch.setenv(name, value)
        with parts.running(by_name["gcs"], settings), parts.running(by_name["bigquery"], settings):
            models.seed(settings)
            yield Story(_tell(settings, rows), settings, rows)


def _tell(settings: Settings, rows: list[dict[str, Any]]) -> dict[str, Any]:
    warehouse = f"bigquery://{settings.project}.{settings.dataset}"
    target = load_target(warehouse, f"gs://{settings.bucket}/staging")
    drifted = training_rows.rows(training_rows.DAY_B, drift=3.0, seed=1)
    merge_data(target, TRAINING_READINGS, b"".join(map(json_line, [*rows, *drifted])))
    command = tfx_root.command(
        settings,
        [
            *("-m", "tests.pipelines.train_story", str(settings.run / "train")),
            *("--family=air", f"--warehouse={warehouse}", f"--temp=gs://{settings.bucket}/temp"),
            *(f"--registry={settings.registry_url}", f"--registry-key={settings.registry_key}"),
        ],
        binds=[settings.run],
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_model_that_passes_every_check_is_published_and_serves(story: Story) -> None:
    assert story.told["good"]["code"] == 0, story.told["good"]["said"]
    registry = models.open_registry(story.settings)
    assert registry.channel("air").states["air-2"] == "candidate"  # air-1 came with the package
    model = registry.load("air-2")
    assert model.card.parity <= 1e-4
    assert {figure.origin for figure in model.card.figures} == {"real"}
    assert model.card.lineage.run
    inputs = np.array([row["features"] for row in story.rows], np.float32)
    served = open_model(
        model.card, kept_weights(str(story.settings.run / "weights"), model.card, lambda: model.weights)
    )
    said = served.probabilities(inputs).argmax(axis=1)
    right = np.array([CLASSES["air"][one] for one in said]) == [row["label"] for row in story.rows]
    assert right.mean() > 0.9


def test_no_home_is_in_both_splits_and_every_number_is_the_tables(story: Story) -> None:
    known = {row["reading_id"]: row for row in story.rows}
    homes = {}
    for split, found in story.told["examples"].items():
        homes[split] = {known[one]["home_id"] for one in found["ids"]}
        written = np.array([known[one]["features"] for one in found["ids"]], np.float32)
        assert np.array(found["raw"], np.float32).tobytes() == written.tobytes()
    assert homes["train"].isdisjoint(homes["eval"])
    assert len(homes["train"] | homes["eval"]) == training_rows.HOMES


def test_transform_only_scales(story: Story) -> None:
    train = np.array(story.told["examples"]["train"]["raw"])
    for found in story.told["examples"].values():
        expected = (np.array(found["raw"]) - train.mean(axis=0)) / train.std(axis=0)
        assert np.abs(np.array(found["scaled"]) - expected).max() < 1e-4


def test_a_model_that_is_fine_but_worse_is_refused_by_the_change_threshold_alone(story: Story) -> None:
    worse = story.told["worse"]
    assert worse["code"] == 4, worse["said"]
    (line,) = [line for line in worse["said"].splitlines() if line.startswith("The model was refused")]
    assert "change of " in line
    assert "value of " not in line
    assert list(models.open_registry(story.settings).channel("air").states) == ["air-1", "air-2"]


@pytest.mark.parametrize("again", ["drifted", "again"])
def test_drift_ends_the_run_with_the_feature_named_also_at_a_second_try(story: Story, again: str) -> None:
    run = story.told[again]
    assert run["code"] == 3, run["said"]
    (line,) = [line for line in run["said"].splitlines() if line.startswith("The data was refused")]
    assert f"{training_rows.DRIFTED}: drifted by" in line
    assert line.count(training_rows.DRIFTED) == 1  # its values are in the schema's range
    others = [name for name in FEATURE_NAMES["air"] if name != training_rows.DRIFTED and name in line]
    assert others == []
    assert "Trainer" not in run["said"]


def test_the_same_graph_compiles_for_vertex(story: Story) -> None:
    run = story.told["vertex"]
    assert run["code"] == 0, run["said"]
    spec = json.loads(Path(run["said"].splitlines()[-1]).read_text())["pipelineSpec"]
    tasks = set(spec["root"]["dag"]["tasks"])
    assert {"BigQueryExampleGen", "DriftGate", "Transform", "Trainer", "Evaluator", "ServingCheck"} <= tasks
    assert "PushToRegistry" in tasks
    assert "registry.example/train:1" in json.dumps(spec["deploymentSpec"])
