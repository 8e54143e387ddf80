"""What a model must reach to be blessed: absolute floors, and no worse than the last blessed one."""

from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx import v1 as tfx  # noqa: F401  tfma.EvalConfig exists only after it

from pipelines.training.model import PROBABILITIES
from schemas.labels import CLASSES

SLICES = ("corpus", "sensor_model", "room", "hour")
HAZARDS = {"air": ("fire", "co"), "motion": ("person",), "contact": ("forced",)}
MIN_ACCURACY = 0.80
MAX_ACCURACY_LOST = 0.02
MIN_HAZARD_AUC = 0.95
MAX_AUC_LOST = 0.01


def eval_config(family: str) -> tfma.EvalConfig:
    """Accuracy over all classes, and how well each hazard is told from everything else.

    The thresholds bind on all examples; the slices are shown and bind nothing: most are small.
    """
    classes = CLASSES[family]
    hazards = {"values": [classes.index(name) for name in HAZARDS[family]]}
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                signature_name="serving_default",
                prediction_key=PROBABILITIES,
                label_key="label_id",
                example_weight_key="weight",
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[key]) for key in SLICES)],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(
                        class_name="SparseCategoricalAccuracy",
                        per_slice_thresholds=_thresholds(MIN_ACCURACY, MAX_ACCURACY_LOST),
                    ),
                ]
            ),
            tfma.MetricsSpec(
                binarize=config_pb2.BinarizationOptions(class_ids=hazards),
                metrics=[
                    tfma.MetricConfig(
                        class_name="AUC", per_slice_thresholds=_thresholds(MIN_HAZARD_AUC, MAX_AUC_LOST)
                    )
                ],
            ),
        ],
    )


def _thresholds(floor: float, lost: float) -> list[Any]:
    """Of the slice of all examples: a plain `threshold` would bind on every slice."""
    bound = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": floor}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -lost}
        ),
    )
    return [config_pb2.PerSliceMetricThreshold(slicing_specs=[tfma.SlicingSpec()], threshold=bound)]
