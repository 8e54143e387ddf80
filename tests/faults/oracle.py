"""The judge of fault runs: what was acknowledged and is nowhere is lost; a hole must be declared; an
alarm must be one episode with all of its evidence.

It shares no code with the pipeline but the schemas. Who publishes says what was acknowledged; the archive,
the subscription and Firestore say what became of it.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import fastavro

from schemas import hearthwatch_v1_pb2 as pb
from schemas.archive import PARTITIONS
from schemas.envelope import open_body, parse_envelope
from transforms.pubsub_client import SubscriberClient

_SETTLED_S: Final = 1.0  # the storage stand-in's files grow in sight; older ones are whole


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


def judge(published: Mapping[int, bytes], archived: Iterable[bytes], waiting: Collection[bytes]) -> Verdict:
    """Compare what was published with the archive and with what the subscription still holds."""
    copies = Counter(archived)
    missing = {number for number, payload in published.items() if payload not in copies}
    return Verdict(
        published=len(published),
        archived=len(published) - len(missing),
        copies=copies.total() - len(copies),
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


class Archive:
    """An archive that grows: every object is read once.

    Attributes:
        copies: How often each payload is in it, by digest.
        headers: By digest of the payload.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: set[Path] = set()
        self.copies: Counter[bytes] = Counter()
        self.headers: dict[bytes, pb.Header] = {}

    def look(self) -> None:
        """Read what has come since the last look."""
        for path in sorted(set(self.folder.glob(f"{PARTITIONS}/*.avro")) - self._read):
            if time.time() - path.stat().st_mtime < _SETTLED_S:
                continue
            with path.open("rb") as stored:
                for row in fastavro.reader(stored):
                    envelope: bytes = row["envelope"]  # type: ignore[index,call-overload]
                    self.copies[digest(envelope)] += 1
                    self.headers[digest(envelope)] = parse_envelope(envelope)[1]
            self._read.add(path)

    def missing(self, digests: Collection[bytes]) -> list[bytes]:
        """Of payloads with these digests, those that no object holds byte for byte."""
        return [one for one in digests if one not in self.copies]

    @property
    def duplicated(self) -> int:
        """Rows beyond the first of each payload."""
        return self.copies.total() - len(self.copies)


def digest(payload: bytes) -> bytes:
    """Payload → what stands for it in a set."""
    return hashlib.sha256(payload).digest()


class Hole(NamedTuple):
    """Sequence numbers of an epoch that are neither in the archive nor declared lost; inclusive."""

    gateway_id: str
    epoch: bytes
    first_seq: int
    last_seq: int


class Ledger(NamedTuple):
    """What archived headers say of themselves: `declared` counts numbers that a gateway gave up."""

    received: int
    declared: int
    holes: list[Hole]


def ledger(headers: Iterable[pb.Header]) -> Ledger:
    """Headers in any order, copies included → what is there, what is declared, what is missing.

    A number below the oldest that its gateway still held, by its newest header, was confirmed to it.
    """
    seqs: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    below: dict[tuple[str, bytes], int] = defaultdict(int)
    given_up: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    for header in headers:
        key = (header.gateway_id, header.epoch)
        seqs[key].add(header.seq)
        below[key] = max(below[key], header.oldest_unsent_seq - 1, header.seq)
        for gap in header.gaps:
            given_up[header.gateway_id, gap.epoch] |= set(range(gap.first_seq, gap.last_seq + 1))
    holes = []
    for key, top in below.items():
        missing = sorted(set(range(1, top + 1)) - seqs[key] - given_up[key])
        holes += [Hole(*key, first, last) for first, last in _runs(missing)]
    declared = sum(len(numbers - seqs[key]) for key, numbers in given_up.items())
    return Ledger(sum(map(len, seqs.values())), declared, holes)


class Episode(NamedTuple):
    """An episode as the store has it: of which home and kind, and its evidence by `evidence_key`."""

    home_id: str
    kind: str
    evidence: frozenset[str]


class Episodes(NamedTuple):
    """Judgement of episodes. Empty lists: every alarm is exactly one episode, whole.

    Attributes:
        missing: Homes whose alarm did not come up.
        repeated: Homes with more than one episode of the kind.
        incomplete: Homes whose episodes lack evidence.
        strange: Homes that raised what nothing called for.
    """

    expected: int
    missing: list[str]
    repeated: list[str]
    incomplete: list[str]
    strange: list[str]


def evidence_key(code: int, sensor_id: str, occurred_us: int) -> str:
    """What tells a sensor's events apart on the wire and in Firestore alike; ids there are digests."""
    return f"{code} {sensor_id} {occurred_us}"


def events_of(payloads: Iterable[bytes]) -> dict[str, set[str]]:
    """Urgent envelopes → `evidence_key` of their events, by home."""
    found: dict[str, set[str]] = defaultdict(set)
    for payload in payloads:
        envelope, header = parse_envelope(payload)
        for event in open_body(envelope, header).events:
            found[header.home_id].add(evidence_key(event.code, event.sensor_id, event.occurred_us))
    return dict(found)


def judge_episodes(expected: Mapping[str, Collection[str]], found: Iterable[Episode], kind: str) -> Episodes:
    """Compare episodes of a kind with the evidence that was acknowledged.

    Args:
        expected: By home, the acknowledged evidence of one alarm.
    """
    by_home: dict[str, list[Episode]] = defaultdict(list)
    strange = set()
    for episode in found:
        if episode.home_id in expected and episode.kind == kind:
            by_home[episode.home_id].append(episode)
        else:
            strange.add(episode.home_id)
    incomplete = [
        home
        for home, ids in expected.items()
        if by_home[home] and not set(ids) <= set().union(*(episode.evidence for episode in by_home[home]))
    ]
    return Episodes(
        expected=len(expected),
        missing=sorted(home for home in expected if not by_home[home]),
        repeated=sorted(home for home, episodes in by_home.items() if len(episodes) > 1),
        incomplete=sorted(incomplete),
        strange=sorted(strange),
    )


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers → inclusive runs.

    >>> _runs([1, 2, 5])
    [(1, 2), (5, 5)]
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
