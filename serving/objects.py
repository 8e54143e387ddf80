"""Small objects with generations, in a bucket or in a folder: what the registry is kept in."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import google.cloud.storage as storage
from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests import RequestException

TIMEOUT_S: Final = 20.0
NEW: Final = 0  # the generation of what is not there
_GCS: Final = "gs://"
# What Cloud Storage's client raises: these share no class of their own.
_FAILURES: Final = (
    GoogleAPICallError,
    GoogleAuthError,  # no credentials, or they could not be renewed
    DataCorruption,  # the bytes are not those of the checksum
    InvalidResponse,
    RequestException,
    OSError,
)


class StoreFailed(Exception):
    """The store did not answer, or refused; what it holds is unknown."""


class Conflict(Exception):
    """Somebody else wrote the object meanwhile."""


class Stored(NamedTuple):
    """An object's bytes and the generation that they are."""

    data: bytes
    generation: int


class Store(Protocol):
    """Objects by name. Every method may raise `StoreFailed`."""

    def read(self, name: str) -> Stored | None:
        """None: there is no such object."""

    def write(self, name: str, data: bytes, generation: int) -> None:
        """Replace the object of this generation; `NEW`: there must be none.

        Raises:
            Conflict: There is another.
        """

    def names(self, prefix: str) -> list[str]:
        """Names that begin so, sorted."""


def open_store(root: str, client: storage.Client | None = None) -> Store:
    """`gs://BUCKET/FOLDER` or a local folder → its store.

    Args:
        client: Of Cloud Storage; None: one of this process's environment.

    Raises:
        StoreFailed: The environment has no credentials or no project.
    """
    return BucketStore(root, client) if root.startswith(_GCS) else FolderStore(Path(root))


class BucketStore:
    """A folder of a bucket.

    The stand-in ignores the precondition; therefore what is there is looked at before, and what was
    written is read again. On the real service the precondition alone decides.
    """

    def __init__(self, root: str, client: storage.Client | None = None) -> None:
        bucket, _, folder = root.removeprefix(_GCS).partition("/")
        self._folder = folder.strip("/") + "/" if folder.strip("/") else ""
        try:
            self._bucket = (client or storage.Client()).bucket(bucket)
        except _FAILURES as error:
            raise StoreFailed(f"{root}: {error}") from error

    def read(self, name: str) -> Stored | None:
        blob = self._bucket.blob(self._folder + name)
        try:
            data = blob.download_as_bytes(timeout=TIMEOUT_S, retry=None)
        except NotFound:
            return None
        except _FAILURES as error:
            raise StoreFailed(f"{name}: {error}") from error
        return Stored(data, int(blob.generation or _tag(data)))

    def write(self, name: str, data: bytes, generation: int) -> None:
        held = self.read(name)
        if (held.generation if held else NEW) != generation:
            raise Conflict(name)
        blob = self._bucket.blob(self._folder + name)
        try:
            blob.upload_from_string(
                data,
                "application/octet-stream",
                if_generation_match=generation,
                timeout=TIMEOUT_S,
                retry=None,
            )
        except PreconditionFailed as error:
            raise Conflict(name) from error
        except _FAILURES as error:
            raise StoreFailed(f"{name}: {error}") from error
        written = self.read(name)
        if written is None or written.data != data:
            raise Conflict(name)

    def names(self, prefix: str) -> list[str]:
        try:
            blobs = self._bucket.client.list_blobs(
                self._bucket, prefix=self._folder + prefix, timeout=TIMEOUT_S, retry=None
            )
            return sorted(blob.name.removeprefix(self._folder) for blob in blobs)
        except NotFound:
            return []
        except _FAILURES as error:
            raise StoreFailed(f"{prefix}: {error}") from error


class FolderStore:
    """A local folder; one lock file orders its writers, a rename makes each object whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> Stored | None:
        try:
            data = (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFailed(f"{name}: {error}") from error
        return Stored(data, _tag(data))

    def write(self, name: str, data: bytes, generation: int) -> None:
        path = self._root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with (self._root / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                held = self.read(name)
                if (held.generation if held else NEW) != generation:
                    raise Conflict(name)
                with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as part:
                    part.write(data)
                    part.flush()
                    os.fsync(part.fileno())
                os.replace(part.name, path)
        except OSError as error:
            raise StoreFailed(f"{name}: {error}") from error

    def names(self, prefix: str) -> list[str]:
        found = (path for path in self._root.rglob("*") if path.is_file() and path.name[0] != ".")
        names = (path.relative_to(self._root).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))


def _tag(data: bytes) -> int:
    """A generation for stores that have none: the content's, never `NEW`."""
    return int.from_bytes(hashlib.sha256(data).digest()[:7], "big") | 1
