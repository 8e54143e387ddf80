"""Settings → the local engine as a cluster of processes: what can die on its own, dies on its own.

`local.engine` runs a job in one JVM, which is right for a laptop. Here job manager, task managers, job
server and the ZooKeeper that makes the job manager replaceable are a process each, from the same class
path, so that tests can kill each of them. Loopback only; about 2.5 GB with two busy task managers.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local import engine, probes
from local.config import HOST, Settings, free_ports
from local.parts import Part

SLOTS_EACH: Final = 4  # one task manager left alone can hold all tasks of both lanes' jobs
_MIB: Final = 1 << 20
_HEAP_MB: Final = {"zookeeper": 64, "job_manager": 384, "task_manager": 768, "job_server": 384}
_CALL_S: Final = 10.0
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Cluster:
    """Commands of the cluster's processes, and its REST interface.

    Attributes:
        settings: Run folder, tools, port of the job server, and what the Python workers find in their
            environment.
        rest_port, rpc_port, zookeeper_port: On loopback.
        task_managers: How many are meant to run.
    """

    settings: Settings
    rest_port: int
    rpc_port: int
    zookeeper_port: int
    task_managers: int = 2

    @classmethod
    def isolated(cls, settings: Settings, task_managers: int = 2) -> Cluster:
        """A cluster on ports that are free at this moment."""
        rest, rpc, zookeeper = free_ports(3)
        return cls(settings, rest, rpc, zookeeper, task_managers)

    def parts(self) -> list[Part]:
        """All processes, in order of start."""
        managers = [self.task_manager(number) for number in range(1, self.task_managers + 1)]
        return [self.zookeeper(), self.job_manager(), *managers, self.job_server()]

    def zookeeper(self) -> Part:
        """Keeps who leads and which checkpoint is the last; on disk, so that it may die as well."""
        return Part(
            "zookeeper",
            "ZooKeeper",
            self._java(
                "zookeeper",
                "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain",
                str(self._folder / "zoo.cfg"),
            ),
            probes.tcp(self.zookeeper_port),
            prepare=self.write_config,
        )

    def job_manager(self) -> Part:
        """Flink's session cluster entry point; ready when its REST interface answers."""
        return Part(
            "job-manager",
            "Flink job manager",
            self._java(
                "job_manager",
                "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                *self._configured(),
            ),
            probes.http(self.rest_port),
        )

    def task_manager(self, number: int) -> Part:
        """Task manager `number`, from 1; ready when the job manager knows it."""
        name = task_manager_name(number)
        return Part(
            name,
            f"Flink task manager {number}",
            self._java(
                "task_manager",
                "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
                *self._configured(),
                *("-D", f"taskmanager.resource-id={name}"),
            ),
            lambda: name in self.known_task_managers(),
        )

    def job_server(self) -> Part:
        """Beam's job service, which hands jobs to the job manager."""
        return Part(
            "job-server",
            "Beam job server",
            self._java(
                "job_server", *engine.job_server_arguments(self.settings, self._address(self.rest_port))
            ),
            probes.grpc_channel(self.settings.job_port),
        )

    def write_config(self) -> Path:
        """Flink's and ZooKeeper's configuration files, in the run folder → Flink's folder.

        Beside what one process needs: task managers must be told every size of their memory, and
        heartbeats are frequent so that a dead process is noticed in seconds, and patient with a slow one.
        """
        data = self._folder / "zookeeper"
        data.mkdir(parents=True, exist_ok=True)
        (self._folder / "zoo.cfg").write_text(
            f"tickTime=500\nclientPort={self.zookeeper_port}\nclientPortAddress={HOST}\ndataDir={data}\n"
            "admin.enableServer=false\n"
        )
        return engine.write_engine_config(self.settings, self._flink_settings())

    def jobs(self) -> list[dict[str, Any]]:
        """Jobs that the job manager knows, with `jid`, `name` and `state`; none while it is away."""
        try:
            found = self.rest("/jobs/overview")
        except OSError:
            return []
        jobs: list[dict[str, Any]] = found["jobs"]
        return jobs

    def known_task_managers(self) -> list[str]:
        """Resource ids of the task managers that are registered; none while the job manager is away."""
        try:
            found = self.rest("/taskmanagers")
        except OSError:
            return []
        return [one["id"] for one in found["taskmanagers"]]

    def rest(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        """Call Flink's REST interface → its JSON answer.

        Raises:
            OSError: The job manager is away, or refused (urllib.error.HTTPError).
        """
        request = urllib.request.Request(
            f"http://{self._address(self.rest_port)}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _DIRECT.open(request, timeout=_CALL_S) as answer:
            return json.loads(answer.read() or b"{}")

    @property
    def _folder(self) -> Path:
        return self.settings.data / "engine"

    def _address(self, port: int) -> str:
        return self.settings.address(port)

    def _java(self, role: str, *arguments: str) -> Sequence[str]:
        return [*engine.engine_java(self.settings, _HEAP_MB[role]), *arguments]

    def _configured(self) -> list[str]:
        return ["--configDir", str(self._folder / "conf")]

    def _flink_settings(self) -> dict[str, str]:
        task_heap = _HEAP_MB["task_manager"] - 128
        sizes = {
            "framework.heap.size": 128,
            "task.heap.size": task_heap,
            "framework.off-heap.size": 128,
            "task.off-heap.size": 0,
            "managed.size": 128,
            "jvm-metaspace.size": 256,
            "jvm-overhead.min": 192,
            "jvm-overhead.max": 192,
        }
        return {
            "jobmanager.rpc.address": HOST,
            "jobmanager.rpc.port": str(self.rpc_port),
            "rest.address": HOST,
            "rest.port": str(self.rest_port),
            "taskmanager.host": HOST,
            "taskmanager.cpu.cores": "1.0",
            "taskmanager.numberOfTaskSlots": str(SLOTS_EACH),
            **{f"taskmanager.memory.{name}": f"{mib * _MIB}b" for name, mib in sizes.items()},
            # Both tasks of a job on one task manager would leave the other with nothing to lose.
            "cluster.evenly-spread-out-slots": "true",
            "state.backend.type": "rocksdb",
            "state.backend.incremental": "true",
            "io.tmp.dirs": str(self._folder / "tmp"),
            "heartbeat.interval": "1000",
            "heartbeat.timeout": "30000",
            "high-availability.type": "zookeeper",
            "high-availability.zookeeper.quorum": self._address(self.zookeeper_port),
            "high-availability.storageDir": (self._folder / "leader").as_uri(),
            "high-availability.zookeeper.client.session-timeout": "15000",
        }


def task_manager_name(number: int) -> str:
    """
    >>> task_manager_name(1)
    'task-manager-1'
    """
    return f"task-manager-{number}"
