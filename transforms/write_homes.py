"""Home documents → Firestore, by the store that io chose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import apache_beam as beam

from transforms.advance_home import StatusChange
from transforms.alarm_store import AlarmStore


class WriteHomes(beam.PTransform):
    """StatusChange → homes/{home_id}. Only what a person would see change comes here."""

    def __init__(self, open_store: Callable[[], AlarmStore]) -> None:
        super().__init__()
        self._open_store = open_store

    def expand(self, changes: Any) -> Any:
        return changes | "PutHome" >> beam.ParDo(_PutHome(self._open_store))


class _PutHome(beam.DoFn):
    """A bundle's last word on each home, written when it ends."""

    def __init__(self, open_store: Callable[[], AlarmStore]) -> None:
        self._open_store = open_store

    def setup(self) -> None:
        self._store = self._open_store()

    def teardown(self) -> None:
        self._store.close()

    def start_bundle(self) -> None:
        self._newest: dict[str, StatusChange] = {}

    def process(self, change: StatusChange) -> None:
        known = self._newest.get(change.home_id)
        if known is None or known.publish_us <= change.publish_us:
            self._newest[change.home_id] = change

    def finish_bundle(self) -> None:
        for home_id, change in self._newest.items():
            self._store.put_home(home_id, json.loads(change.status))
        self._newest = {}
