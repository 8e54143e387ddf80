"""Settings → the command line and configuration of the local engine: Flink in one process.

The job server runs every submitted job in a mini cluster inside its own JVM.
"""

from __future__ import annotations

import json
import shlex
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from local import tools
from local.config import HOST, ROOT, Settings
from local.emulators import java_command

# Java 17 closed these to reflection; Flink's serializers and Beam's size estimates still look inside.
_OPENED: Final = (
    "java.lang",
    "java.util",
    "java.net",
    "java.nio",
    "java.time",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.lang.reflect",
    "java.io",
    "java.text",
    "sun.nio.ch",
)
_JAVA_OPTIONS: Final = [
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.management/sun.management=ALL-UNNAMED",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.beam.runners=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]


def engine_java(settings: Settings, heap_mb: int) -> list[str]:
    """Java with the engine's class path and openings, without a main class."""
    arguments = tools.engine_dir(settings) / "classpath.args"
    if not arguments.exists():
        raise tools.MissingTool("The engine's class path is not on this machine; run `make setup`.")
    return [*java_command(settings, heap_mb), *_JAVA_OPTIONS, f"@{arguments}"]


def engine_command(settings: Settings) -> list[str]:
    """The job server with a mini cluster. Needs `write_engine_config` before.

    Raises:
        tools.MissingTool: No Java, or the class path was not fetched.
    """
    return [
        *engine_java(settings, settings.engine_heap_mb),
        *job_server_arguments(settings, flink_master="[local]"),
    ]


def job_server_arguments(settings: Settings, flink_master: str) -> list[str]:
    """Beam's job server, from its main class on.

    Args:
        flink_master: HOST:PORT of a cluster's REST interface, or "[local]" for a cluster inside it.
    """
    return [
        "org.apache.beam.runners.flink.FlinkJobServerDriver",
        f"--job-host={HOST}",
        f"--job-port={settings.job_port}",
        "--artifact-port=0",
        "--expansion-port=0",
        f"--flink-master={flink_master}",
        f"--flink-conf-dir={settings.data / 'engine' / 'conf'}",
        f"--artifacts-dir={settings.data / 'engine' / 'artifacts'}",
    ]


def write_engine_config(settings: Settings, more: Mapping[str, str] = MappingProxyType({})) -> Path:
    """The engine's configuration folder, in the run folder; and the empty jar that jobs stage.

    Checkpoints go to files: the default keeps them in memory, at most 5 MB a state.

    Args:
        more: Added to Flink's settings, or in place of them.
    """
    folder = settings.data / "engine"
    conf = folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    lines = {
        "state.checkpoint-storage": "filesystem",
        "state.checkpoints.dir": (folder / "checkpoints").as_uri(),
        "state.savepoints.dir": (folder / "savepoints").as_uri(),
        "restart-strategy": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "100000",
        "restart-strategy.fixed-delay.delay": "1 s",
        "rest.bind-address": HOST,
        "taskmanager.bind-host": HOST,
        "jobmanager.bind-host": HOST,
        "taskmanager.memory.network.min": "64mb",
        "taskmanager.memory.network.max": "64mb",
        **more,
    }
    (conf / "flink-conf.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    with zipfile.ZipFile(empty_jar(settings), "w"):
        pass
    write_worker_script(settings)
    return conf


def worker_script(settings: Settings) -> Path:
    """What the engine runs to get a Python worker."""
    return settings.data / "engine" / "worker.sh"


def write_worker_script(settings: Settings) -> None:
    """A two-line program: the PROCESS environment takes a program, not a command line."""
    script = worker_script(settings)
    log = settings.logs / "workers.log"
    script.write_text(
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(ROOT))}\n"
        f'exec {shlex.quote(sys.executable)} -m local.sdk_worker "$@" >> {shlex.quote(str(log))} 2>&1\n'
    )
    script.chmod(0o755)


def empty_jar(settings: Settings) -> Path:
    """What a job stages instead of the class path, which the engine has already."""
    return settings.data / "engine" / "empty.jar"


def runner_options(settings: Settings) -> list[str]:
    """Pipeline options that submit a streaming job to the local engine.

    The engine starts the Python workers itself (PROCESS environment), so that it also replaces one
    that died; with workers in the driver a dead driver leaves the job restarting for ever.
    """
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={settings.address(settings.job_port)}",
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': str(worker_script(settings))})}",
        "--streaming",
        "--checkpointing_interval=10000",
        # What the source acknowledges is in a checkpoint only if these come one after the other, and if
        # every task has heard of one before the next begins (docs/decisions/021-finalization.md).
        "--num_concurrent_checkpoints=1",
        "--min_pause_between_checkpoints=500",
        # Spelled so in the runner. With its default of 1 s, p95 from publish to sink is 2.4 s.
        "--max_bundle_time_mills=50",
        "--finish_bundle_before_checkpointing",
        f"--files_to_stage={empty_jar(settings)}",
        "--no_save_main_session",
    ]
