"""Measure detection: `python -m benchmarks.detection [--part NAME …] [--json FILE] [--docs]`.

Prints one JSON object with machine, commit and a result a part, and writes it to FILE. `--docs` also
renews docs/detection/PART.json, the plots and the tables of docs/detection.md, as soon as a part is
measured: what a later one breaks off with takes nothing back. Recordings are read from
HEARTHWATCH_RECORDINGS.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.detection import page
from benchmarks.detection.figures import check
from local.config import ROOT

PARTS: Final = ("fire", "co", "occupancy", "home", "speed", "sound", "corpora", "cascade")
_LOG = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all of them")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--docs", action="store_true", help="renew docs/detection")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    load = report.load_1min()
    commit = report.commit(ROOT)  # before what is renewed here counts as a change
    found = {}
    for name in options.part or PARTS:
        found[name] = measured(name) | {"commit": commit}
        if options.docs:
            page.renew(name, found[name], page.PAGE, page.RESULTS)
    whole = report.document("detection", {"parts": found}, [], load)
    json.dump(whole, sys.stdout, indent=1, allow_nan=False)
    print()
    if options.json:
        report.write(options.json, whole)
    return 0


def measured(name: str) -> dict[str, Any]:
    """One part's report, each of its figures checked."""
    load, began = report.load_1min(), time.monotonic()
    result = page.part(name).measure()
    for figure in result["figures"]:
        check(figure)
    _LOG.info("%s: %d figures, %.0f s", name, len(result["figures"]), time.monotonic() - began)
    return report.document(f"detection/{name}", result, [], load)


if __name__ == "__main__":
    sys.exit(main())
