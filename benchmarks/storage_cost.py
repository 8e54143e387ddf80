"""What keeping everything costs: storage classes of deploy/lifecycle, prices of deploy/prices.json.

`python -m benchmarks.storage_cost` prints a table from ten to a million homes. Pure functions: nothing
is measured here but by whoever gives the bytes of a home.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

DEPLOY: Final = Path(__file__).resolve().parent.parent / "deploy"
DAYS_A_MONTH: Final = 30
GIB: Final = 1 << 30
SCALES: Final = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
HOME_BYTES_A_DAY: Final = 46_700 * 1_440  # `full` uplink: a batch a minute, as benchmarks/pipeline.py seals


class Tier(NamedTuple):
    """A storage class, and the ages in days between which a compacted file is in it; None: for ever."""

    storage_class: str
    first_day: int
    end_day: int | None


class Layout(NamedTuple):
    """How objects come to be.

    Attributes:
        landing_bytes: Of a landing object, mean. landing_days: Until compaction deletes it.
        part_bytes: Of a compacted file.
        kept_days: How long anything is kept.
    """

    landing_bytes: int = 16 << 20
    landing_days: int = 8
    part_bytes: int = 256 << 20
    kept_days: int = 3 * 365


class Cost(NamedTuple):
    """USD a month, once everything that is kept has filled up."""

    landing: float
    tiers: dict[str, float]
    operations: float

    @property
    def total(self) -> float:
        return self.landing + sum(self.tiers.values()) + self.operations


def tiers_of(lifecycle: Mapping[str, Any]) -> list[Tier]:
    """Rules of a GCS lifecycle → tiers by age."""
    moves = [rule for rule in lifecycle["rule"] if rule["action"]["type"] == "SetStorageClass"]
    later = sorted((rule["condition"]["age"], rule["action"]["storageClass"]) for rule in moves)
    steps = [(0, "STANDARD"), *later]
    ends: list[int | None] = [age for age, _ in later]
    return [Tier(name, age, end) for (age, name), end in zip(steps, [*ends, None], strict=True)]


def monthly_cost(
    homes: int,
    tiers: list[Tier],
    prices: Mapping[str, Any],
    *,
    home_bytes_a_day: float = HOME_BYTES_A_DAY,
    layout: Layout = Layout(),  # noqa: B008  (immutable)
) -> Cost:
    """A fleet's archive in USD a month: bytes in each class, and the operations that make and move objects.

    A file is written once, moved by lifecycle once into each class (an operation of class A there), and
    its landing objects are written, read twice (merge and verification) and deleted (free).
    """
    storage = prices["storage"]
    day_bytes = homes * home_bytes_a_day
    day_gib = day_bytes / GIB
    kept = {
        tier.storage_class: day_gib * _days(tier, layout.kept_days) * storage["gib_month"][tier.storage_class]
        for tier in tiers
    }
    a_day = _objects(day_bytes, layout.part_bytes, 3)  # part, index, accounts
    landing = max(day_bytes / layout.landing_bytes, 24.0 if homes else 0.0)
    writes = (landing + a_day) * storage["class_a_per_1000"]["STANDARD"]
    reads = (2 * landing + a_day) * storage["class_b_per_1000"]["STANDARD"]
    moves = sum(
        a_day * storage["class_a_per_1000"][tier.storage_class]
        for tier in tiers
        if tier.storage_class != "STANDARD" and tier.first_day < layout.kept_days
    )
    return Cost(
        landing=day_gib * layout.landing_days * storage["gib_month"]["STANDARD"],
        tiers=kept,
        operations=(writes + reads + moves) / 1_000 * DAYS_A_MONTH,
    )


def _days(tier: Tier, kept_days: int) -> int:
    """How many days' worth of files are in a tier at any time."""
    end = kept_days if tier.end_day is None else min(tier.end_day, kept_days)
    return max(0, end - tier.first_day)


def _objects(day_bytes: float, part_bytes: int, files: int) -> float:
    """Compacted files a day: at least one part, however small the fleet."""
    return files * max(1.0, day_bytes / part_bytes) if day_bytes else 0.0


def too_early(tiers: list[Tier], prices: Mapping[str, Any]) -> list[str]:
    """Classes that files leave before their minimum storage time: it is charged all the same."""
    minimum = prices["storage"]["minimum_days"]
    return [
        tier.storage_class
        for tier in tiers
        if tier.end_day is not None and tier.end_day - tier.first_day < minimum[tier.storage_class]
    ]


def load_prices() -> dict[str, Any]:
    """deploy/prices.json."""
    prices: dict[str, Any] = json.loads((DEPLOY / "prices.json").read_text())
    return prices


def load_tiers() -> list[Tier]:
    """deploy/lifecycle/lifecycle.json."""
    return tiers_of(json.loads((DEPLOY / "lifecycle" / "lifecycle.json").read_text()))


def main() -> None:
    """Print a month's cost at each scale."""
    prices, tiers = load_prices(), load_tiers()
    names = [tier.storage_class for tier in tiers]
    print(f"USD a month, prices of {prices['as_of']}, kept for {Layout().kept_days} days")
    print("  ".join(f"{name:>12}" for name in ("homes", "landing", *names, "operations", "total", "a home")))
    for homes in SCALES:
        cost = monthly_cost(homes, tiers, prices)
        figures = (cost.landing, *cost.tiers.values(), cost.operations, cost.total)
        print(
            "  ".join([f"{homes:>12,}", *(f"{x:>12,.2f}" for x in figures), f"{cost.total / homes:>12.4f}"])
        )


if __name__ == "__main__":
    main()
