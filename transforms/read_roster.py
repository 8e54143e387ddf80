"""The roster in a worker process: one copy, kept fresh by a thread."""

from __future__ import annotations

import functools
import time

import apache_beam as beam
from apache_beam.utils.shared import Shared

from transforms.refreshed_file import RefreshedFile
from transforms.roster import Roster, parse_roster


class WithRoster(beam.DoFn):
    """A DoFn that reads the one roster of its process."""

    def __init__(self, roster: str, shards: int, shared: Shared) -> None:
        self._path = roster
        self._shards = shards
        self._shared = shared

    def setup(self) -> None:
        self._file = self._shared.acquire(self._open, tag=self._path)

    def _open(self) -> RefreshedFile[Roster]:
        parse = functools.partial(parse_roster, shards=self._shards)
        file = RefreshedFile(self._path, parse, time.monotonic)
        file.start()
        return file
