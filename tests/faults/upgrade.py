"""An upgrade: stop a job with a savepoint, and start changed code from it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from local.cluster import Cluster
from local.config import ROOT, Settings
from local.engine import worker_script
from local.parts import Part
from tests.faults.system import eventually

_PACKAGES = ("schemas", "transforms", "pipelines", "serving", "local")
_STOP_S = 60.0


def stop_with_savepoint(cluster: Cluster, job_name: str) -> str:
    """Stop a running job after a savepoint that is complete → where that lies."""
    job = next(one for one in cluster.jobs() if one["name"] == job_name and one["state"] == "RUNNING")
    folder = cluster.settings.data / "engine" / "savepoints"
    asked = cluster.rest(
        f"/jobs/{job['jid']}/stop", "POST", {"drain": False, "targetDirectory": folder.as_uri()}
    )
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        told = cluster.rest(f"/jobs/{job['jid']}/savepoints/{asked['request-id']}")
        if told["status"]["id"] == "COMPLETED":
            assert "location" in told["operation"], f"no savepoint: {told}"
            return str(told["operation"]["location"])
        time.sleep(0.2)
    raise AssertionError(f"{job_name} did not stop within {_STOP_S:.0f} s")


def changed_code(settings: Settings, module: str, old: str, new: str) -> Path:
    """A copy of the project's packages in which a line of a module reads otherwise → its folder."""
    folder = settings.run / "changed"
    for package in _PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    source = folder / module
    text = source.read_text()
    assert text.count(old) == 1, f"{module} holds {old!r} {text.count(old)} times, wanted once"
    source.write_text(text.replace(old, new))
    return folder


def upgraded(driver: Part, settings: Settings, code: Path, savepoint: str) -> Part:
    """A lane's driver → the same with the code of another folder, its workers too, from a savepoint."""
    script = code / "worker.sh"
    script.write_text(worker_script(settings).read_text().replace(f"cd {ROOT}\n", f"cd {code}\n"))
    script.chmod(0o755)
    return driver._replace(
        command=[
            *driver.command,
            f"--environment_config={json.dumps({'command': str(script)})}",
            f"--savepoint_path={savepoint}",
        ],
        environment={"PYTHONPATH": str(code)},
    )


def wait_until_running(cluster: Cluster, job_name: str, limit_s: float) -> None:
    """Wait until a job of this name runs."""

    def runs() -> bool:
        return any(job["name"] == job_name and job["state"] == "RUNNING" for job in cluster.jobs())

    eventually(runs, f"{job_name} to run", limit_s)
