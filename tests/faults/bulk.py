"""An hourly object as its gateway uploads and announces it, and once more after it died in between."""

from __future__ import annotations

import hashlib
import time
from typing import Final, NamedTuple

import numpy as np

from edge_client.object_store import CloudStorage
from schemas import bulk
from schemas import hearthwatch_v1_pb2 as pb
from schemas.readings import MINUTE_US
from tests.fakes import SENSORS, FakeGateway, reading
from tests.faults.system import FaultSystem

_AGO_MINUTES: Final = 70  # older than what a window takes: it refines history
_MINUTES: Final = 6


class HourlyObject(NamedTuple):
    """An object and the notices of it: the same place, size and hash under every number."""

    gateway: FakeGateway
    name: str
    data: bytes
    reading_ids: set[str]
    reference: pb.BulkReference

    @classmethod
    def of(cls, gateway: FakeGateway, seed: int) -> HourlyObject:
        """Six minutes of all sensors, an hour ago."""
        rng = np.random.default_rng(seed)
        first_us = time.time_ns() // 1_000 // MINUTE_US * MINUTE_US - _AGO_MINUTES * MINUTE_US
        minutes = [first_us + minute * MINUTE_US for minute in range(_MINUTES)]
        kept = [
            reading(*sensor, minute_us, rng, gateway_id=gateway.gateway_id)
            for minute_us in minutes
            for sensor in SENSORS
        ]
        data = bulk.pack_object(kept, gateway.home_id, gateway.gateway_id)
        name = bulk.object_name(gateway.home_id, gateway.gateway_id, first_us, bulk.sha256(data))
        reference = pb.BulkReference(
            object=name,
            sha256=bulk.sha256(data),
            size=len(data),
            first_minute_us=first_us,
            last_minute_us=minutes[-1],
            readings=len(kept),
        )
        return cls(gateway, name, data, {one.reading_id.hex() for one in kept}, reference)

    def upload(self, system: FaultSystem) -> None:
        """By the gateway's own client, in one chunk."""
        store = CloudStorage(system.settings.bucket)
        size = len(self.data)
        session = store.begin(self.name, size, hashlib.md5(self.data, usedforsecurity=False).digest())
        if session is not None:  # else it is there already
            assert store.send(session, self.data, 0, size) == size

    def notice(self, seq: int) -> bytes:
        """The envelope that announces it."""
        return self.gateway.envelope(
            pb.Body(bulk=[self.reference]),
            seq=seq,
            lane=pb.LANE_BULK,
            created_us=time.time_ns() // 1_000,
        )
