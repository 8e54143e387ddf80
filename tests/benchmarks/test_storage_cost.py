"""The archive's price: adds up, grows with the fleet, and follows the lifecycle rules that are deployed."""

from __future__ import annotations

import json

import pytest

from benchmarks.storage_cost import (
    DEPLOY,
    GIB,
    SCALES,
    Layout,
    Tier,
    load_prices,
    load_tiers,
    monthly_cost,
    tiers_of,
    too_early,
)

PRICES = load_prices()


def test_the_deployed_rules_leave_no_class_before_its_minimum_time() -> None:
    tiers = load_tiers()
    assert [(t.storage_class, t.first_day, t.end_day) for t in tiers] == [
        ("STANDARD", 0, 30),
        ("NEARLINE", 30, 90),
        ("COLDLINE", 90, 365),
        ("ARCHIVE", 365, None),
    ]
    assert too_early(tiers, PRICES) == []
    assert too_early([Tier("NEARLINE", 30, 50)], PRICES) == ["NEARLINE"]


def test_no_rule_deletes_or_moves_a_landing_object() -> None:
    for rule in json.loads((DEPLOY / "lifecycle" / "lifecycle.json").read_text())["rule"]:
        kind = rule["action"]["type"]
        assert kind in {"SetStorageClass", "AbortIncompleteMultipartUpload"}
        if kind == "SetStorageClass":
            assert rule["condition"]["matchesPrefix"] == ["compacted/day="]


def test_a_gibibyte_a_day_costs_what_its_tiers_say() -> None:
    tiers = [Tier("STANDARD", 0, 10), Tier("ARCHIVE", 10, None)]
    cost = monthly_cost(1, tiers, PRICES, home_bytes_a_day=GIB, layout=Layout(landing_days=2, kept_days=110))
    assert cost.tiers == pytest.approx({"STANDARD": 10 * 0.020, "ARCHIVE": 100 * 0.0012})
    assert cost.landing == pytest.approx(2 * 0.020)
    # 64 landing and 12 compacted objects a day: written, read, and moved once.
    writes, reads, moves = 76 * 0.005, (128 + 12) * 0.0004, 12 * 0.050
    assert cost.operations == pytest.approx((writes + reads + moves) * 30 / 1_000)
    assert cost.total == pytest.approx(0.2 + 0.12 + 0.04 + cost.operations)


def test_a_home_costs_less_in_a_larger_fleet_and_never_nothing() -> None:
    each = [monthly_cost(homes, load_tiers(), PRICES).total / homes for homes in SCALES]
    assert each == sorted(each, reverse=True)
    assert each[-1] > 0


def test_operations_stay_small_beside_storage_from_a_thousand_homes_on() -> None:
    for homes in SCALES[2:]:
        cost = monthly_cost(homes, load_tiers(), PRICES)
        assert cost.operations < 0.05 * cost.total


def test_what_is_kept_shorter_never_reaches_the_colder_classes() -> None:
    cost = monthly_cost(10, load_tiers(), PRICES, layout=Layout(kept_days=60))
    assert cost.tiers["COLDLINE"] == cost.tiers["ARCHIVE"] == 0


def test_rules_in_any_order_give_the_same_tiers() -> None:
    rules = json.loads((DEPLOY / "lifecycle" / "lifecycle.json").read_text())["rule"]
    assert tiers_of({"rule": rules[::-1]}) == load_tiers()
