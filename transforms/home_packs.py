"""What a bundle says of a shard's homes, as one value: packed once, shuffled, and kept as a log entry.

Keyed state in Python costs per visit (docs/decisions/015-packed-state.md), so a bundle's records
cross to TrackHomes as one element a shard. No Beam here.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import zstandard

from transforms.elements import BatchSummary, Score
from transforms.hear_scores import Placed, place
from transforms.home_state import Vocabulary

PACK_VERSION: Final = 2
ZSTD_LEVEL: Final = 1
_SCORE, _SUMMARY = 0, 1
_MARSHAL: Final = 2  # neither references nor interning: equal values, equal bytes


class Records(NamedTuple):
    """What a pack says of one home."""

    home_id: str
    scores: list[Placed]
    summaries: list[BatchSummary]


def shard_of(home_id: str, shards: int) -> int:
    """Home → its shard: the same in every process and for ever.

    >>> shard_of("home-0001", 16)
    4
    """
    return zlib.crc32(home_id.encode()) % shards


def score_record(score: Score) -> bytes:
    """A score, reduced to what the state keeps of it."""
    p = place(score)
    common = (p.gateway_id, p.minute, p.publish_us, p.mode)
    return marshal.dumps(
        (_SCORE, common, p.sensor_id, p.room, tuple(p.vocabulary), p.probabilities), _MARSHAL
    )


def summary_record(summary: BatchSummary) -> bytes:
    """A batch summary, whole."""
    return marshal.dumps((_SUMMARY, *summary), _MARSHAL)


def pack(records: Mapping[str, Iterable[bytes]]) -> bytes:
    """Home → its records, in order of arrival, as one value; what scores have in common is written once."""
    words: dict[tuple[Any, ...], int] = {}
    homes = []
    for home_id, encoded in records.items():
        groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        summaries = []
        for record in encoded:
            kind, *values = marshal.loads(record)
            if kind == _SCORE:
                common, sensor_id, room, vocabulary, steps = values
                word = words.setdefault(vocabulary, len(words))
                groups.setdefault(common, []).append((sensor_id, room, word, steps))
            else:
                summaries.append(tuple(values))
        homes.append(
            (home_id, tuple((common, tuple(rows)) for common, rows in groups.items()), tuple(summaries))
        )
    plain = marshal.dumps((PACK_VERSION, tuple(words), tuple(homes)), _MARSHAL)
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plain)


def unpack(data: bytes) -> list[Records]:
    """The inverse of `pack`.

    Raises:
        ValueError: Packed by another version of this code.
    """
    version, words, homes = marshal.loads(zstandard.ZstdDecompressor().decompress(data))
    if version != PACK_VERSION:
        raise ValueError(f"pack has version {version}, known versions: {PACK_VERSION}")
    vocabularies = [Vocabulary(*word) for word in words]
    return [
        Records(
            home_id,
            [
                Placed(gateway_id, sensor_id, room, minute, publish_us, mode, vocabularies[word], steps)
                for (gateway_id, minute, publish_us, mode), rows in groups
                for sensor_id, room, word, steps in rows
            ],
            [BatchSummary(*values) for values in summaries],
        )
        for home_id, groups, summaries in homes
    ]
