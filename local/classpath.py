"""Fetch the engine's jars exactly as its lock file names them, and check every hash.

`jgo` resolves a class path from scratch in minutes (`make lock`); its lock file already names every jar,
so that here they are only downloaded, several at a time. Its own synchronisation does not compare the
hashes: we do.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Final

import tenacity

from local import tools
from local.config import Settings

DOWNLOADS_AT_ONCE: Final = 8
_ATTEMPTS: Final = 4


class BadDownload(RuntimeError):
    """A jar is not the one that the lock file names."""


def fetch(settings: Settings, say: Callable[[str], None]) -> Path:
    """Lock file → folder with the jars and `classpath.args`, which Java reads with `@`.

    A jar that lies in the user's own Maven cache with the right hash is taken from there.

    Args:
        say: Told the progress, a few words at a time.

    Raises:
        BadDownload: A hash differs, also after a second download.
    """
    folder = tools.engine_dir(settings)
    arguments = folder / "classpath.args"
    if arguments.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    locked: list[dict[str, Any]] = tomllib.loads(tools.ENGINE_LOCK.read_text())["dependencies"]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        jobs = {pool.submit(_fetch_jar, one, folder): number for number, one in enumerate(locked)}
        jars: dict[int, Path] = {}
        try:
            for done in as_completed(jobs):
                jars[jobs[done]] = done.result()
                say(f"{len(jars)} of {len(locked)} jars")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    # In the lock's order, whatever order they arrived in: a class path is searched from its start.
    first = Path(shutil.copy(tools.LOOPBACK_JAR, folder))
    class_path = os.pathsep.join(map(str, [first, *(jars[number] for number in range(len(locked)))]))
    partial = folder / "classpath.partial"
    partial.write_text(f'-cp "{class_path}"\n')
    partial.replace(arguments)
    shutil.rmtree(folder / "download", ignore_errors=True)
    return folder


def _fetch_jar(locked: dict[str, Any], folder: Path) -> Path:
    """One entry of the lock → its jar in the folder, verified."""
    target = folder / f"{locked['artifactId']}-{locked['version']}.jar"
    if locked.get("classifier"):
        target = target.with_name(f"{target.stem}-{locked['classifier']}.jar")
    if target.exists() and _sha256(target) == locked["sha256"]:
        return target
    name = f"{locked['groupId']}:{locked['artifactId']}:{locked['version']}"
    for source in _sources(locked, folder / "download"):
        found = _sha256(source)
        if found == locked["sha256"]:
            partial = target.with_suffix(".partial")
            shutil.copyfile(source, partial)
            partial.replace(target)
            return target
    raise BadDownload(f"{name} has sha256 {found}, the lock file says {locked['sha256']}")


def _sources(locked: dict[str, Any], download: Path) -> Iterator[Path]:
    """Where a jar may be had: the user's Maven cache, then the registry, then the registry once more."""
    from jgo.constants import default_maven_repo
    from jgo.maven import MavenContext

    def artifact(cache: Path) -> Any:
        project = MavenContext(repo_cache=cache).project(locked["groupId"], locked["artifactId"])
        return project.at_version(locked["version"]).artifact(locked.get("classifier", ""), "jar")

    own = artifact(Path(os.environ.get("M2_REPO", default_maven_repo()))).cached_path
    if own.exists():
        yield own
    for _ in range(2):
        wanted = artifact(download)
        wanted.cached_path.unlink(missing_ok=True)
        yield _download(wanted)


@tenacity.retry(
    stop=tenacity.stop_after_attempt(_ATTEMPTS),
    wait=tenacity.wait_exponential(max=10),
    retry=tenacity.retry_if_exception_type(OSError),
    reraise=True,
)
def _download(artifact: Any) -> Path:
    artifact.cached_path.unlink(missing_ok=True)
    return Path(artifact.resolve())


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
