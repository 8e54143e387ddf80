"""Settings → the command line of each stand-in for a cloud service. Pure functions: nothing is started.

Tests and `hearthwatch up` start the same commands. Facts behind the options: docs/architecture.md.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from local import tools
from local.config import HOST, ROOT, Settings


def java_command(settings: Settings, heap_mb: int) -> list[str]:
    """Java with a bounded heap; dies at once when it is out of memory, so that its supervisor sees it."""
    return [tools.java(settings), f"-Xmx{heap_mb}m", "-XX:+ExitOnOutOfMemoryError", "-Duser.language=en"]


def mqtt_command(settings: Settings) -> list[str]:
    """The homes' MQTT broker: keeps unacknowledged QoS 1 messages on disk."""
    return [
        *tools.node(),
        str(tools.node_dir(settings, "broker") / "broker.mjs"),
        f"--host={HOST}",
        f"--port={settings.mqtt_port}",
        f"--data={settings.data / 'mqtt'}",
    ]


def pubsub_command(settings: Settings) -> list[str]:
    """The official Pub/Sub emulator. It keeps acknowledged messages in its heap."""
    jar = tools.jar_or_raise(tools.find_pubsub_jar(settings), "pubsub")
    return [
        *java_command(settings, settings.emulator_heap_mb),
        "-jar",
        str(jar),
        f"--host={HOST}",
        f"--port={settings.pubsub_port}",
    ]


def firestore_command(settings: Settings) -> list[str]:
    """The official Firestore emulator with this repository's rules."""
    jar = tools.jar_or_raise(tools.find_firestore_jar(settings), "firestore")
    return [
        *java_command(settings, settings.emulator_heap_mb),
        "-cp",
        str(jar),
        "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
        f"--host={HOST}",
        f"--port={settings.firestore_port}",
        f"--websocket_port={settings.firestore_websocket_port}",
        f"--rules={ROOT / 'deploy' / 'firestore.rules'}",
    ]


def auth_command(settings: Settings) -> list[str]:
    """The Firebase Auth emulator, by firebase-tools. Needs `write_auth_config` before."""
    cli = tools.node_dir(settings, "auth") / "node_modules" / "firebase-tools" / "lib" / "bin" / "firebase.js"
    return [
        *tools.node(),
        str(cli),
        "emulators:start",
        "--only=auth",
        f"--project={settings.project}",
        f"--config={settings.data / 'auth' / 'firebase.json'}",
    ]


def write_auth_config(settings: Settings) -> Path:
    """The Auth emulator's configuration file, in the run folder."""
    file = settings.data / "auth" / "firebase.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    ports = {"auth": settings.auth_port, "hub": settings.auth_hub_port, "logging": settings.auth_logging_port}
    emulators: dict[str, object] = {name: {"host": HOST, "port": port} for name, port in ports.items()}
    file.write_text(json.dumps({"emulators": {**emulators, "ui": {"enabled": False}}}))
    return file


def gcs_command(settings: Settings) -> list[str]:
    """The object storage stand-in: plain files under `data/gcs/.cloudstorage`."""
    return [
        tools.script("gcp-storage-emulator"),
        f"--data-dir={settings.data / 'gcs'}",
        "start",
        f"--host={HOST}",
        f"--port={settings.gcs_port}",
        f"--default-bucket={settings.bucket}",
    ]


def bigquery_command(settings: Settings) -> list[str]:
    """The BigQuery stand-in, in its own environment: its libraries differ from ours."""
    return [
        str(tools.warehouse_dir(settings) / "bin" / "python"),
        str(ROOT / "local" / "warehouse" / "server.py"),
        "start",
        f"--rest-host={HOST}",
        f"--grpc-host={HOST}",
        f"--rest-port={settings.bigquery_port}",
        f"--grpc-port={settings.bigquery_grpc_port}",
        "--persistent",
        "--log-level=warning",
        f"--data-dir={settings.data / 'bigquery'}",
    ]


def client_environment(settings: Settings) -> dict[str, str]:
    """What a process needs in its environment to talk to the stand-ins instead of the cloud.

    The credentials are throw-away ones (local/credentials.py): without any, Google's
    clients look for some for 17 to 26 s.
    """
    variables = {
        "PUBSUB_EMULATOR_HOST": settings.address(settings.pubsub_port),
        "FIRESTORE_EMULATOR_HOST": settings.address(settings.firestore_port),
        "FIREBASE_AUTH_EMULATOR_HOST": settings.address(settings.auth_port),
        "STORAGE_EMULATOR_HOST": f"http://{settings.address(settings.gcs_port)}",
        "GOOGLE_CLOUD_PROJECT": settings.project,
        "GOOGLE_APPLICATION_CREDENTIALS": str(settings.run / "credentials.json"),
        "HEARTHWATCH_WEB_PROJECT_ID": settings.project,
        # A proxy of this machine's owner is not for loopback.
        "no_proxy": f"{os.environ.get('no_proxy', '')},{HOST},localhost".lstrip(","),
    }
    if settings.warehouse == "on":
        variables["BIGQUERY_EMULATOR_HOST"] = f"http://{settings.address(settings.bigquery_port)}"
        variables["BIGQUERY_STORAGE_EMULATOR_HOST"] = settings.address(settings.bigquery_grpc_port)
    if settings.recordings:
        variables["HEARTHWATCH_RECORDINGS"] = str(settings.recordings.resolve())
    return variables


def use_stand_ins(settings: Settings) -> None:
    """Let Google's clients of this very process talk to the stand-ins."""
    os.environ.update(client_environment(settings))
