"""`pipelines.compare`: two versions by what the shadow said, or by a replay of the archive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.compare import main
from tests.pipelines.test_compact import Place, place
from tests.pipelines.test_replay import hour
from tests.serving.models import KeptRegistry, shipped
from tests.transforms.test_compare_versions import LOUD, fleet, sounds
from transforms.write_warehouse import score_row

__all__ = ["hour", "place"]  # fixtures


@pytest.fixture
def registry(tmp_path: Path) -> KeptRegistry:
    kept = KeptRegistry(tmp_path / "registry")
    (tmp_path / "keys.pub").write_bytes(kept.signer.public_pem)
    return kept


def compare(tmp_path: Path, *flags: str, since: str = "2026-03-01T12") -> int:
    where = [f"--registry={tmp_path / 'registry'}", f"--registry-keys={tmp_path / 'keys.pub'}"]
    return main([*where, f"--since={since}", *flags])


def test_versions_are_compared_by_what_the_shadow_said(
    tmp_path: Path, registry: KeptRegistry, capsys: Any
) -> None:
    for version in ("1", "2"):
        registry.add(version, "sound")
    tables = {"readings_scores": fleet(LOUD), "shadow_scores": sounds("sound-2", fleet({20: LOUD[20]}))}
    for table, scores in tables.items():
        (tmp_path / "warehouse" / table).mkdir(parents=True)
        lines = "\n".join(json.dumps(score_row(one)) for one in scores)
        (tmp_path / "warehouse" / table / "all.jsonl").write_text(lines)

    flags = [f"--warehouse={tmp_path / 'warehouse'}", "--baseline=sound-1", "--candidate=sound-2"]
    assert compare(tmp_path, *flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["readings"] == 120
    assert len(report["alarms_missed"]) == 1
    assert all(report["latency_msec"][version]["one"] > 0 for version in ("sound-1", "sound-2"))
    assert compare(tmp_path, *flags, since="2026-03-01T15") == 1  # nothing was scored then


@pytest.mark.system
def test_versions_are_compared_by_a_replay_of_one_home_and_hour(
    tmp_path: Path, registry: KeptRegistry, hour: Place, capsys: Any
) -> None:
    """The candidate's card turns the classes of the air model about: every air reading differs."""
    registry.add("1", "air")
    card, weights = shipped("air", "2")
    turned = card.model_copy(update={"classes": (*card.classes[1:], card.classes[0])})
    registry.publish(turned, weights, registry.signer, by="test")
    flags = [
        *(f"--archive={hour.archive}", f"--compacted={hour.output}", "--home=home-0001"),
        *(f"--fleet-ca={hour.ca}", "--baseline=air-1", "--candidate=air-2"),
    ]
    assert compare(tmp_path, *flags) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["readings"], report["agreement"]) == (12, 0.0)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--warehouse=w", "--archive=a"), "one of warehouse and archive"),
        (("--archive=a",), "wants home and fleet-ca"),
        (("--warehouse=w", "--candidate=air-2"), "air-2 is no version of what sound-1"),
        (("--warehouse=w",), "versions/sound-1/sound-1.json is missing"),
    ],
    ids=["two sources", "no home", "another line", "unknown version"],
)
@pytest.mark.usefixtures("registry")
def test_a_mistake_is_named(tmp_path: Path, capsys: Any, flags: tuple[str, ...], said: str) -> None:
    assert compare(tmp_path, "--baseline=sound-1", "--candidate=sound-2", *flags) == 2
    assert said in capsys.readouterr().err
