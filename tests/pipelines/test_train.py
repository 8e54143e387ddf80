"""The training job's options, query and publication: what needs no TFX. The rest is in test_train_system."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from local.config import ROOT
from local.training.corpora import air_rows
from pipelines import train
from pipelines.training.publish import publish
from pipelines.training.query import example_values, training_sql
from serving import cards
from serving.objects import open_store
from serving.registry import Registry
from serving.signing import Signer, TrustedKeys, make_key
from tests.pipelines.training_rows import DAY_A, rows

OPTIONS = ["--warehouse=bigquery://p.d", "--work=w", "--registry=r", "--registry-key=k"]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--family=sound", "family is 'sound', known: air, motion, contact"),
        ("--warehouse=gs://x", "wanted bigquery://PROJECT.DATASET"),
        ("--to=2026-03-01T00", "limit: before to"),
        ("--from=yesterday", "not an hour of arrival"),
        ("--fleet=borrowed", "'real' or 'synthetic'"),
    ],
)
def test_a_bad_option_is_refused_with_value_and_bound(
    option: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*OPTIONS, "--from=2026-03-02T00", option]) == train.BAD_OPTIONS
    assert complaint in capsys.readouterr().err


def test_options_are_checked_before_tensorflow_is_loaded() -> None:
    script = (
        "import sys; from pipelines import train; train.main([]); "
        "print(sorted({'tfx', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
    assert "--warehouse" in done.stderr


def test_without_hours_the_last_day_is_trained_on() -> None:
    config, _ = train.parse(train.TrainConfig, OPTIONS, "train", "")
    now = dt.datetime(2026, 3, 2, 13, 20, tzinfo=dt.UTC)
    assert config.span(now) == (now.replace(day=1, hour=14, minute=0), now.replace(hour=14, minute=0))


def test_the_query_bounds_the_fleet_by_time_and_the_corpora_by_nothing() -> None:
    sql = training_sql("d", "air", DAY_A, DAY_A + dt.timedelta(hours=2))
    ranked, _ = sql.split("WHERE place = 1")  # each reading once; BigQuery passes over days by what is before
    assert "minute_time >= TIMESTAMP '2026-03-01 00:00:00+00'" in ranked
    assert "minute_time < TIMESTAMP '2026-03-01 02:00:00+00'" in ranked
    assert "OR minute_time < TIMESTAMP '2001-01-01 00:00:00+00'" in ranked
    days = {row["minute_time"][:4] for row in air_rows(None, rooms=1)}
    assert days == {"2000"}


def test_a_row_with_another_number_of_features_is_refused() -> None:
    row = {**rows(DAY_A)[0], "hour": 3, "sensor_model": None}
    assert example_values(row)["sensor_model"] == "unknown"
    with pytest.raises(ValueError, match="has 23 features, limit exactly 24"):
        example_values({**row, "features": row["features"][1:]})


def test_what_is_published_is_the_next_number_of_its_line_and_a_candidate(tmp_path: Path) -> None:
    signer = make_key(tmp_path / "key.pem")
    registry = Registry(open_store(str(tmp_path / "models")), TrustedKeys.parse(signer.public_pem))
    packaged, weights = cards.load(cards.find("air"))
    registry.publish(packaged, weights, signer, by="package")
    draft = cards.ModelCard.model_validate(
        {**packaged.model_dump(), "version": "0", "weights": "air-0.tflite"}
    )
    again = Signer.read(tmp_path / "key.pem")
    assert publish(draft, weights, registry, again, "run 1") == "air-2"
    assert publish(draft, weights, registry, again, "run 2") == "air-3"
    assert registry.channel("air").states["air-3"] == "candidate"
    assert registry.load("air-3").weights == weights
