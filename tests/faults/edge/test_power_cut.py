"""The power fails at every step of the outbox: un-synced writes are dropped, pages are torn.

One run of a home is recorded below SQLite by the shim. Each state in which a power cut could have
left the disk is then built from it, the real gateway starts on it, and the judge counts.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from local.config import ROOT
from tests.edge_client.fakes import SECOND, START_US
from tests.faults.edge.disk import Disk, Kept, Op, Platter
from tests.faults.edge.home import ACKNOWLEDGED, ARRIVED, SENT, Build, Home
from tests.faults.edge.judge import Verdict, item_of, judge
from tests.faults.edge.length import LONG
from tests.faults.results import record

pytestmark = [pytest.mark.system, pytest.mark.timeout(3_000 if LONG else 300)]

SEED: Final = 20_261_125
RUN_S: Final = 600 if LONG else 150  # simulated
STATES: Final = 2_000 if LONG else 120  # of the disk, for the right build
FEW: Final = 60  # for a broken build: enough to catch it
KINDS: Final[tuple[Kept, ...]] = ("nothing", "everything", "some", "some")


class Past(NamedTuple):
    """What had happened when the power failed."""

    sent: list[bytes]
    acknowledged: list[bytes]
    arrived: list[bytes]


class State(NamedTuple):
    """A disk after a power cut."""

    past: Past
    files: dict[str, bytes]


def recorded(folder: Path, build: Build) -> list[Op]:
    """One run of a home on the shim's disk → everything that happened to that disk."""
    disk = Disk(folder)
    command = [sys.executable, "-m", "tests.faults.edge.home", f"--folder={disk.folder}"]
    command += [f"--witness={folder / 'witness'}", f"--seed={SEED}", f"--seconds={RUN_S}", f"--build={build}"]
    subprocess.run(command, cwd=ROOT, env=disk.environment(log=True), check=True, timeout=280)
    return disk.log()


def states(log: list[Op], count: int, chance: random.Random, *, honest: bool) -> Iterator[State]:
    """`count` states, each with a moment of its own; a disk that lies forgot some moments before."""
    past, platter = Past([], [], []), Platter()
    moments = [at for at, op in enumerate(log) if op.op != "m"]
    chosen = set(chance.sample(moments, min(count, len(moments))))
    heard = {SENT: past.sent, ACKNOWLEDGED: past.acknowledged, ARRIVED: past.arrived}
    for at, op in enumerate(log):
        if op.op == "m":
            heard[op.data[:1]].append(op.data[1:])
            continue
        platter.apply(op, honest=honest or chance.random() < 0.5)
        if at in chosen:
            files = platter.cut(chance, chance.choice(KINDS))
            yield State(Past(*(list(notes) for notes in past)), files)


def after(state: State, folder: Path, build: Build, number: int) -> Verdict:
    """Power comes back: the gateway starts on what is left, works, and everything is counted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in state.files.items():
        (folder / name).write_bytes(content)
    later = Past([], list(state.past.acknowledged), list(state.past.arrived))
    heard = {SENT: later.sent, ACKNOWLEDGED: later.acknowledged, ARRIVED: later.arrived}
    waiting = dict.fromkeys(state.past.sent)
    for note in state.past.acknowledged:
        waiting.pop(note[:-8], None)
    home = Home(
        folder,
        folder / "witness",
        number,
        lambda kind, content: heard[kind].append(content),
        boot=b"another boot".ljust(36),
        start_us=START_US + (RUN_S + 30) * SECOND,
        build=build,
        unacknowledged=waiting,
    )
    home.run(5)
    home.settle()
    home.close()
    return judge(map(item_of, later.acknowledged), later.arrived)


def cut(folder: Path, build: Build, count: int, *, honest: bool = True) -> list[Verdict]:
    """Record one run, cut it `count` times."""
    chance = random.Random(SEED)
    log = recorded(folder, build)
    return [
        after(state, folder / "after", build, number)
        for number, state in enumerate(states(log, count, chance, honest=honest))
    ]


def row(fault: str, verdicts: list[Verdict], began_s: float, note: str) -> None:
    """Into the table."""
    record(
        fault,
        acknowledged=sum(v.acknowledged for v in verdicts),
        lost=sum(len(v.lost) for v in verdicts),
        duplicated=sum(v.duplicated for v in verdicts),
        declared=sum(len(v.declared) for v in verdicts),
        recovery_s=None,
        note=f"{len(verdicts)} states of the disk, {time.monotonic() - began_s:.0f} s, {note}",
    )


def test_power_cut_at_any_step_loses_nothing_that_was_acknowledged(memory_folder: Path) -> None:
    began_s = time.monotonic()
    verdicts = cut(memory_folder, "right", STATES)
    assert len(verdicts) == STATES
    assert sum(v.acknowledged for v in verdicts) > 50 * STATES
    assert [v.lost for v in verdicts if v.lost] == []
    assert [v.declared for v in verdicts if v.declared] == []
    assert [v.doubled for v in verdicts if v.doubled] == []
    assert [v.reused for v in verdicts if v.reused] == []
    row("power cut, torn pages", verdicts, began_s, f"seed {SEED}")


def test_disk_that_lies_about_fsync_never_makes_a_number_stand_for_two_batches(memory_folder: Path) -> None:
    began_s = time.monotonic()
    verdicts = cut(memory_folder, "right", FEW, honest=False)
    assert [v.reused for v in verdicts if v.reused] == []
    lost = sum(len(v.lost) for v in verdicts)
    row("power cut, disk lies about fsync", verdicts, began_s, f"what it lied about is lost: {lost}")


@pytest.mark.parametrize("build", ["acknowledges-early", "deletes-early"])
def test_broken_build_is_caught_after_a_power_cut(memory_folder: Path, build: Build) -> None:
    verdicts = cut(memory_folder, build, FEW)
    assert sum(len(v.lost) for v in verdicts) > 0


def test_build_that_reuses_numbers_is_caught_on_a_disk_that_lies(memory_folder: Path) -> None:
    verdicts = cut(memory_folder, "reuses-seq", FEW, honest=False)
    assert sum(len(v.reused) for v in verdicts) > 0
