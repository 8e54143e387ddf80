"""The streaming job on the local engine: recorded batches from the Pub/Sub emulator, CPU by process."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import fastavro
import psutil

from benchmarks import recorded
from benchmarks.processes import PIPELINE_ROLES, Meter
from benchmarks.recorded import Recording
from local import emulators, parts, topics
from local.config import ROOT, Settings, isolated
from local.engine import runner_options
from schemas.archive import PARTITIONS

PACE_PER_S: Final = 40.0  # as 2,400 homes send them
_START_LIMIT_S: Final = 60
_PASS_LIMIT_S: Final = 180
_SETTLE_LIMIT_S: Final = 45
_IDLE_S: Final = 3.0


def measure(
    folder: Path, ca: Path, passes: list[Recording], live: Recording
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The streaming job: figures of a full topic, of batches that come one by one, and of a killed worker."""
    settings = isolated(folder / "run", warehouse="off")
    output = folder / "stream"
    with ExitStack() as stack:
        pubsub = next(part for part in parts.stand_ins(settings) if part.name == "pubsub")
        stack.enter_context(parts.running(pubsub, settings))
        stack.enter_context(parts.running(parts.engine_part(settings), settings))
        meter = stack.enter_context(Meter(settings))
        _submit(settings, output, ca)
        wait(lambda: bool(meter.workers()), _START_LIMIT_S, "the engine to start a worker")
        full = [_pass(settings, meter, output, recording) for recording in passes]
        idle = idle_cores(meter)
        one_by_one = _pass(settings, meter, output, live, PACE_PER_S)
        recovery = _killed(settings, meter, output, passes[-1])
    earlier = [{"cpu_s": run["cpu_s"], "wall_s": run["wall_s"]} for run in full[:-1]]
    figures = full[-1] | {"idle_cores": round(idle, 3), "earlier_passes": earlier}
    return figures, one_by_one | {"pace_per_s": PACE_PER_S}, recovery


def _killed(settings: Settings, meter: Meter, output: Path, recording: Recording) -> dict[str, Any]:
    """Kill the workers when a backlog waits: how long until it is worked on again, and until it is gone.

    Its batches have been seen before, so that windows stay as they are; everything else is done anew.
    """
    archive = output / "archive"
    workers = meter.workers()
    with held(workers):
        recorded.publish(settings, "minutes", recording.messages)
    rows_before = archived(archive)
    for worker in workers:
        worker.kill()
    began = time.monotonic()
    wait(lambda: archived(archive) > rows_before, _PASS_LIMIT_S, "the first batch after the kill")
    restart_s = time.monotonic() - began
    wanted = rows_before + len(recording.messages)
    wait(lambda: archived(archive) >= wanted, _PASS_LIMIT_S, f"{wanted} batches in the archive")
    return {
        "messages": len(recording.messages),
        "restart_s": round(restart_s, 2),
        "recovered_s": round(time.monotonic() - began, 2),
    }


def _pass(
    settings: Settings, meter: Meter, output: Path, recording: Recording, pace_per_s: float | None = None
) -> dict[str, Any]:
    archive = output / "archive"
    rows_before, objects_before = archived(archive), _objects(archive)
    windows_before = _windows(output)
    meter.forget_peaks()
    if pace_per_s:
        before = meter.usage()
        recorded.publish(settings, "minutes", recording.messages, pace_per_s)
    else:
        with held(meter.workers()):
            recorded.publish(settings, "minutes", recording.messages)
            before = meter.usage()
    wanted = rows_before + len(recording.messages)
    wait(lambda: archived(archive) >= wanted, _PASS_LIMIT_S, f"{wanted} batches in the archive")
    drained = meter.usage()
    busy_s = drained.since(before).get("worker", 0.0) / (drained.at_s - before.at_s)
    after = meter.settled(_SETTLE_LIMIT_S)
    cpu = after.since(before)
    pipeline = sum(cpu.get(role, 0.0) for role in PIPELINE_ROLES)
    wall, raw_mb, count = after.at_s - before.at_s, recording.raw_mb, len(recording.messages)
    return {
        "messages": count,
        "wall_s": round(wall, 3),
        "busy_share": round(min(1.0, busy_s), 3),
        "homes_per_pipeline_core": int(count / pipeline * 60),
        "cpu_s": {role: round(seconds, 3) for role, seconds in cpu.items()},
        "cpu_s_per_raw_mb": {role: round(seconds / raw_mb, 5) for role, seconds in cpu.items()},
        "raw_mb_per_worker_cpu_s": round(raw_mb / cpu["worker"], 2),
        "raw_mb_per_pipeline_cpu_s": round(raw_mb / pipeline, 2),
        "raw_mb_per_wall_s": round(raw_mb / wall, 2),
        "peak_rss_mb": meter.peak_rss_mb(),
        "counts": {
            "archived": archived(archive) - rows_before,
            "archive_objects": _objects(archive) - objects_before,
            "windows": _windows(output) - windows_before,
        },
    }


def _windows(output: Path) -> int:
    """Rows of window scores: far from the bare loop's count, and the two did not do the same work."""
    return sum(file.read_bytes().count(b"\n") for file in output.glob("warehouse/window_scores/*.jsonl"))


def _objects(archive: Path) -> int:
    return sum(1 for _ in archive.glob(f"{PARTITIONS}/*.avro"))


@contextmanager
def held(workers: list[psutil.Process]) -> Iterator[None]:
    """Stop the workers for as long as the topic is filled: they then find all of it waiting."""
    for worker in workers:
        worker.suspend()
    try:
        yield
    finally:
        for worker in workers:
            worker.resume()


def idle_cores(meter: Meter) -> float:
    """Cores that workers and engine take while nothing arrives."""
    before = meter.usage()
    time.sleep(_IDLE_S)
    after = meter.usage()
    return (after.pipeline_s() - before.pipeline_s()) / (after.at_s - before.at_s)


def _submit(settings: Settings, output: Path, ca: Path) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks.jobs", "stream", f"--output={output}", f"--ca={ca}"),
        f"--subscription=projects/{settings.project}/subscriptions/{topics.subscription('minutes')}",
        "--job_name=benchmark",
        *runner_options(settings),
    ]
    environment = {**os.environ, **emulators.client_environment(settings)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"the job was not taken: {done.stderr[-2000:]}")


def archived(folder: Path) -> int:
    """Rows of all archive objects."""
    return sum(_rows(file) for file in folder.glob(f"{PARTITIONS}/*.avro"))


@functools.cache
def _rows(file: Path) -> int:
    """Rows of one object, from its block headers; an object never changes."""
    with file.open("rb") as stored:
        return sum(block.num_records for block in fastavro.block_reader(stored))


def wait(ready: Callable[[], bool], limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_s:.0f} s for {what}")
        time.sleep(0.1)
