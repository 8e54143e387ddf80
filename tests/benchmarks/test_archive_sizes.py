"""File sizes of the archive and the price of making them stay within bounds at every scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.archive_sizes import BundleSize, bundle_messages, measured_sizes, plan
from benchmarks.storage_cost import DEPLOY, SCALES
from transforms.archive_raw import LARGE_BYTES, MAX_PACKS

PRICES = json.loads((DEPLOY / "prices.json").read_text())["storage"]


@pytest.mark.parametrize("homes", SCALES)
def test_operations_cost_less_than_storing_what_they_made_and_a_quarter_dollar(homes: int) -> None:
    one = plan(homes, PRICES)
    assert one.usd <= 0.25 + 0.03 * one.storage_usd
    assert one.usd <= one.usd_direct


@pytest.mark.parametrize("homes", SCALES)
def test_an_object_is_never_larger_than_what_a_worker_can_hold(homes: int) -> None:
    assert plan(homes, PRICES).object_bytes <= max(MAX_PACKS * LARGE_BYTES, 16 << 20)


def test_a_bundle_that_is_large_is_an_object_of_its_own() -> None:
    large = [BundleSize(1, 200), BundleSize(100, 200)]
    one = plan(10_000, PRICES, large)
    assert not one.held
    assert one.usd == one.usd_direct
    assert one.object_bytes == one.bundle_bytes > LARGE_BYTES


def test_without_holding_each_bundle_is_an_object() -> None:
    assert plan(1_000, PRICES, hold_s=0.0).objects == pytest.approx(
        plan(1_000, PRICES).usd_direct / 0.005 * 1_000, rel=0.001
    )


def test_a_bundle_has_at_least_one_message_and_at_most_what_was_measured() -> None:
    measured = [BundleSize(10, 2), BundleSize(20, 4)]
    assert bundle_messages(0.01, measured) == 1
    assert bundle_messages(10_000, measured) == 4


def test_sizes_come_from_a_report_of_the_source(tmp_path: Path) -> None:
    paced = [{"per_s": 10.0, "bundle_messages": {"mean": 2.5}}]
    (tmp_path / "source.json").write_text(json.dumps({"paced": paced}))
    assert measured_sizes(tmp_path / "source.json") == [BundleSize(10.0, 2.5)]
