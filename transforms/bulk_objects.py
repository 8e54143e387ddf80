"""Whether the hourly object that a notice announces lies where it says, as it says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from schemas import hearthwatch_v1_pb2 as pb
from transforms.compacted import read_object


@dataclass(frozen=True)
class BulkFolder:
    """Folder of the bulk bucket; called with a reference it says what is wrong, "" if nothing."""

    folder: str

    def __call__(self, reference: pb.BulkReference) -> str:
        path = f"{self.folder.rstrip('/')}/{reference.object}"
        if ".." in reference.object.split("/") or not reference.object:
            return "not a name"
        try:
            if not FileSystems.exists(path):
                return "missing"
            data = read_object(path)
        except BeamIOError as error:
            return f"cannot be read: {error}"
        if len(data) != reference.size:
            return f"{len(data)} bytes, announced {reference.size}"
        if hashlib.sha256(data).digest() != reference.sha256:
            return "another content than announced"
        return ""
