"""ExampleGen: the training query → tf.Examples, split by home, so that no home is in both splits.

TFX's own BigQuery executor knows neither REPEATED nor BYTES columns and needs a query per column type; this
one hands whole rows to `query.example_values`.
"""

from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.dsl.components.base import executor_spec

from pipelines.training.endpoints import use_stand_in
from pipelines.training.query import example_values

TRAIN_BUCKETS, EVAL_BUCKETS = 3, 1


def example_of(values: dict[str, Any]) -> tf.train.Example:
    """Values by name → tf.Example: float, int and str as FloatList, Int64List and BytesList of one."""
    made = tf.train.Example()
    for name, value in values.items():
        feature = made.features.feature[name]
        if isinstance(value, float):
            feature.float_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.bytes_list.value.append(value.encode())
    return made


@beam.ptransform_fn
@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
def _RowsToExamples(pipeline, exec_properties, split_pattern):  # type: ignore[no-untyped-def]
    del exec_properties  # all is said in the query
    use_stand_in()
    return (
        pipeline
        | "ReadTrainingRows"
        >> beam.io.ReadFromBigQuery(
            query=split_pattern,
            use_standard_sql=True,
            method=beam.io.ReadFromBigQuery.Method.DIRECT_READ,
        )
        | "MakeValues" >> beam.Map(example_values)
        | "MakeExamples" >> beam.Map(example_of)
    )


class Executor(BaseExampleGenExecutor):
    """Rows of the warehouse as examples."""

    def GetInputSourceToExamplePTransform(self) -> Any:
        """See TFX."""
        return _RowsToExamples


def example_gen(query: str) -> Any:
    """The component. Splits are "train" and "eval", by a hash of home_id that stays over all spans."""
    proto = tfx.proto
    splits = [
        proto.SplitConfig.Split(name="train", hash_buckets=TRAIN_BUCKETS),
        proto.SplitConfig.Split(name="eval", hash_buckets=EVAL_BUCKETS),
    ]
    return tfx.extensions.google_cloud_big_query.BigQueryExampleGen(
        query=query,
        output_config=proto.Output(
            split_config=proto.SplitConfig(splits=splits, partition_feature_name="home_id")
        ),
        custom_executor_spec=executor_spec.BeamExecutorSpec(Executor),
    )
