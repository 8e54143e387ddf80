"""Object folders of the pipeline, to read: `gs://bucket/folder`, or a folder of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from webapp.errors import NotFound
from webapp.reaching import reaching

_GCS: Final = "gs://"
_TIMEOUT_S: Final = (3.0, 10.0)  # to connect, to get an answer
MAX_LISTED: Final = 5000


class Folder(Protocol):
    """Names are relative to the folder. Every method raises `Unreachable` if it does not answer."""

    url: str

    def names(self, prefix: str) -> list[str]: ...

    def read(self, name: str) -> bytes: ...


def open_folder(url: str) -> Folder:
    """The folder of an address."""
    return _Bucket(url) if url.startswith(_GCS) else _Local(url)


class _Bucket:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") + "/"
        name, _, self._folder = self.url.removeprefix(_GCS).partition("/")
        emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
        client = Client(
            project=os.environ.get("GOOGLE_CLOUD_PROJECT", "hearthwatch") if emulated else None,
            credentials=AnonymousCredentials() if emulated else None,
        )
        self._bucket = client.bucket(name)

    def names(self, prefix: str) -> list[str]:
        """At most `MAX_LISTED`, sorted."""
        with reaching("Cloud Storage"):
            found = self._bucket.list_blobs(
                prefix=self._folder + prefix,
                max_results=MAX_LISTED,
                fields="items(name),nextPageToken",
                timeout=_TIMEOUT_S,
                retry=None,
            )
            return sorted(str(blob.name).removeprefix(self._folder) for blob in found)

    def read(self, name: str) -> bytes:
        """
        Raises:
            NotFound: Not there (any more): compaction and life-cycle remove objects.
        """
        with reaching("Cloud Storage"):
            blob = self._bucket.get_blob(self._folder + name, timeout=_TIMEOUT_S, retry=None)
            if blob is None:
                raise NotFound(f"no object {name[-80:]!r}")
            data: bytes = blob.download_as_bytes(timeout=_TIMEOUT_S, retry=None)
        return data


class _Local:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") + "/"
        self._root = Path(url)

    def names(self, prefix: str) -> list[str]:
        files = (path for path in self._root.rglob("*.avro") if path.is_file())
        relative = (path.relative_to(self._root).as_posix() for path in files)
        return sorted(name for name in relative if name.startswith(prefix))[:MAX_LISTED]

    def read(self, name: str) -> bytes:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root.resolve()) or not path.is_file():
            raise NotFound(f"no object {name[-80:]!r}")
        return path.read_bytes()
