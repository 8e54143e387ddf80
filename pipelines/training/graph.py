"""The training pipeline's components, wired. The same graph runs here and on Vertex AI Pipelines."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tfx import v1 as tfx
from tfx_bsl.public.proto import slicing_spec_pb2

from pipelines.training.evaluation import eval_config
from pipelines.training.example_gen import example_gen
from pipelines.training.gate import DriftGate
from pipelines.training.push import PushToRegistry
from pipelines.training.serving_check import ServingCheck

SCHEMAS = Path(__file__).parent / "schemas"
MODEL = "pipelines.training.model"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one run is.

    Attributes:
        query: Of the training table (pipelines.training.query).
        schema: Folder of the curated schema of the family, readable where the pipeline runs.
        has_baseline: An earlier run's statistics were accepted; without one there is nothing to drift from.
        accept_drift: Features whose drift a person has looked at.
        facts: For the card: seed, from_us, to_us, fleet ("real" or "synthetic"), lineage.
        registry, key: Where a blessed model goes, and the file of the key that signs.
    """

    family: str
    query: str
    schema: str
    has_baseline: bool
    accept_drift: tuple[str, ...]
    train_steps: int
    facts: dict[str, Any]
    registry: str
    key: str
    run: str


def components(plan: Plan) -> list[Any]:
    """Plan → the components, in order."""
    artifacts, channel = tfx.types.standard_artifacts, tfx.dsl.Channel
    examples = example_gen(plan.query)
    statistics = tfx.components.StatisticsGen(
        examples=examples.outputs["examples"],
        stats_options=tfdv.StatsOptions(
            slicing_config=text_format.Parse(
                "slicing_specs {} slicing_specs { feature_keys: 'corpus' }", slicing_spec_pb2.SlicingConfig()
            )
        ),
    )
    schema = tfx.components.ImportSchemaGen(schema_file=f"{plan.schema}/{plan.family}.pbtxt")
    baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        statistics=channel(
            type=artifacts.ExampleStatistics, producer_component_id="DriftGate", output_key="accepted"
        ),
    ).with_id("LastAcceptedStatistics")
    gate = DriftGate(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        accept_drift=",".join(plan.accept_drift),
        **({"baseline": baseline.outputs["statistics"]} if plan.has_baseline else {}),
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn=f"{MODEL}.preprocessing_fn",
        custom_config={"family": plan.family},
    )
    transform.add_upstream_node(gate)  # nothing is trained on data that was refused
    trainer = tfx.components.Trainer(
        run_fn=f"{MODEL}.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=plan.train_steps),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
        custom_config={"family": plan.family, "seed": plan.facts["seed"]},
    )
    blessed = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=channel(type=artifacts.Model, producer_component_id="Trainer"),
        model_blessing=channel(type=artifacts.ModelBlessing),
    ).with_id("LastBlessedModel")
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        example_splits=["eval"],
        model=trainer.outputs["model"],
        baseline_model=blessed.outputs["model"],
        eval_config=eval_config(plan.family),
    )
    check = ServingCheck(
        model=trainer.outputs["model"],
        examples=examples.outputs["examples"],
        family=plan.family,
        facts=json.dumps(plan.facts),
    )
    push = PushToRegistry(
        blessing=evaluator.outputs["blessing"],
        infra_blessing=check.outputs["blessing"],
        candidate=check.outputs["candidate"],
        registry=plan.registry,
        key=plan.key,
        run=plan.run,
    )
    first = [baseline] if plan.has_baseline else []
    return [*first, examples, statistics, schema, gate, transform, trainer, blessed, evaluator, check, push]
