"""Run the training pipeline here, or compile it for Vertex AI Pipelines; and say what came of a run."""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import tensorflow_model_analysis as tfma
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.orchestration.portable import launcher

from pipelines.training.gate import DataRefused
from pipelines.training.graph import SCHEMAS, Plan, components
from pipelines.training.serving_check import ServingRefused

__all__ = ["SCHEMAS", "Outcome", "Plan", "Run"]


class Outcome(NamedTuple):
    """What a run came to: the published version, or "" and why not."""

    version: str
    text: str
    data_refused: bool = False


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of one family's pipeline.

    Attributes:
        work: Folder of artifacts and metadata; what was trained before is looked up there.
        make_plan: Given whether there is a baseline, the run's id, and the version to beat ("": none).
    """

    name: str
    work: str
    beam_args: list[str]
    say: Callable[[str], None]
    make_plan: Callable[[bool, str, str], Plan]

    def here(self) -> Outcome:
        """Run it in this process; with progress.

        Raises:
            RuntimeError: A component did not run to its end, and did not say why.
        """
        database = f"{self.work}/metadata.db"
        run_id = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
        known = _History(database)
        plan = self.make_plan(known.has_baseline(), run_id, known.last_version())
        pipeline = tfx.dsl.Pipeline(
            pipeline_name=self.name,
            pipeline_root=f"{self.work}/artifacts",
            components=components(plan),
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(database),
            beam_pipeline_args=[*self.beam_args, "--direct_num_workers=1"],
            enable_cache=False,
        )
        with _progress(self.say):
            try:
                tfx.orchestration.LocalDagRunner().run(pipeline)
            except DataRefused as error:
                return Outcome("", f"The data was refused: {error}", data_refused=True)
            except ServingRefused as error:
                return Outcome("", f"The model was refused: {error}")
        return _History(database).outcome()

    def compile_for_vertex(self, image: str, folder: str) -> str:
        """Write the pipeline's specification for Vertex AI Pipelines → its path. Nothing is contacted."""
        from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

        plan = self.make_plan(True, "{{$.pipeline_job_name}}", "")
        pipeline = tfx.dsl.Pipeline(
            pipeline_name=self.name,
            pipeline_root=f"{self.work}/artifacts",
            components=components(plan),
            beam_pipeline_args=self.beam_args,
        )
        file = f"{self.name}.json"
        kubeflow.KubeflowV2DagRunner(
            config=kubeflow.KubeflowV2DagRunnerConfig(default_image=image),
            output_dir=folder,
            output_filename=file,
        ).run(pipeline)
        return str(Path(folder) / file)


class _History:
    """What ML Metadata knows of earlier runs."""

    def __init__(self, database: str) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = database
        self._store = MetadataStore(config)

    def has_baseline(self) -> bool:
        """Whether some run's statistics were accepted."""
        complete = metadata_store_pb2.Execution.COMPLETE
        return any(
            execution.last_known_state == complete
            for kind in self._store.get_execution_types()
            if kind.name.endswith("DriftGate")
            for execution in self._store.get_executions_by_type(kind.name)
        )

    def last_version(self) -> str:
        """The version that was published last, "" if none."""
        pushed = [a for a in self._artifacts("PushedModel") if _custom(a, "version")]
        return _custom(max(pushed, key=lambda a: a.id), "version") if pushed else ""

    def outcome(self) -> Outcome:
        """Of the newest run.

        Raises:
            RuntimeError: It did not reach its end: TFX ends without an error where an input is missing.
        """
        newest = max(self._store.get_contexts_by_type("pipeline_run"), key=lambda c: c.id)
        made = {
            self._store.get_artifact_types_by_id([a.type_id])[0].name: a
            for a in self._store.get_artifacts_by_context(newest.id)
        }
        pushed = made.get("PushedModel")
        if pushed is None:
            raise RuntimeError(f"the run ended before its end; it made {sorted(made)}")
        version = _custom(pushed, "version")
        if version:
            return Outcome(version, f"{version} is published as candidate.")
        reasons = "; ".join(refusals(made["ModelEvaluation"].uri))
        return Outcome("", f"The model was refused: {reasons}")

    def _artifacts(self, kind: str) -> list[Any]:
        known = {one.name for one in self._store.get_artifact_types()}
        return list(self._store.get_artifacts_by_type(kind)) if kind in known else []


def refusals(evaluation: str) -> list[str]:
    """Folder of an evaluation → what missed which bound: "value" a floor, "change" the last model."""
    result = tfma.load_validation_result(evaluation)
    found = []
    for by_slice in result.metric_validations_per_slice:
        for failure in by_slice.failures:
            bound = "change" if failure.metric_threshold.HasField("change_threshold") else "value"
            key, value = failure.metric_key, failure.metric_value.double_value.value
            about = f" of class {key.sub_key.class_id.value}" if key.HasField("sub_key") else ""
            found.append(f"{bound} of {key.name}{about}: {value:.4f}")
    return found


def _custom(artifact: Any, name: str) -> str:
    return artifact.custom_properties[name].string_value if name in artifact.custom_properties else ""


@contextlib.contextmanager
def _progress(say: Callable[[str], None]) -> Iterator[None]:
    """Says when a component begins. The runner has no hook for it, and its log is switched off by others."""
    launch = launcher.Launcher.launch

    def told(self: Any) -> Any:
        say(self._pipeline_node.node_info.id)
        return launch(self)

    with mock.patch.object(launcher.Launcher, "launch", told):
        yield
