"""Kills and disk faults under the real gateway process, with a real broker and the Pub/Sub emulator."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import parse_envelope
from schemas.events import Code
from tests.edge_client import servers
from tests.edge_client.outside import Cloud
from tests.faults.edge.length import LONG
from tests.faults.edge.rig import Rig
from tests.faults.results import record

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_500 if LONG else 300)]

SEED: Final = 20_261_126
KILLS: Final = 100 if LONG else 6
REACHED_S: Final = 60.0  # until a gateway has made up to 60 calls of the disk; idle, a few seconds
RECOVERED_S: Final = 300.0 if LONG else 60.0  # of 40,000 messages, on a machine that has other work
REFUSED_S: Final = 30.0 if LONG else 3.0


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.pubsub(tmp_path_factory.mktemp("pubsub")) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", address)
        yield address


@pytest.fixture
def rig(tmp_path: Path, emulator: str, request: pytest.FixtureRequest) -> Iterator[Rig]:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    with ExitStack() as stack:
        yield Rig(tmp_path, Cloud(emulator, name), stack)


def told(rig: Rig, fault: str, recovery_s: float, note: str) -> None:
    """Judge, and into the table."""
    verdict = rig.verdict()
    assert verdict.lost == []
    assert verdict.doubled == []
    assert verdict.reused == []
    panics = [event for event in rig.events().values() if event.code == Code.PANIC]
    assert len(panics) >= rig.presses()
    record(
        fault,
        acknowledged=verdict.acknowledged + rig.presses(),
        lost=len(verdict.lost),
        duplicated=verdict.duplicated,
        declared=len(verdict.declared),
        recovery_s=recovery_s,
        note=note,
    )


def test_kill_nine_of_gateway_at_persistence_steps_and_of_broker_loses_nothing(rig: Rig) -> None:
    chance = random.Random(SEED)
    rig.start()
    for number in range(KILLS):
        rig.disk.control.kill_at = rig.disk.control.calls + chance.randint(1, 60)
        victim = rig.process
        assert victim is not None
        rig.panic()
        end_s = time.monotonic() + REACHED_S
        while victim.poll() is None and time.monotonic() < end_s:
            rig.speak(5)
        assert victim.poll() == -9, "not killed by the shim"
        rig.disk.control.kill_at = 0
        rig.speak(10)
        if number % 3 == 2:
            rig.kill_broker()
        rig.spawn()
    recovery_s = rig.recovered(RECOVERED_S)
    told(rig, "kill -9 of gateway and broker", recovery_s, f"{KILLS} kills at random disk calls, seed {SEED}")
    epochs = {parse_envelope(data)[1].epoch for data in rig.envelopes}
    assert len(epochs) == 1, "the witness proves continuity"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"write_errno": errno.ENOSPC}, id="disk full"),
        pytest.param({"write_errno": errno.EROFS}, id="read-only"),
        pytest.param({"sync_errno": errno.EIO}, id="I/O error"),
    ],
)
def test_disk_that_refuses_holds_up_no_alarm_and_costs_no_reading(
    rig: Rig, fault: dict[str, int], request: pytest.FixtureRequest
) -> None:
    rig.start()
    rig.speak(100)
    rig.recovered(30)
    for name, value in fault.items():
        setattr(rig.disk.control, name, value)
    rig.speak(50)
    began_s = time.monotonic()
    rig.panic()

    def alarmed() -> bool:
        rig.pull(0.1)
        return any(event.code == Code.PANIC for event in rig.events().values())

    rig.wait(alarmed, 5, "the alarm while the disk refuses")
    alarm_s = time.monotonic() - began_s
    while time.monotonic() < began_s + REFUSED_S:
        rig.speak(10)
    waiting = len(rig.verdict().lost)
    assert waiting > 50, "nothing of this can have been kept"
    for name in fault:
        setattr(rig.disk.control, name, 0)
    recovery_s = rig.recovered(60)
    assert rig.process is not None
    assert rig.process.poll() is None, "the gateway stayed up"
    rig.wait(lambda: len(storage(rig)) == 2, 10, "the trouble and its end")
    assert storage(rig) == [pb.QUALIFIER_NEW, pb.QUALIFIER_RESTORE]
    name = request.node.callspec.id
    told(
        rig,
        f"disk: {name}",
        recovery_s,
        f"{waiting} readings waited; alarm in the cloud after {alarm_s:.2f} s",
    )


def test_gateway_that_starts_on_a_broken_disk_watches_and_recovers(rig: Rig) -> None:
    rig.start()
    rig.speak(50)
    rig.recovered(30)
    rig.speak(10)
    rig.kill()
    rig.disk.control.read_errno = errno.EIO
    rig.start()
    rig.panic()

    def alarmed() -> bool:
        rig.pull(0.1)
        return any(event.code == Code.PANIC for event in rig.events().values())

    rig.wait(alarmed, 30, "the alarm of a gateway without a disk, its start included")
    rig.speak(50)
    rig.disk.control.read_errno = 0
    recovery_s = rig.recovered(60)
    told(rig, "disk broken at start", recovery_s, "reads give EIO until it is mended")


def test_broker_that_sends_garbage_costs_no_reading(rig: Rig) -> None:
    rig.start()
    for _ in range(3):
        rig.garbage()
        rig.speak(30)
    rig.panic()
    recovery_s = rig.recovered(30)
    assert rig.process is not None
    assert rig.process.poll() is None
    assert "Traceback" not in rig.log()
    assert "payload is 8388608 bytes, limit 65536" in rig.log()
    told(rig, "garbage from the broker", recovery_s, "8 MiB payloads, other homes, bytes of no meaning")


def storage(rig: Rig) -> list[pb.Qualifier]:
    """What was told of the gateway's disk."""
    rig.pull(0.1)
    return sorted(event.qualifier for event in rig.events().values() if event.code == Code.STORAGE)
