"""The variants as processes of their own, so that CPU and memory are theirs alone.

`bare` and `batch` run to their end and print one JSON line a pass; `stream` submits the job to the
local engine and leaves it running.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.bare_loop import BareLoop
from pipelines.io import Io
from pipelines.models import model_handlers
from pipelines.monitor import build
from pipelines.options import MonitorConfig
from schemas.archive import DEAD_LETTER_SCHEMA, PARTITIONS
from transforms.alarm_store import MemoryStore
from transforms.archive_raw import ArchiveRaw
from transforms.elements import RawMessage
from transforms.raise_alarms import StoreEffects, wall_clock_us
from transforms.read_archive import ReadArchive, raw_message
from transforms.read_pubsub import ReadPubSub
from transforms.write_objects import WriteAvroObjects
from transforms.write_warehouse import WriteWarehouse


def monitor_io(source: beam.PTransform, output: str) -> Io:
    """The monitor's edges without network: everything is archived, scored and raised as live, into
    files and a store in memory, so that all variants do the same work."""
    open_store = functools.partial(MemoryStore, wall_clock_us)
    return Io(
        sources={"ReadMinutes": source},
        archive=ArchiveRaw(f"{output}/archive"),
        dead_letters=WriteAvroObjects(f"{output}/dead_letters", "dead_letters", DEAD_LETTER_SCHEMA),
        effects=StoreEffects(open_store),
        open_store=open_store,
        warehouse=WriteWarehouse(f"{output}/warehouse"),
    )


def monitor_config(output: str, ca: str) -> MonitorConfig:
    """The minutes lane's configuration; where it reads is told to `monitor_io`."""
    return MonitorConfig(input=("file://recorded",), lanes=("minutes",), output=output, fleet_ca=ca)


def bare(recorded: Path, output: Path, ca: Path, passes: int) -> None:
    """The plain loop over messages that are in memory."""
    messages = sorted(read_recorded(recorded), key=lambda message: message.publish_us)
    for _ in range(passes):
        loop = BareLoop(ca.read_bytes(), output)
        with measured() as figures:
            loop.run(messages)
        say(figures, stages_cpu_s=loop.stages, counts=dict(loop.counts))
        shutil.rmtree(output)


def batch(recorded: Path, output: Path, ca: Path, passes: int) -> None:
    """The pipeline on files, by Beam's in-process runner."""
    for _ in range(passes):
        with measured() as figures:
            pipeline = beam.Pipeline(FnApiRunner(), PipelineOptions([]))
            source = ReadArchive(str(recorded), ("minutes",))
            build(
                pipeline,
                monitor_config(str(output), str(ca)),
                monitor_io(source, str(output)),
                model_handlers(),
            )
            result = pipeline.run()
            result.wait_until_finish()
        say(figures, counts=_counters(result))
        shutil.rmtree(output)


def stream(subscription: str, output: Path, ca: Path, beam_options: list[str]) -> None:
    """Submit the streaming job; it runs until the engine stops."""
    pipeline = beam.Pipeline(options=PipelineOptions(beam_options, save_main_session=False))
    source = ReadPubSub(subscription, "minutes")
    build(pipeline, monitor_config(str(output), str(ca)), monitor_io(source, str(output)), model_handlers())
    pipeline.run()


def read_recorded(folder: Path) -> Iterator[RawMessage]:
    """Archive folder → its messages."""
    for file in sorted(folder.glob(f"{PARTITIONS}/*.avro")):
        with file.open("rb") as stored:
            for row in fastavro.reader(stored):
                yield raw_message(row)  # type: ignore[arg-type]


@contextlib.contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """CPU and wall-clock seconds of what runs inside; all threads, no children (there are none)."""
    figures: dict[str, Any] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield figures
    figures["cpu_s"] = time.process_time() - cpu
    figures["wall_s"] = time.perf_counter() - wall


def say(figures: dict[str, Any], **more: Any) -> None:
    """One pass as a JSON line."""
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**figures, "peak_rss_mb": peak_kib * 1024 / 1e6, **more}), flush=True)


def _counters(result: Any) -> dict[str, int]:
    wanted = {"batches_in", "batches_rejected", "scores_absent", "packs_out", "windows_out", "objects_out"}
    found: dict[str, int] = {}
    for counter in result.metrics().query()["counters"]:
        name = counter.key.metric.name
        if name in wanted or name.startswith("scores_"):
            found[name] = found.get(name, 0) + int(counter.committed or 0)
    return found


def main() -> None:
    """`python -m benchmarks.jobs bare|batch|stream …`"""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs")
    parser.add_argument("variant", choices=("bare", "batch", "stream"))
    parser.add_argument("--recorded", type=Path, help="archive folder of recorded batches")
    parser.add_argument("--subscription", help="projects/…/subscriptions/…, for stream")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=2)
    flags, rest = parser.parse_known_args(sys.argv[1:])
    if flags.variant == "stream":
        stream(flags.subscription, flags.output, flags.ca, rest)
    else:
        {"bare": bare, "batch": batch}[flags.variant](flags.recorded, flags.output, flags.ca, flags.passes)


if __name__ == "__main__":
    main()
