"""`hearthwatch demo` as its user runs it: the whole system, judged; and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local import supervise
from local.config import Settings, isolated, port_fields, port_in_use, variable
from local.parts import RUN_MARK

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

HEARTHWATCH = str(Path(sys.executable).parent / "hearthwatch")


def _environment(settings: Settings) -> dict[str, str]:
    ports = {variable(name): str(getattr(settings, name)) for name in port_fields()}
    return {
        **os.environ,
        **ports,
        variable("run_dir"): str(settings.run),
        variable("project"): settings.project,
    }


def _left_over(settings: Settings) -> list[str]:
    marked = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["environ", "cmdline"])
        if (process.info["environ"] or {}).get(RUN_MARK) == str(settings.run)
    ]
    open_ports = [name for name in port_fields() if port_in_use(getattr(settings, name))]
    return marked + open_ports


def test_the_scripted_scenario_is_archived_raised_and_judged(tmp_path: Path) -> None:
    """Panic, fire, CO leak, power loss and break-in among quiet homes; nothing else, nothing lost."""
    settings = isolated(tmp_path / "run")
    result = tmp_path / "result.json"
    command = [HEARTHWATCH, "demo", "--once", "--homes=8", f"--json={result}"]
    done = subprocess.run(command, env=_environment(settings), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{done.stdout[-2500:]}\n{done.stderr[-1500:]}"
    found = json.loads(result.read_text())
    batches, alarms = found["batches"], found["alarms"]
    assert batches["sent"] == batches["archived"] > 0
    assert (batches["missing"], batches["dead_letters"]) == (0, 0)
    # The home that lost its power is missed as well, if the run lasts until its silence is too long.
    assert found["beside"] in ([], ["home-0008: path"])
    raised = 5 + len(found["beside"])
    assert alarms == {"expected": 5, "raised": raised, "missed": 0, "false": 0, "repeated": 0}
    assert {"p50", "p95", "p99"} <= set(found["latency_s"]["sensor_to_alarm"])
    assert found["start_s"]["engine"] > 0
    assert _left_over(settings) == []


def test_ctrl_c_while_it_runs_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    settings = isolated(tmp_path / "run")
    command = [HEARTHWATCH, "demo", "--homes=2", "--scenario=quiet"]
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(command, env=_environment(settings), stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 180
        while b"Ctrl-C stops everything" not in log.read_bytes():
            assert demo.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        beyond = {
            connection.laddr.ip
            for process in supervise.processes(settings)
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert beyond <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        demo.send_signal(signal.SIGINT)
        assert demo.wait(90) == 0
    finally:
        supervise.stop(settings)
    assert _left_over(settings) == []
