"""What a monitor job reads and may do, picked by scheme: the only thing in which its runs differ."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipelines.options import MonitorConfig, feeds
from schemas.archive import DEAD_LETTER_SCHEMA
from transforms.alarm_store import AlarmStore
from transforms.archive_raw import ArchiveRaw
from transforms.elements import RawMessage
from transforms.firestore_effects import firestore_store
from transforms.raise_alarms import Effects, ReplayEffects, StoreEffects, wall_clock_us
from transforms.read_archive import ReadArchive
from transforms.read_pubsub import ReadPubSub
from transforms.show_watched import LiveStore, firestore_live
from transforms.supervision_store import SupervisionStore, firestore_supervision
from transforms.write_objects import WriteAvroObjects
from transforms.write_warehouse import WriteWarehouse


class Io(NamedTuple):
    """The edges of the pipeline.

    Attributes:
        sources: Label → transform from the pipeline to RawMessage.
        archive: RawMessage → Receipt; None when reading the archive itself, or keeping nothing.
        dead_letters: Takes rows of DEAD_LETTER_SCHEMA; None in a job that keeps nothing.
        effects: What RaiseAlarms may do.
        open_store: Makes the store of home documents in a worker; None in a replay.
        warehouse: Takes (receipts, scores, windows); None if there is none.
        open_live: Makes the store of live pictures in a worker; None shows none.
        open_supervision: Makes the store of paths and incidents in a worker; None supervises nobody.
    """

    sources: dict[str, beam.PTransform]
    archive: beam.PTransform | None
    dead_letters: beam.PTransform | None
    effects: Effects
    open_store: Callable[[], AlarmStore] | None
    warehouse: beam.PTransform | None
    open_supervision: Callable[[], SupervisionStore] | None = None
    open_live: Callable[[], LiveStore] | None = None


def choose_io(config: MonitorConfig, options: PipelineOptions) -> Io:
    """Configuration → io. Dataflow reads Pub/Sub natively, every other runner by our own source."""
    output = config.output.rstrip("/")
    dead_letters = WriteAvroObjects(f"{output}/dead_letters", "dead_letters", DEAD_LETTER_SCHEMA)
    if not config.live:
        source = ReadArchive(config.input[0], config.lanes)
        return Io(
            sources={"ReadArchive": source},
            archive=None,
            dead_letters=dead_letters,
            effects=ReplayEffects(f"{output}/episodes"),
            open_store=None,
            warehouse=WriteWarehouse(f"{output}/warehouse"),
        )
    native = "Dataflow" in (options.view_as(StandardOptions).runner or "")
    project = config.alarms.removeprefix("firestore://")
    open_store = functools.partial(firestore_store, project, wall_clock_us)
    return Io(
        sources={
            f"Read{lane.capitalize()}": _subscription(url, lane, native)
            for lane in config.lanes
            for url in config.input
            if feeds(url, lane)
        },
        archive=ArchiveRaw(f"{output}/archive", config.archive_hold_s) if output else None,
        dead_letters=dead_letters if output else None,
        effects=StoreEffects(open_store, proves=frozenset(config.proves or config.lanes)),
        open_store=open_store,
        warehouse=WriteWarehouse(config.warehouse, f"{output}/warehouse") if config.warehouse else None,
        open_supervision=functools.partial(firestore_supervision, project) if config.roster else None,
        open_live=functools.partial(firestore_live, project),
    )


def _subscription(url: str, lane: str, native: bool) -> beam.PTransform:
    project, subscription = url.removeprefix("pubsub://").split("/", 1)
    name = f"projects/{project}/subscriptions/{subscription}"
    return _ReadNative(name, lane) if native else ReadPubSub(name, lane)


class _ReadNative(beam.PTransform):
    """Dataflow's own source: it acknowledges when the service has the message durably."""

    def __init__(self, subscription: str, lane: str) -> None:
        super().__init__()
        self._subscription = subscription
        self._lane = lane

    def expand(self, root: Any) -> Any:
        to_raw = functools.partial(_raw_of_native, lane=self._lane)
        return (
            root
            | "Pull" >> ReadFromPubSub(subscription=self._subscription, with_attributes=True)
            | "ToRawMessage" >> beam.Map(to_raw).with_output_types(RawMessage)
        )


def _raw_of_native(message: PubsubMessage, lane: str) -> RawMessage:
    return RawMessage(
        payload=message.data,
        attributes=[f"{key}={value}" for key, value in sorted((message.attributes or {}).items())],
        message_id=message.message_id,
        publish_us=int(message.publish_time.timestamp() * 1_000_000),
        lane=lane,
    )
