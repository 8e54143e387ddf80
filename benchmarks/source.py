"""What the Pub/Sub source costs by itself: a subscription → bundles → nothing, on Flink and the emulator.

`python -m benchmarks.source --json PATH`. Messages of a minute batch's size: all of them waiting, and one by
one at the pace of 2,400 homes. Each way of ending bundles (`transforms/read_pubsub.py`) is a job of its own
on an engine of its own, in one run. The sink only counts, one file a bundle, so that the CPU is that of
client, lease, bundles and engine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks import recorded, report
from benchmarks.processes import PIPELINE_ROLES, Meter, unwind_on_sigterm
from benchmarks.report import Target
from benchmarks.stream import held, idle_cores, wait
from local import emulators, parts, topics
from local.config import ROOT, Settings, isolated
from local.engine import runner_options
from transforms.elements import RawMessage
from transforms.read_pubsub import BundleBounds, ReadPubSub, bounds_of

MESSAGE_BYTES: Final = 46_700  # a full minute of ten sensors as signed
RAW_PER_WIRE: Final = 79.3 / 46.7
DEFAULT_MESSAGES: Final = 1_200
PASSES: Final = 3  # the engine's JVM compiles in the first two
PACE_PER_S: Final = 40.0
PACED_S: Final = 20.0
MB_PER_CORE_LIMIT: Final = 40.0
WAYS: Final = {
    "ends when empty": BundleBounds(max_messages=1_000, max_bytes=16 << 20, busy_s=1.0, linger_s=0.0),
    "minutes": bounds_of("minutes"),
}
_LIMIT_S: Final = 240.0


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the report, and say what was found. Exit code 0 also if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.source", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--json", type=Path, help="where the report goes")
    parser.add_argument("--messages", type=int, default=DEFAULT_MESSAGES, help="a pass (default %(default)s)")
    parser.add_argument("--job", help=argparse.SUPPRESS)  # submits a job of this way instead
    flags, rest = parser.parse_known_args(arguments)
    if flags.job:
        submit(flags.job, *rest)
        return 0
    if flags.json is None or rest or flags.messages < 100:
        parser.error("--json PATH is needed; --messages: at least 100")
    unwind_on_sigterm()
    load_before = report.load_1min()
    ways = {}
    for way in WAYS:
        print(f"{way} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
            ways[way] = measure(Path(folder), way, flags.messages)
    now = ways["minutes"]
    targets = [
        Target("raw-equivalent per core, source alone", now["full"]["raw_mb_per_core_s"], "at least",
               MB_PER_CORE_LIMIT, "MB/s"),
    ]  # fmt: skip
    report.write(flags.json, report.document("source", {"ways": ways}, targets, load_before))
    for way, figures in ways.items():
        print(f"{way}: {json.dumps(figures)}")
    for target in targets:
        print(target.line())
    return 0


def measure(folder: Path, way: str, messages: int) -> dict[str, Any]:
    """One way of ending bundles → its figures."""
    settings = isolated(folder / "run", warehouse="off")
    seen = folder / "seen"
    seen.mkdir()
    with ExitStack() as stack:
        pubsub = next(part for part in parts.stand_ins(settings) if part.name == "pubsub")
        stack.enter_context(parts.running(pubsub, settings))
        stack.enter_context(parts.running(parts.engine_part(settings), settings))
        meter = stack.enter_context(Meter(settings))
        _start_job(settings, way, seen)
        wait(lambda: bool(meter.workers()), _LIMIT_S, "the engine to start a worker")
        passes = [_full(settings, meter, seen, messages) for _ in range(PASSES)]
        idle = idle_cores(meter)
        one_by_one = _paced(settings, meter, seen, idle)
    return {
        "full": passes[-1],
        "earlier": passes[:-1],
        "one_by_one": one_by_one,
        "idle_cores": round(idle, 3),
    }


def _full(settings: Settings, meter: Meter, seen: Path, count: int) -> dict[str, Any]:
    """All messages wait."""
    before_bundles = _bundles(seen)
    wanted = _count(seen) + count
    with held(meter.workers()):
        recorded.publish(settings, "minutes", _messages(count))
        before = meter.usage()
    wait(lambda: _count(seen) >= wanted, _LIMIT_S, f"{wanted} messages")
    after = meter.usage()
    bundles = _bundles(seen)[len(before_bundles) :]
    cpu = after.since(before)
    pipeline_s = sum(cpu.get(role, 0.0) for role in PIPELINE_ROLES)
    wire_mb = count * MESSAGE_BYTES / 1e6
    return {
        "cpu_ms_per_message": {role: round(1e3 * cpu.get(role, 0.0) / count, 3) for role in PIPELINE_ROLES},
        "wire_mb_per_core_s": round(wire_mb / pipeline_s, 1),
        "raw_mb_per_core_s": round(wire_mb * RAW_PER_WIRE / pipeline_s, 1),
        "bundles": len(bundles),
        "idle_ms_between_bundles": round(1e3 * idle_between_s(bundles), 1),
    }


def idle_between_s(bundles: list[dict[str, Any]]) -> float:
    """Mean time from one bundle's last message to the next one's first; 0: there was one bundle.

    >>> idle_between_s([{"began_s": 0.0, "ended_s": 1.0}, {"began_s": 1.5, "ended_s": 2.0}])
    0.5
    """
    gaps = [later["began_s"] - one["ended_s"] for one, later in itertools.pairwise(bundles)]
    return sum(gaps) / len(gaps) if gaps else 0.0


def _paced(settings: Settings, meter: Meter, seen: Path, idle: float) -> dict[str, Any]:
    """Messages come one by one."""
    count = int(PACE_PER_S * PACED_S)
    before_bundles, wanted = len(_bundles(seen)), _count(seen) + count
    before = meter.usage()
    recorded.publish(settings, "minutes", _messages(count), PACE_PER_S)
    wait(lambda: _count(seen) >= wanted, _LIMIT_S, f"{wanted} messages")
    after = meter.usage()
    bundles = _bundles(seen)[before_bundles:]
    total_s = after.pipeline_s() - before.pipeline_s()
    cpu_s = total_s - idle * (after.at_s - before.at_s)
    return {
        "pace_per_s": PACE_PER_S,
        "bundles": len(bundles),
        "messages_per_bundle": round(count / len(bundles), 1),
        "cpu_ms_per_message": round(1e3 * total_s / count, 3),
        "cpu_ms_per_message_above_idle": round(1e3 * cpu_s / count, 3),
    }


def submit(way: str, subscription: str, seen: str, *options: str) -> None:
    """Submit the job; it runs until the engine stops."""
    pipeline = beam.Pipeline(options=PipelineOptions(list(options), save_main_session=False))
    source = ReadPubSub(subscription, "minutes", WAYS[way])
    _ = pipeline | "Read" >> source | "Count" >> beam.ParDo(_CountBundles(seen))
    pipeline.run()


class _CountBundles(beam.DoFn):
    """Notes each bundle: messages, and when the first came and the last had been seen."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._messages, self._began_s = 0, 0.0

    def process(self, message: RawMessage) -> None:
        del message
        if not self._messages:
            self._began_s = time.time()
        self._messages += 1

    def finish_bundle(self) -> None:
        if self._messages:
            note = {"messages": self._messages, "began_s": self._began_s, "ended_s": time.time()}
            partial = Path(self._folder) / f"{uuid.uuid4().hex}.part"
            partial.write_text(json.dumps(note))
            partial.rename(partial.with_suffix(".json"))


def _start_job(settings: Settings, way: str, seen: Path) -> None:
    subscription = f"projects/{settings.project}/subscriptions/{topics.subscription('minutes')}"
    command = [sys.executable, "-m", "benchmarks.source", f"--job={way}", subscription, str(seen)]
    done = subprocess.run(
        [*command, "--job_name=source", *runner_options(settings)],
        cwd=ROOT,
        env={**os.environ, **emulators.client_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"the job was not taken: {done.stderr[-2000:]}")


def _messages(count: int) -> list[RawMessage]:
    return [RawMessage(os.urandom(MESSAGE_BYTES), [], "", 0, "minutes") for _ in range(count)]


def _bundles(seen: Path) -> list[dict[str, Any]]:
    notes = (json.loads(path.read_text()) for path in seen.glob("*.json"))
    return sorted(notes, key=lambda note: float(note["began_s"]))


def _count(seen: Path) -> int:
    return sum(int(note["messages"]) for note in _bundles(seen))


if __name__ == "__main__":
    sys.exit(main())
