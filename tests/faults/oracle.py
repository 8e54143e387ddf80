"""The judge of no-loss runs: what was acknowledged and is not in the archive is lost."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import fastavro

from schemas.archive import PARTITIONS
from transforms.pubsub_client import SubscriberClient


class Verdict(NamedTuple):
    """Counts of one run.

    Attributes:
        published: Messages that Pub/Sub confirmed to the publisher.
        archived: Of them, in the archive at least once.
        copies: Archived more than once: allowed, dropped by identity when read.
        waiting: Not archived, but still in the subscription: late, not lost.
        lost: Neither archived nor waiting: acknowledged too early.
    """

    published: int
    archived: int
    copies: int
    waiting: int
    lost: list[int]


def archived_payloads(folder: Path) -> list[bytes]:
    """Every envelope in the archive, copies included."""
    return [
        row["envelope"]
        for path in sorted(folder.glob(f"{PARTITIONS}/*.avro"))
        for row in fastavro.reader(path.open("rb"))
    ]


def judge(published: dict[int, bytes], archived: list[bytes], waiting: set[bytes]) -> Verdict:
    """Compare what was published with the archive and with what the subscription still holds."""
    kept = set(archived)
    missing = {number for number, payload in published.items() if payload not in kept}
    return Verdict(
        published=len(published),
        archived=len(published) - len(missing),
        copies=len(archived) - len(kept),
        waiting=sum(published[number] in waiting for number in missing),
        lost=sorted(number for number in missing if published[number] not in waiting),
    )


def drain(subscription: str, client: SubscriberClient) -> set[bytes]:
    """Everything that the subscription would still deliver. Call when no lease is out any more."""
    payloads: set[bytes] = set()
    while received := client.probe(subscription, 1_000):
        payloads |= {message.data for message in received}
        client.acknowledge(subscription, [message.ack_id for message in received])
    return payloads
