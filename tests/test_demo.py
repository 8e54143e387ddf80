"""`hearthwatch demo` as its user runs it: the whole system, judged; and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from local import emulators, supervise
from local.config import Settings, isolated, port_fields, port_in_use, variable
from local.parts import RUN_MARK
from schemas.events import AlarmKind
from tests.local.tfx import need_tfx
from tests.webapp import acting
from transforms.firestore_effects import firestore_client
from webapp.lifecycle import Actor
from webapp.repository import AlarmRepository

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


class Demo(NamedTuple):
    """A demo that runs: two homes, a pan of oil burns in the first."""

    settings: Settings
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    settings = isolated(folder / "run")
    command = [HEARTHWATCH, "demo", "--homes=2", "--scenario=kitchen-fire"]
    log = folder / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=_environment(settings), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 360
        while b"Ctrl-C stops everything" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        yield Demo(settings, process)
    finally:
        supervise.stop(settings)


@pytest.mark.timeout(1200)
def test_what_a_dispatcher_closes_teaches_a_model_that_the_running_system_then_scores_with(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = demo.settings
    need_tfx(settings)
    for name, value in emulators.client_environment(settings).items():
        monkeypatch.setenv(name, value)
    repository = AlarmRepository(firestore_client(settings.project))
    (alarm,) = _soon(lambda: [one for one in repository.open_alarms() if one.kind == AlarmKind.FIRE], 180)
    _soon(lambda: _rows(settings, SEEN, home=alarm.home_id, at=alarm.occurred_us), 180)
    anna = Actor("anna", "Anna")
    held = acting.claim(repository, alarm.alarm_id, anna, _now_us())
    assert held.claim
    acting.close(repository, alarm.alarm_id, anna, held.claim.fence, "real", "A pan of oil.", _now_us())

    assert _run(settings, sys.executable, "-m", "local.train", "--train-steps=500") == 0
    assert _rows(settings, TAUGHT, home=alarm.home_id, at=alarm.occurred_us) == [
        {"label": "fire", "label_source": "dispatcher"}
    ]
    for state in ("shadow", "fleet"):
        promote = (HEARTHWATCH, "models", "promote", "air-2", f"--to={state}", "--by=anna", "--reason=better")
        assert _run(settings, *promote) == 0
    _soon(lambda: _rows(settings, "SELECT home_id FROM readings_scores WHERE model_version = 'air-2'"), 180)


# The first air readings of the kitchen that saw the fire: what the warehouse has scores of, the archive has.
SEEN = (
    "SELECT minute_time FROM readings_scores WHERE home_id = @home AND family = 'air' AND room = 'kitchen' "
    "AND minute_time > TIMESTAMP_MICROS(@at - 60000000)"
)
TAUGHT = (
    "SELECT DISTINCT label, label_source FROM training_readings WHERE home_id = @home AND family = 'air' "
    "AND label_source = 'dispatcher'"
)


def _soon(asked: Callable[[], list[Any]], limit_s: float) -> list[Any]:
    """What it answers as soon as it is something."""
    deadline = time.monotonic() + limit_s
    while not (found := asked()):
        assert time.monotonic() < deadline, f"nothing after {limit_s:.0f} s"
        time.sleep(1)
    return found


def _rows(settings: Settings, query: str, **values: Any) -> list[dict[str, Any]]:
    """Of the warehouse; none while a table is still to be made by its first load."""
    client = bigquery.Client(project=settings.project)
    parameters = [
        bigquery.ScalarQueryParameter(name, "INT64" if isinstance(value, int) else "STRING", value)
        for name, value in values.items()
    ]
    config = bigquery.QueryJobConfig(
        query_parameters=parameters, default_dataset=f"{settings.project}.{settings.dataset}"
    )
    try:
        return [dict(row) for row in client.query(query, job_config=config).result()]
    except NotFound:
        return []


def _run(settings: Settings, *command: str) -> int:
    return subprocess.run(command, env=_environment(settings), check=False).returncode


def _now_us() -> int:
    return time.time_ns() // 1_000


def test_ctrl_c_while_it_runs_leaves_no_process_and_no_port(demo: Demo) -> None:
    settings = demo.settings
    beyond = {
        connection.laddr.ip
        for process in supervise.processes(settings)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert beyond <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(90) == 0
    assert _left_over(settings) == []
