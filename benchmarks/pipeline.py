"""What the pipeline costs: the same recorded batches through a bare loop, in batch, and as a stream.

`python -m benchmarks.pipeline --json PATH`: all variants in one run, so that ratios do not depend on
the machine's day (the bare loop runs before and after the others). Every variant archives, verifies,
scores, tracks, fuses and writes warehouse lines; Firestore and BigQuery are left out (a store in
memory, lines in files). Figures are of the last pass, when code is compiled, models are loaded and
connections are open.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import recorded, report, stream
from benchmarks.peers import environment
from benchmarks.processes import PIPELINE_ROLES, unwind_on_sigterm
from benchmarks.recorded import Recording
from benchmarks.report import Target
from local.config import ROOT
from schemas.readings import MINUTE_US

SEED: Final = 20_261
MINUTES: Final = 5  # all of them count as recent when the stream gets them
DEFAULT_BATCHES: Final = 1_200
QUICK_BATCHES: Final = 200
PASSES: Final = 2
STREAM_PASSES: Final = 4  # the engine's JVM compiles for two or three of them
PACED_SHARE: Final = 4  # of a pass's batches are played again as they come live
_VARIANT_LIMIT_S: Final = 300

CPU_RATIO_LIMIT: Final = 1.25  # of all pipeline processes against the bare loop
MB_PER_CORE_LIMIT: Final = 40.0  # raw-equivalent per core of all pipeline processes, including ML
BUSY_LIMIT: Final = 0.9  # of the time that messages wait, the worker must be at work


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the report, and say what was found. Exit code 0 also if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--batches", type=int, help=f"recorded batches a pass (default {DEFAULT_BATCHES})")
    parser.add_argument("--quick", action="store_true", help=f"a look only: {QUICK_BATCHES} batches")
    parser.add_argument("--peers", action="store_true", help="the same work on Bytewax and Pathway as well")
    flags = parser.parse_args(arguments)
    batches = flags.batches or (QUICK_BATCHES if flags.quick else DEFAULT_BATCHES)
    if batches < 2 * MINUTES:
        parser.error(f"--batches is {batches}, limit: at least {2 * MINUTES}")
    unwind_on_sigterm()
    load_before = report.load_1min()
    with tempfile.TemporaryDirectory(prefix="hearthwatch-bench-") as folder:
        figures = measure(Path(folder), max(1, batches // MINUTES), peers=flags.peers)
    targets = targets_of(figures)
    report.write(flags.json, report.document("pipeline", figures, targets, load_before))
    for line in (*lines_of(figures), *(target.line() for target in targets)):
        print(line)
    return 0


def measure(folder: Path, homes: int, *, peers: bool) -> dict[str, Any]:
    """All variants over batches of `homes` homes → figures."""
    interpreter = environment.python() if peers else None
    _progress(f"recording {homes * MINUTES * STREAM_PASSES} batches")
    # Recent, and the stream comes early, so that it takes none for a late arrival: it sees them
    # published now. The last minute is the present one.
    start_us = (time.time_ns() // 1000 // MINUTE_US - MINUTES + 1) * MINUTE_US
    passes = [
        recorded.record(SEED, homes, MINUTES, start_us, first_home=1 + number * homes)
        for number in range(STREAM_PASSES)
    ]
    few = max(1, homes // PACED_SHARE)
    live = recorded.record(SEED, few, MINUTES, start_us, first_home=1 + STREAM_PASSES * homes)
    ca = folder / "ca.pem"
    ca.write_bytes(passes[-1].ca_pem)
    recorded.write_archive(folder / "recorded", passes[-1].messages)
    raw_mb = passes[-1].raw_mb
    count = len(passes[-1].messages)
    variants = {}
    _progress(f"bare, {PASSES} passes")
    variants["bare"] = finite_figures(_run_variant("bare", folder, ca), raw_mb, count)
    _progress(f"stream on the engine, {STREAM_PASSES} passes")
    variants["stream"], variants["stream_live"], recovery = stream.measure(folder, ca, passes, live)
    _progress(f"batch, {PASSES} passes")
    variants["batch"] = finite_figures(_run_variant("batch", folder, ca), raw_mb, count)
    for peer in environment.GUARANTEES if interpreter else ():
        _progress(f"{peer}, {PASSES} passes")
        runs = _run_variant(peer, folder, ca, [str(interpreter), "-m", "benchmarks.peers.job"])
        variants[peer] = finite_figures(runs, raw_mb, count)
        variants[peer]["guarantees"] = environment.GUARANTEES[peer]
    _progress("bare again, for the machine may have slowed down or sped up meanwhile")
    again = finite_figures(_run_variant("bare", folder, ca), raw_mb, count)
    variants["bare"] = mean_of(variants["bare"], again)
    return {
        "input": input_of(passes[-1]),
        "variants": variants,
        "stages": stages_of(variants["bare"], count),
        "ratios": ratios_of(variants),
        "recovery": recovery,
    }


def finite_figures(runs: list[dict[str, Any]], raw_mb: float, messages: int) -> dict[str, Any]:
    """Passes of a variant that is one Python process → its figures, those of the last pass."""
    last = runs[-1]
    return {
        "messages": messages,
        "wall_s": round(last["wall_s"], 3),
        "cpu_s": {"worker": round(last["cpu_s"], 3)},
        "cpu_s_per_raw_mb": {"worker": round(last["cpu_s"] / raw_mb, 5)},
        "raw_mb_per_worker_cpu_s": round(raw_mb / last["cpu_s"], 2),
        "raw_mb_per_pipeline_cpu_s": round(raw_mb / last["cpu_s"], 2),
        "raw_mb_per_wall_s": round(raw_mb / last["wall_s"], 2),
        "homes_per_pipeline_core": homes_per_core(messages, last["cpu_s"]),
        "peak_rss_mb": {"worker": round(last["peak_rss_mb"], 1)},
        "counts": last["counts"],
        "stages_cpu_s": last.get("stages_cpu_s", {}),
        "earlier_passes": [
            {"cpu_s": round(r["cpu_s"], 3), "wall_s": round(r["wall_s"], 3)} for r in runs[:-1]
        ],
    }


def homes_per_core(messages: int, cpu_s: float) -> int:
    """Homes that one core can serve, each sending a batch a minute.

    >>> homes_per_core(1_200, 3.0)
    24000
    """
    return int(messages / cpu_s * 60)


def mean_of(first: Any, second: Any) -> Any:
    """Two figures of the same shape → their mean, where they are numbers; else the first."""
    if isinstance(first, dict):
        return {name: mean_of(value, second[name]) for name, value in first.items()}
    if isinstance(first, list):
        return [mean_of(one, other) for one, other in zip(first, second, strict=True)]
    if isinstance(first, float):
        return round((first + second) / 2, 5)
    return first


def stages_of(bare: dict[str, Any], messages: int) -> dict[str, Any]:
    """Where the bare loop's CPU went."""
    stages = bare["stages_cpu_s"]
    total = sum(stages.values())
    return {
        name: {"msec_per_batch": round(1000 * seconds / messages, 4), "share": round(seconds / total, 3)}
        for name, seconds in stages.items()
    }


