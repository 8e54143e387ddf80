"""One peer as a process of its own: `python -m benchmarks.peers.job bytewax …`, one JSON line a pass."""

from __future__ import annotations

import argparse
import importlib
import shutil
from pathlib import Path

from benchmarks.bare_loop import BareLoop
from benchmarks.jobs import measured, read_recorded, say


def main() -> None:
    """Run the passes over recorded batches that are in memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.job")
    parser.add_argument("peer", choices=("bytewax", "pathway"))
    for name in ("recorded", "output", "ca"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--passes", type=int, required=True)
    flags = parser.parse_args()
    job = importlib.import_module(f"benchmarks.peers.{flags.peer}_job")
    messages = sorted(read_recorded(flags.recorded), key=lambda message: message.publish_us)
    for _ in range(flags.passes):
        loop = BareLoop(flags.ca.read_bytes(), flags.output / "work")
        with measured() as figures:
            job.run(loop, messages, flags.output)
        say(figures, counts=dict(loop.counts))
        shutil.rmtree(flags.output)


if __name__ == "__main__":
    main()
