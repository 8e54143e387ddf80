"""The engine as a cluster: its commands, and that nothing of it leaves loopback."""

from __future__ import annotations

from pathlib import Path

from local.cluster import Cluster
from local.config import HOST, isolated


def _settings_of(conf: Path) -> dict[str, str]:
    lines = (conf / "flink-conf.yaml").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines)


def test_every_process_has_a_part_and_no_two_share_a_port(tmp_path: Path) -> None:
    cluster = Cluster.isolated(isolated(tmp_path), task_managers=3)
    names = [part.name for part in cluster.parts()]
    assert names == [
        "zookeeper",
        "job-manager",
        "task-manager-1",
        "task-manager-2",
        "task-manager-3",
        "job-server",
    ]
    ports = {cluster.rest_port, cluster.rpc_port, cluster.zookeeper_port, cluster.settings.job_port}
    assert len(ports) == 4


def test_the_cluster_keeps_to_loopback_and_its_state_to_the_run_folder(tmp_path: Path) -> None:
    cluster = Cluster.isolated(isolated(tmp_path))
    written = _settings_of(cluster.write_config())
    hosts = {name: value for name, value in written.items() if name.endswith((".address", "host"))}
    assert hosts
    assert set(hosts.values()) == {HOST}
    assert f"clientPortAddress={HOST}\n" in (cluster.settings.data / "engine" / "zoo.cfg").read_text()
    folders = [value for name, value in written.items() if "dir" in name.lower()]
    assert len(folders) == 4
    assert all(str(tmp_path) in folder for folder in folders)


def test_a_job_manager_that_dies_may_come_back(tmp_path: Path) -> None:
    written = _settings_of(Cluster.isolated(isolated(tmp_path)).write_config())
    assert written["high-availability.type"] == "zookeeper"
    assert written["state.backend.type"] == "rocksdb"


def test_a_job_manager_that_is_away_knows_nothing(tmp_path: Path) -> None:
    cluster = Cluster.isolated(isolated(tmp_path))
    assert cluster.jobs() == cluster.known_task_managers() == []
