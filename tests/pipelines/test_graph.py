"""The graph as an interface: its labels, and that Dataflow accepts it with its native source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from pipelines.io import choose_io
from pipelines.models import model_handlers, model_source
from pipelines.monitor import build
from pipelines.options import BadOptions, MonitorConfig
from tests.fakes import Fleet
from tests.serving.models import signer

LABELS = Path(__file__).parent / "labels.txt"


def _live(ca: Path, **changes: object) -> MonitorConfig:
    settings = {
        "input": (
            "pubsub://hearthwatch/urgent-monitor",
            "pubsub://hearthwatch/minutes-monitor",
            "pubsub://hearthwatch/bulk-monitor",
        ),
        "output": "gs://bucket",
        "alarms": "firestore://hearthwatch",
        "warehouse": "bigquery://hearthwatch.hearthwatch",
        "fleet_ca": str(ca),
        "roster": "gs://bucket/fleet/roster.jsonl",
    }
    if changes.get("lanes") == ("urgent",):
        del settings["roster"]
    return MonitorConfig(**{**settings, **changes})


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(Fleet(1).ca_pem)
    return path


def _build(config: MonitorConfig, options: PipelineOptions) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=options)
    models = model_handlers() if "minutes" in config.lanes else None
    build(pipeline, config, choose_io(config, options), models)
    return pipeline


class _Labels(PipelineVisitor):
    def __init__(self) -> None:
        self.found: set[str] = set()

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        self._note(transform_node)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self._note(transform_node)

    def _note(self, node: AppliedPTransform) -> None:
        if node.full_label:
            self.found.add("/".join(node.full_label.split("/")[:2]))


def labels_of(pipeline: beam.Pipeline) -> list[str]:
    visitor = _Labels()
    pipeline.visit(visitor)
    return sorted(visitor.found)


def test_labels_are_the_pinned_ones(ca: Path) -> None:
    """Dashboards read them, and an update matches steps by them: a change here is a deliberate one."""
    found = labels_of(_build(_live(ca), PipelineOptions(["--streaming"])))
    assert "\n".join(found) + "\n" == LABELS.read_text()


def test_the_engine_can_read_every_field_of_every_element(ca: Path) -> None:
    """Java decodes what crosses to it under a key; a field of any Python type it decodes wrongly."""
    components = _build(_live(ca), PipelineOptions(["--streaming"])).to_runner_api().components
    rows = {name: str(coder) for name, coder in components.coders.items() if "coder:row" in coder.spec.urn}
    assert len(rows) > 10
    assert [text for text in rows.values() if "pythonsdk_any" in text] == []


def test_the_urgent_lane_alone_has_no_model_no_window_and_no_keyed_state(ca: Path) -> None:
    pipeline = _build(_live(ca, lanes=("urgent",)), PipelineOptions(["--streaming"]))
    top = {label.split("/")[0] for label in labels_of(pipeline)}
    assert {"ReadUrgent", "ArchiveRaw", "DecodeBatches", "RaiseAlarms", "WriteDeadLetters"} <= top
    assert top.isdisjoint({"ReadMinutes", "ScoreReadings", "TrackHomes", "ScoreHomes"})


def test_a_job_that_keeps_nothing_raises_alarms_and_has_no_part_that_needs_object_storage(ca: Path) -> None:
    config = _live(ca, lanes=("urgent",), output="", warehouse="")
    top = {label.split("/")[0] for label in labels_of(_build(config, PipelineOptions(["--streaming"])))}
    assert top == {"ReadUrgent", "DecodeBatches", "RaiseAlarms"}


@pytest.mark.parametrize(
    "changes",
    [{}, {"lanes": ("minutes",)}, {"lanes": ("urgent",)}],
    ids=["both lanes", "minutes", "urgent with a warehouse"],
)
def test_only_a_job_of_the_urgent_lane_alone_may_keep_nothing(ca: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="output is empty"):
        _live(ca, output="", **changes)


def test_holding_small_bundles_adds_one_shuffle_to_the_archive(ca: Path) -> None:
    options = PipelineOptions(["--streaming"])
    labels = labels_of(_build(_live(ca, archive_hold_s=60.0), options))
    assert [label for label in labels if label.startswith("ArchiveRaw/Group")] == ["ArchiveRaw/GroupPacks"]


@pytest.mark.parametrize("lanes", [("urgent",), ("minutes", "bulk")], ids=["urgent", "minutes"])
def test_dataflow_takes_the_graph_with_its_native_source(ca: Path, lanes: tuple[str, ...]) -> None:
    options = PipelineOptions(
        [
            "--runner=DataflowRunner",
            "--dry_run=True",
            "--project=hearthwatch",
            "--region=us-central1",
            "--temp_location=gs://bucket/temp",
            "--job_name=monitor",
            "--streaming",
            "--no_auth",
        ]
    )
    result = _build(_live(ca, lanes=lanes), options).run()
    transforms = result.job.proto_pipeline.components.transforms.values()
    urns = {transform.spec.urn for transform in transforms}
    assert "beam:transform:pubsub_read:v1" in urns
    assert not [t.unique_name for t in transforms if "ReadPubSub" in t.unique_name]
    steps = {t.unique_name.split("/")[0] for t in transforms}
    assert {"ArchiveRaw", "DecodeBatches", "RaiseAlarms"} <= steps


def _with_registry(ca: Path, **changes: str) -> Any:
    """The graph of a job that follows a registry, as it is handed to a runner."""
    keys = ca.with_name("registry.pub")
    keys.write_bytes(signer().public_pem)
    config = _live(ca, registry="gs://bucket/models", registry_keys=str(keys), **changes)
    pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
    options = PipelineOptions([])
    build(pipeline, config, choose_io(config, options), model_handlers(model_source(config)))
    return pipeline.to_runner_api()


def test_what_a_version_in_the_shadow_says_reaches_the_warehouse_and_nothing_else(ca: Path) -> None:
    transforms = _with_registry(ca).components.transforms.values()
    steps = [transform for transform in transforms if not transform.subtransforms]
    said = {
        output
        for step in steps
        for tag, output in step.outputs.items()
        if step.unique_name.startswith("ScoreReadings/ScoreShadows") or tag == "shadows"
    }
    assert len(said) == 2, "of the small versions and of the large"
    reached: set[str] = set()
    while said:
        next_to = [step for step in steps if not said.isdisjoint(step.inputs.values())]
        reached |= {step.unique_name.split("/")[0] for step in next_to}
        said = {output for step in next_to for output in step.outputs.values()}
    assert reached == {"JoinShadows", "WriteWarehouse"}


def test_one_graph_asks_for_a_gpu_or_runs_on_cpus(ca: Path) -> None:
    """Only resource hints differ, and only on the large model's stage; a registry adds the shadow."""
    cpu, gpu = (
        _with_registry(ca),
        _with_registry(ca, accelerator="type:nvidia-l4;count:1;install-nvidia-driver"),
    )
    names = [sorted(t.unique_name for t in one.components.transforms.values()) for one in (cpu, gpu)]
    assert names[0] == names[1]
    assert {"ScoreReadings/ScoreShadows", "JoinShadows"} <= set(names[0])
    hinted = {
        transform.unique_name
        for transform in gpu.components.transforms.values()
        if gpu.components.environments[transform.environment_id].resource_hints
    }
    assert hinted
    assert all(name.startswith("ScoreClosely/ScoreLarge") for name in hinted)


def test_a_registry_without_keys_is_refused(ca: Path) -> None:
    with pytest.raises(ValueError, match="both or neither"):
        _live(ca, registry="gs://bucket/models")
    with pytest.raises(BadOptions, match=r"--registry-keys: .*no public key"):
        model_source(_live(ca, registry="gs://bucket/models", registry_keys=str(ca)))
