"""DriftGate: a run ends here if its data is not what the schema says, or is not what the last run had.

TFX's ExampleValidator and DistributionValidator write down what they find and stop nothing. This component
asks the same library (TFDV) and fails the run, with every feature named. What passes becomes the baseline of
the next run; what failed never does, so that a second try is not compared with the first.

Drift is judged on the fleet's examples alone: the corpora are the same in every run and would dilute it.
"""

from collections.abc import Collection
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.component.experimental.decorators import component

from pipelines.training.query import FLEET

FLEET_SLICE = f"corpus_{FLEET}"
# With fewer, chance alone moves a histogram by more than the thresholds.
MIN_EXAMPLES = 200
SPLIT = "train"
_STATISTICS = "FeatureStats.pb"


class DataRefused(Exception):
    """The data of this run is not fit to train on; the message names each feature and what is wrong."""


def findings(
    statistics: Any, schema: Any, previous: Any = None, accepted: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Statistics, schema, the baseline's statistics → (complaints, notes), each "feature: what".

    Args:
        statistics, previous: DatasetFeatureStatisticsList with slices by corpus; `previous` None: none yet.
        accepted: Features whose drift a person has looked at.
    """
    import tensorflow_data_validation as tfdv  # seconds; a compiled pipeline needs it nowhere else

    complaints, notes = [], []
    whole = tfdv.validate_statistics(tfdv.get_slice_stats(statistics, "All Examples"), schema)
    for name, found in sorted(whole.anomaly_info.items()):
        complaints.append(f"{name}: {found.description}")
    new, old = _fleet(statistics), _fleet(previous)
    if previous is None:
        notes.append("no earlier run: drift is not judged")
    elif min(_count(new), _count(old)) < MIN_EXAMPLES:
        notes.append(
            f"{_count(new)} and {_count(old)} examples of the fleet, at least {MIN_EXAMPLES} are needed: "
            "drift is not judged"
        )
    else:
        drift = tfdv.validate_statistics(new, schema, previous_statistics=old)
        for info in drift.drift_skew_info:
            name = ".".join(info.path.step)
            for found in info.drift_measurements:
                if found.value > found.threshold:
                    line = f"{name}: drifted by {found.value:.3f}, limit {found.threshold:g}"
                    (notes if name in accepted else complaints).append(line)
    return complaints, notes


def _fleet(statistics: Any) -> Any:
    import tensorflow_data_validation as tfdv

    try:
        return tfdv.get_slice_stats(statistics, FLEET_SLICE)
    except (ValueError, AttributeError):  # no such slice, or no statistics
        return None


def _count(statistics: Any) -> int:
    return statistics.datasets[0].num_examples if statistics else 0


@component
def DriftGate(
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    schema: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Schema],
    accepted: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    baseline: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics] = None,
    accept_drift: tfx.dsl.components.Parameter[str] = "",  # names of features, by comma
) -> None:
    """Raises DataRefused, or hands the statistics on as the next run's baseline."""
    import tensorflow_data_validation as tfdv

    fileio = tfx.dsl.io.fileio
    (shape,) = fileio.glob(f"{schema.uri}/*.pbtxt")

    def of(artifact: Any) -> Any:
        return tfdv.load_stats_binary(f"{artifact.uri}/Split-{SPLIT}/{_STATISTICS}")

    complaints, notes = findings(
        of(statistics),
        tfdv.load_schema_text(shape),
        of(baseline) if baseline else None,
        frozenset(accept_drift.split(",")),
    )
    for line in notes:
        print(f"DriftGate: {line}", flush=True)
    if complaints:
        raise DataRefused("; ".join(complaints))
    for split in fileio.listdir(statistics.uri):
        name = split.rstrip("/")
        fileio.makedirs(f"{accepted.uri}/{name}")
        fileio.copy(f"{statistics.uri}/{name}/{_STATISTICS}", f"{accepted.uri}/{name}/{_STATISTICS}")
    accepted.split_names = statistics.split_names
