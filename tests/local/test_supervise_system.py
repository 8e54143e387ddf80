"""Supervision of real processes: order, restart, giving up, and leaving nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local import supervise
from local.config import Settings, port_in_use
from tests.local.small_system import small_parts, small_settings

pytestmark = pytest.mark.system


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    chosen = small_settings(tmp_path / "run")
    yield chosen
    supervise.stop(chosen)


def wait_until(happened: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, f"did not happen within {within_s} s"
        time.sleep(0.05)


def pid_of(settings: Settings, name: str) -> int:
    return next(row.pid for row in supervise.status(settings) if row.name == name)


def nothing_left(settings: Settings) -> bool:
    ports = (settings.gcs_port, settings.web_port)
    return not supervise.processes(settings) and not any(map(port_in_use, ports))


def test_parts_start_after_those_they_need_and_stop_without_trace(settings: Settings) -> None:
    order: list[str] = []
    seconds = supervise.start(small_parts(settings), settings, lambda started: order.append(started.name))
    assert order == ["store", "page"]
    assert set(seconds) == {"store", "page"}
    wait_until(lambda: [row.state for row in supervise.status(settings)] == ["RUNNING", "RUNNING"])
    assert supervise.stop(settings) > 0
    assert nothing_left(settings)
    assert supervise.stop(settings) == 0


def test_a_part_that_was_killed_comes_back(settings: Settings) -> None:
    supervise.start(small_parts(settings), settings, lambda _: None)
    killed = pid_of(settings, "page")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: pid_of(settings, "page") not in (0, killed))


def test_the_end_of_what_lives_in_memory_stops_everything_and_names_it(settings: Settings) -> None:
    supervise.start(small_parts(settings, restartable=False), settings, lambda _: None)
    os.kill(pid_of(settings, "store"), signal.SIGKILL)
    wait_until(lambda: supervise.supervisor_process(settings) is None)
    message = supervise.failure(settings)
    assert message.startswith("Small store ended")
    assert str(settings.logs / "store.log") in message
    wait_until(lambda: nothing_left(settings))


def test_a_part_that_cannot_start_stops_everything_and_shows_its_log(settings: Settings) -> None:
    broken = [sys.executable, "-c", "raise SystemExit('no store today')"]
    with pytest.raises(supervise.SystemFailed, match=r"(?s)Small store.*store\.log.*no store today"):
        supervise.start(small_parts(settings, command=broken), settings, lambda _: None)
    assert nothing_left(settings)


def test_what_ended_is_blamed_and_not_what_waits_for_it(settings: Settings) -> None:
    store, page = small_parts(settings)
    dying = [sys.executable, "-c", "import time; time.sleep(1); raise SystemExit('store is full')"]
    parts = [store._replace(command=dying, ready=lambda: True), page._replace(ready=lambda: False)]
    with pytest.raises(supervise.SystemFailed, match=r"(?s)^Small store ended.*store is full"):
        supervise.start(parts, settings, lambda _: None)


def test_down_finds_what_lost_its_supervisor(settings: Settings) -> None:
    supervise.start(small_parts(settings), settings, lambda _: None)
    supervisor = supervise.supervisor_process(settings)
    assert supervisor
    supervisor.kill()
    supervisor.wait(10)
    assert port_in_use(settings.web_port)
    assert supervise.stop(settings) >= 2
    assert nothing_left(settings)


def test_a_second_start_is_refused_and_leaves_the_first_alone(settings: Settings) -> None:
    supervise.start(small_parts(settings), settings, lambda _: None)
    with pytest.raises(supervise.SystemFailed, match="is running already"):
        supervise.start(small_parts(settings), settings, lambda _: None)
    assert len(supervise.status(settings)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_and_no_port(settings: Settings, number: signal.Signals) -> None:
    before = set(psutil.Process().children(recursive=True))  # of tests in the same process
    arguments = [str(settings.run), str(settings.gcs_port), str(settings.web_port)]
    foreground = subprocess.Popen([sys.executable, "-m", "tests.local.small_system", *arguments])
    wait_until(lambda: len(supervise.status(settings)) == 2 and port_in_use(settings.web_port))
    assert len(supervise.processes(settings)) >= 4  # both parts, the supervisor, the watcher
    foreground.send_signal(number)
    foreground.wait(30)
    assert nothing_left(settings)
    assert set(psutil.Process().children(recursive=True)) <= before