def ratios_of(variants: dict[str, Any]) -> dict[str, float]:
    """CPU for a raw MB against the bare loop's in the same run."""

    def per_mb(variant: str, *roles: str) -> float:
        return sum(variants[variant]["cpu_s_per_raw_mb"].get(role, 0.0) for role in roles)

    bare = per_mb("bare", "worker")
    peers = {
        f"{peer}_to_bare": round(per_mb(peer, "worker") / bare, 3)
        for peer in environment.GUARANTEES
        if peer in variants
    }
    return peers | {
        "batch_to_bare": round(per_mb("batch", "worker") / bare, 3),
        "stream_to_bare": round(per_mb("stream", *PIPELINE_ROLES) / bare, 3),
        "stream_worker_to_bare": round(per_mb("stream", "worker") / bare, 3),
        "stream_engine_to_bare": round(per_mb("stream", "engine") / bare, 3),
        "stream_live_to_bare": round(per_mb("stream_live", *PIPELINE_ROLES) / bare, 3),
    }


def targets_of(figures: dict[str, Any]) -> list[Target]:
    """What the issue asks for, now."""
    stream = figures["variants"]["stream"]
    return [
        Target(
            "CPU of worker and engine, streaming, to the bare loop",
            figures["ratios"]["stream_to_bare"],
            "at most",
            CPU_RATIO_LIMIT,
            "x",
        ),
        Target(
            "raw-equivalent per core of worker and engine, streaming",
            stream["raw_mb_per_pipeline_cpu_s"],
            "at least",
            MB_PER_CORE_LIMIT,
            "MB/s",
        ),
        Target(
            "share of the time messages wait in which the pipeline works",
            stream["busy_share"],
            "at least",
            BUSY_LIMIT,
            "1",
        ),
    ]


def input_of(recording: Recording) -> dict[str, Any]:
    """What was played in the pass that counts."""
    count = len(recording.messages)
    return {
        "seed": SEED,
        "batches": count,
        "homes": recording.homes,
        "minutes": recording.minutes,
        "readings": recording.readings,
        "raw_mb": round(recording.raw_mb, 3),
        "raw_bytes_per_batch": recording.raw_bytes // count,
        "wire_bytes_per_batch": recording.wire_bytes // count,
        "rendered_homes": min(recording.homes, recorded.RENDERED_HOMES),
    }


def lines_of(figures: dict[str, Any]) -> Iterator[str]:
    """The report for a person."""
    for name, one in figures["variants"].items():
        cpu = ", ".join(f"{role} {seconds:.2f}" for role, seconds in one["cpu_s"].items())
        peak = ", ".join(f"{role} {size:.0f}" for role, size in one["peak_rss_mb"].items())
        yield (
            f"{name:12}{one['messages']} batches in {one['wall_s']:.1f} s; CPU s: {cpu}; "
            f"{one['raw_mb_per_worker_cpu_s']:.1f} raw MB/s per worker core, "
            f"{one['raw_mb_per_pipeline_cpu_s']:.1f} per pipeline core "
            f"({one['homes_per_pipeline_core']} homes); peak MB: {peak}"
        )
    back = figures["recovery"]
    yield (
        f"workers killed with {back['messages']} batches waiting: at work again after "
        f"{back['restart_s']:.1f} s, all archived after {back['recovered_s']:.1f} s"
    )
    for name, stage in figures["stages"].items():
        yield f"  {name:15}{stage['msec_per_batch']:7.3f} ms a batch {100 * stage['share']:5.1f} %"


def _run_variant(
    variant: str, folder: Path, ca: Path, program: Sequence[str] = (sys.executable, "-m", "benchmarks.jobs")
) -> list[dict[str, Any]]:
    command = [
        *program,
        variant,
        *(f"--recorded={folder / 'recorded'}", f"--output={folder / variant}", f"--ca={ca}"),
        f"--passes={PASSES}",
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_VARIANT_LIMIT_S
    )
    if done.returncode:
        raise RuntimeError(f"{variant} ended with {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _progress(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
