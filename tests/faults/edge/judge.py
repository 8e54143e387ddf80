"""The judge of the edge: what was acknowledged to a sensor arrives in the cloud once, or is declared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import open_body, parse_envelope
from schemas.readings import MINUTE_US
from schemas.topics import RICH, parse_sensor_topic


class Item(NamedTuple):
    """What a message says, as it can be found again: a second of air, a minute, a press of a button."""

    sensor_id: str
    at_us: int


class Verdict(NamedTuple):
    """Counts of one run.

    Attributes:
        acknowledged: Items whose message was acknowledged.
        lost: Of them, neither in the cloud nor in a declared gap.
        declared: Of them, not in the cloud but in a declared gap.
        duplicated: Envelopes that arrived again with the same bytes: allowed.
        doubled: Items in two readings of different ids: dedupe would count them twice.
        reused: Identities of batches that arrived with two contents.
    """

    acknowledged: int
    lost: list[Item]
    declared: list[Item]
    duplicated: int
    doubled: list[Item]
    reused: list[str]


def item_of(acknowledged: bytes) -> Item:
    """A note of `Home` → its item. A press of a button happens when its message is delivered."""
    message, delivered_us = acknowledged[:-8], int.from_bytes(acknowledged[-8:], "big")
    name, _, payload = message.partition(b"\0")
    topic = parse_sensor_topic(name.decode())
    assert topic is not None
    if topic.channel == RICH:
        frame = pb.SensorFrame.FromString(payload)
        return Item(frame.sensor_id, frame.start_us)
    return Item(topic.sensor_id, delivered_us)


def judge(acknowledged: Iterable[Item], envelopes: Iterable[bytes]) -> Verdict:
    """Compare what was acknowledged with all that arrived, in the order in which it did."""
    contents: dict[tuple[bytes, int], bytes] = {}
    found: dict[Item, set[bytes]] = {}
    gaps: list[pb.Gap] = []
    duplicated, reused = 0, []
    for data in envelopes:
        envelope, header = parse_envelope(data)
        known = contents.setdefault((header.epoch, header.seq), data)
        duplicated += known is not data and known == data
        if known != data:
            reused.append(f"{header.epoch.hex()}.{header.seq}")
        gaps += header.gaps
        for item, identity in _items(open_body(envelope, header)):
            found.setdefault(item, set()).add(identity)
    wanted = set(acknowledged)
    missing = sorted(item for item in wanted if item not in found)
    declared = [item for item in missing if any(_covers(gap, item) for gap in gaps)]
    return Verdict(
        acknowledged=len(wanted),
        lost=[item for item in missing if item not in declared],
        declared=declared,
        duplicated=duplicated,
        doubled=sorted(item for item, identities in found.items() if len(identities) > 1),
        reused=reused,
    )


def _items(body: pb.Body) -> Iterable[tuple[Item, bytes]]:
    for reading in body.readings:
        seconds = range(60) if reading.kind == pb.SENSOR_KIND_AIR else (0,)
        for second in seconds:
            if reading.seconds_present >> second & 1:
                yield Item(reading.sensor_id, reading.minute_us + second * 1_000_000), reading.reading_id
    for event in body.events:
        yield Item(event.sensor_id, event.occurred_us), event.event_id


def _covers(gap: pb.Gap, item: Item) -> bool:
    return gap.first_us - MINUTE_US <= item.at_us <= gap.last_us + MINUTE_US
