"""A small landing archive with everything that compaction must cope with (imports Beam)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import ARCHIVE_SCHEMA, partition
from tests.fake_messages import raw_message
from tests.fakes import NOW_US, SENSORS, FakeGateway, Fleet, reading, rebuilt_as
from transforms.archive_raw import archive_row
from transforms.elements import RawMessage
from transforms.write_objects import avro_bytes, write_object

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


def small_body(gateway: FakeGateway, minute: int, seed: int = 0) -> pb.Body:
    """One contact sensor's minute, about 9 kB."""
    sensor = SENSORS[7]
    rng = np.random.default_rng([seed, minute])
    made = reading(*sensor, NOW_US + minute * MINUTE_US, rng, gateway_id=gateway.gateway_id)
    return pb.Body(readings=[made])


def minute_message(
    gateway: FakeGateway, seq: int, *, minute: int | None = None, seed: int = 0, copy: int = 0, **header: Any
) -> RawMessage:
    """The message of a minute, written when it ended and published half a second later."""
    minute = seq if minute is None else minute
    written_us = NOW_US + (minute + 1) * MINUTE_US
    payload = gateway.envelope(
        small_body(gateway, minute, seed), seq=seq, **{"created_us": written_us, **header}
    )
    name = f"{gateway.gateway_id}-{seq}-{seed}-{copy}"
    message = raw_message(payload, publish_us=written_us + 500_000 + copy * MINUTE_US, message_id=name)
    attributes = [f"home_id={gateway.home_id}", f"gateway_id={gateway.gateway_id}", "lane=minutes"]
    return message._replace(attributes=attributes)


def garbage(number: int) -> RawMessage:
    """A message that is no envelope."""
    return raw_message(b"\x00not an envelope" * number, message_id=f"bad-{number}")._replace(
        attributes=["lane=minutes"]
    )


def forged(gateway: FakeGateway, seq: int, head: int) -> RawMessage:
    """A header that claims numbers up to `head`, under a signature that is not over it."""
    good = minute_message(gateway, 1)
    claims = {"schema_version": 1, "head_seq": head, "oldest_unsent_seq": head}
    header = gateway.header(seq=seq, **claims).SerializeToString()
    return good._replace(payload=rebuilt_as(good.payload, header=header), message_id=f"forged-{seq}")


def write_landing(archive: str, messages: Sequence[RawMessage], name: str) -> list[str]:
    """Messages → one object an arrival hour, as ArchiveRaw does, under a name of the test's choice."""
    schema = fastavro.parse_schema(ARCHIVE_SCHEMA)
    hours: dict[str, list[RawMessage]] = {}
    for message in messages:
        hours.setdefault(partition(message.publish_us), []).append(message)
    paths = []
    for hour, found in sorted(hours.items()):
        paths.append(f"{archive}/{hour}/minutes-{name}.avro")
        write_object(paths[-1], avro_bytes(map(archive_row, found), schema))
    return paths


def files_of(folder: Path) -> dict[str, bytes]:
    """Relative path → bytes of every file under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fleet_ca(fleet: Fleet, folder: Path) -> str:
    """Path of the fleet CA in PEM."""
    path = folder / "ca.pem"
    path.write_bytes(fleet.ca_pem)
    return str(path)
