"""`make train`: train on the warehouse that the demo filled, on this machine, and publish what is blessed.

Compacts the archive into the training table with the labels that were given so far, adds the corpora, and
runs `pipelines.train` where TFX is (local.tfx_root). Works while the system runs, and after it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from local import emulators, install, models, parts, supervise, tfx_root
from local.config import ROOT, Settings
from local.tools import MissingTool
from local.training import corpora
from pipelines import compact
from pipelines.train import PUBLISHED
from schemas.warehouse import TRAINING_READINGS
from transforms.warehouse_loads import load_target, merge_data
from transforms.write_warehouse import json_line

# A demo lasts minutes: of so few readings a thousandth would be none.
SAMPLE = 0.1
# Exit codes beside those of pipelines.train, 0, 2, 3 and 4.
ARCHIVE_UNREADABLE, NOT_HERE = 1, 5
Say = Callable[[str], None]


def main(arguments: list[str] | None = None) -> int:
    """Exit code: that of pipelines.train; `ARCHIVE_UNREADABLE`; `NOT_HERE`: a program is missing here."""
    parser = argparse.ArgumentParser(
        prog="python -m local.train", description=__doc__, epilog="Other options go to pipelines.train."
    )
    parser.add_argument("--family", default="air", choices=["air"], help="what is trained (default: air)")
    parser.add_argument("--sample", type=float, default=SAMPLE, help=f"of unlabelled readings ({SAMPLE})")
    known, rest = parser.parse_known_args(arguments)
    settings = Settings()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    try:
        install.ensure_warehouse(settings, say)
        tfx_root.ensure(settings, say)
        with stores(settings, say) as everything_runs:
            return run(settings, say, known.family, known.sample, everything_runs, rest)
    except MissingTool as error:
        print(f"train: {error}", file=sys.stderr)
        return NOT_HERE


@contextlib.contextmanager
def stores(settings: Settings, say: Say) -> Iterator[bool]:
    """Object storage and warehouse, with what the last run left in them → whether the whole system runs."""
    if supervise.supervisor_process(settings):
        say(f"the system in {settings.run} runs: its stores are used")
        emulators.use_stand_ins(settings)
        yield True
        return
    say(f"the system does not run: its stores are started on {settings.data}; labels are lost with it")
    by_name = {part.name: part for part in parts.stand_ins(settings)}
    emulators.use_stand_ins(settings)
    with parts.running(by_name["gcs"], settings), parts.running(by_name["bigquery"], settings):
        models.seed(settings)
        yield False


def run(
    settings: Settings, say: Say, family: str, sample: float, everything_runs: bool, rest: list[str]
) -> int:
    """Training table, corpora, training → exit code."""
    warehouse = f"bigquery://{settings.project}.{settings.dataset}"
    archive = f"{settings.output_url}/archive"
    ca = settings.run / "fleet" / "ca.pem"
    if ca.exists():
        say("archive → training table")
        labels = [f"--labels=firestore://{settings.project}"] if everything_runs else []
        code = compact.main(
            [
                *(f"--archive={archive}", f"--output={settings.output_url}/compacted", f"--fleet-ca={ca}"),
                *(f"--warehouse={warehouse}", f"--bulk=gs://{settings.bucket}", "--training"),
                *(f"--sample={sample}", *labels),
            ]
        )
        if code:
            return ARCHIVE_UNREADABLE
    else:
        say(f"no homes were ever enrolled in {settings.run}: only the corpora are there")
    say("corpora → training table")
    rows = b"".join(json_line(row) for row in corpora.air_rows(settings.recordings))
    merge_data(load_target(warehouse, f"{settings.output_url}/staging"), TRAINING_READINGS, rows)
    work = settings.run / "train" / family
    work.mkdir(parents=True, exist_ok=True)
    flags = [
        *(f"--family={family}", f"--warehouse={warehouse}", f"--work={work}"),
        *(f"--registry={settings.registry_url}", f"--registry-key={settings.registry_key}"),
        *(f"--temp=gs://{settings.bucket}/temp", f"--code={commit()}", "--fleet=synthetic", *rest),
    ]
    code = subprocess.run(train_command(settings, flags), check=False).returncode
    if code == PUBLISHED:
        say("next: `hearthwatch models list`, then `hearthwatch models promote` for shadow and fleet")
    return code


def train_command(settings: Settings, flags: list[str]) -> list[str]:
    """Flags → command line of pipelines.train where TFX is."""
    return tfx_root.command(settings, ["-m", "pipelines.train", *flags], binds=[settings.run])


def commit() -> str:
    """Of this checkout, "" if it is none."""
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
