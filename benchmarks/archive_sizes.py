"""Archive objects and their price, from ten homes to a million: `python -m benchmarks.archive_sizes`.

What a bundle holds at a rate is measured (`MEASURED`, or the report of a source benchmark); the rest is
arithmetic by the rules of transforms/archive_raw.py.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import report
from benchmarks.storage_cost import DAYS_A_MONTH, DEPLOY, GIB, HOME_BYTES_A_DAY, SCALES
from transforms.archive_raw import LARGE_BYTES, MAX_PACKS

HOLD_S: Final = 60.0
MESSAGES_A_DAY: Final = 1_440  # of a home
MESSAGE_BYTES: Final = HOME_BYTES_A_DAY // MESSAGES_A_DAY
DAY_S: Final = 86_400
# One worker core's share of messages: half of what it was measured to carry with models.
WORKER_PER_S: Final = 80.0


class BundleSize(NamedTuple):
    """Measured: messages of a bundle on a worker that gets so many a second."""

    per_s: float
    messages: float


# Assumed from a bundle every 0.2 s, which is what Flink's turn-around allows; between the points it is
# interpolated.
MEASURED: Final = (BundleSize(1, 1.0), BundleSize(10, 2.0), BundleSize(80, 16.0))


class Plan(NamedTuple):
    """A month of the archive at one scale.

    Attributes:
        held: Whether bundles are small enough to be held.
        object_bytes: Mean size. objects: A month's number.
        usd, usd_direct: Class A operations with holding, and with one object a bundle.
        storage_usd: The month's data kept for a month, for comparison.
    """

    homes: int
    workers: int
    bundle_bytes: int
    held: bool
    object_bytes: int
    objects: int
    usd: float
    usd_direct: float
    storage_usd: float


def bundle_messages(per_s: float, measured: Sequence[BundleSize] = MEASURED) -> float:
    """Messages of a worker's bundle at a rate: between the measured points, in proportion.

    >>> bundle_messages(5.5, [BundleSize(1, 1), BundleSize(10, 3)])
    2.0
    """
    points = sorted(measured)
    if per_s <= points[0].per_s:
        return max(1.0, points[0].messages * per_s / points[0].per_s)
    for left, right in itertools.pairwise(points):
        if per_s <= right.per_s:
            share = (per_s - left.per_s) / (right.per_s - left.per_s)
            return left.messages + share * (right.messages - left.messages)
    return points[-1].messages


def plan(
    homes: int,
    storage_prices: Mapping[str, Any],
    measured: Sequence[BundleSize] = MEASURED,
    hold_s: float = HOLD_S,
) -> Plan:
    """A month of the archive of so many homes that send full batches.

    Args:
        storage_prices: "storage" of deploy/prices.json.
    """
    per_s = homes * MESSAGES_A_DAY / DAY_S
    workers = max(1, math.ceil(per_s / WORKER_PER_S))
    messages = bundle_messages(per_s / workers, measured)
    bundle_bytes = messages * MESSAGE_BYTES
    month_s = DAYS_A_MONTH * DAY_S
    direct = per_s / messages * month_s
    put_usd = storage_prices["class_a_per_1000"]["STANDARD"] / 1_000
    held = bundle_bytes < LARGE_BYTES
    # All workers' packs of an hour and lane meet under one key, until it is time or there are many.
    packs = min(MAX_PACKS, max(1.0, per_s / messages * hold_s)) if held else 1
    objects = direct / packs
    return Plan(
        homes,
        workers,
        round(bundle_bytes),
        held,
        round(bundle_bytes * packs),
        round(objects),
        round(objects * put_usd, 2),
        round(direct * put_usd, 2),
        round(per_s * MESSAGE_BYTES * month_s / GIB * storage_prices["gib_month"]["STANDARD"], 2),
    )


def table(plans: Sequence[Plan]) -> str:
    """For a person."""
    lines = ["    homes workers  bundle MiB  object MiB  objects/month  USD/month  one a bundle  storage"]
    lines += [
        f"{one.homes:>9} {one.workers:>7} {one.bundle_bytes / 2**20:>11.2f} {one.object_bytes / 2**20:>11.1f}"
        f" {one.objects:>14} {one.usd:>10.2f} {one.usd_direct:>13.2f} {one.storage_usd:>8.0f}"
        for one in plans
    ]
    return "\n".join(lines)


def measured_sizes(source_report: Path) -> list[BundleSize]:
    """A report of `benchmarks.source` → the bundle sizes that it saw."""
    paced = json.loads(source_report.read_text())["paced"]
    return [BundleSize(run["per_s"], run["bundle_messages"]["mean"]) for run in paced]


def main() -> None:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive_sizes")
    parser.add_argument("--source-report", type=Path, help="JSON of benchmarks.source; default: as recorded")
    parser.add_argument("--hold-s", type=float, default=HOLD_S)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    measured = measured_sizes(flags.source_report) if flags.source_report else MEASURED
    prices = json.loads((DEPLOY / "prices.json").read_text())["storage"]
    plans = [plan(homes, prices, measured, flags.hold_s) for homes in SCALES]
    print(table(plans))
    if flags.json:
        figures = {"plans": [one._asdict() for one in plans]}
        report.write(flags.json, report.document("archive_sizes", figures, [], report.load_1min()))


if __name__ == "__main__":
    main()
