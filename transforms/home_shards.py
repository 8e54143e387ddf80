"""The homes of one shard: a snapshot and a log in Beam's state, and their decoded form in memory.

The state alone is the truth. It holds numbered entries (parts of a snapshot, then packs as they came)
and a fence: the numbers of the first and last entry, and a random token that is written anew with every
change. What memory holds of a shard may be used only if its fence equals the state's to the last bit;
otherwise the homes are built from the entries. So memory need not be told of anything: a restart, a
rollback, a bundle that failed or a shard that another worker had meanwhile leaves a fence that is not
the state's. Whoever works on a shard first takes it out of memory, so that two bundles (one of which
the runner has given up) never share it, and one that fails leaves nothing behind. No Beam here.
"""

from __future__ import annotations

import marshal
import struct
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import zstandard

from transforms.advance_home import Advanced, advance, forget, forgets_us
from transforms.home_packs import ZSTD_LEVEL, unpack
from transforms.home_state import Home, decode, encode

MIN_LOG_BYTES: Final = 16 << 10  # a log is folded when it is longer than this and than half the snapshot
PART_HOMES: Final = 256  # in one entry of a snapshot: about 200 kB
MAX_HOMES_IN_MEMORY: Final = 100_000  # of a process: about 1 GB
_SNAPSHOT, _PACK = 0, 1
_MARSHAL: Final = 2
_ENTRY: Final = struct.Struct(">BQ")  # kind, number
_FENCE: Final = struct.Struct(">IQQ16s")  # shards, first and last entry, token


class Fence(NamedTuple):
    """What memory and state must agree on. `shards`: how many there are, for the life of the job."""

    shards: int
    first: int
    last: int
    token: bytes

    def encoded(self) -> bytes:
        """As the state holds it."""
        return _FENCE.pack(*self)

    @classmethod
    def of(cls, data: bytes | None, shards: int) -> Fence:
        """The inverse of `encoded`; of None that of a shard without state.

        Raises:
            ValueError: The state was kept in another number of shards: its homes are elsewhere.
        """
        fence = cls(*_FENCE.unpack(data)) if data else cls(shards, 1, 0, bytes(16))
        if fence.shards != shards:
            raise ValueError(
                f"state was kept in {fence.shards} shards, this job has {shards}: their number is fixed"
            )
        return fence


class Change(NamedTuple):
    """What must be written: `entries` after what is there, or instead of it if `fold`."""

    fold: bool
    entries: list[bytes]
    fence: Fence


@dataclass
class Shard:
    """The decoded homes of a shard, and the fence of the state that they are.

    Attributes:
        snapshot_bytes, log_bytes: Of the entries in state.
    """

    fence: Fence
    homes: dict[str, Home] = field(default_factory=dict)
    snapshot_bytes: int = 0
    log_bytes: int = 0

    @classmethod
    def build(cls, fence: Fence, entries: Iterable[bytes], *, keep_all: bool) -> Shard:
        """State → shard. Entries may come in any order, as from a bag.

        Raises:
            ValueError: Entries are missing, or there are others than the fence says.
        """
        shard = cls(fence)
        numbered = sorted((_ENTRY.unpack_from(entry)[::-1], entry) for entry in entries)
        found = [number for (number, _), _ in numbered]
        if found != list(range(fence.first, fence.last + 1)):
            raise ValueError(f"state has entries {found}, its fence says {fence.first} to {fence.last}")
        for (_, kind), entry in numbered:
            if kind == _SNAPSHOT:
                shard.homes.update(_read_part(entry[_ENTRY.size :]))
                shard.snapshot_bytes += len(entry)
            else:
                for _ in shard._advance(entry[_ENTRY.size :], keep_all=keep_all):
                    pass
                shard.log_bytes += len(entry)
        return shard

    def take(self, packed: bytes, *, keep_all: bool) -> tuple[list[Advanced], Change | None]:
        """Take a pack in → what it did to its homes, and what to write; None: nothing changed."""
        did = list(self._advance(packed, keep_all=keep_all))
        if not any(one.changed for one in did):
            return did, None
        number = self.fence.last + 1
        entry = _ENTRY.pack(_PACK, number) + packed
        if self.log_bytes + len(entry) > max(MIN_LOG_BYTES, self.snapshot_bytes // 2):
            return did, self._fold()
        self.log_bytes += len(entry)
        self.fence = self.fence._replace(last=number, token=uuid.uuid4().bytes)
        return did, Change(False, [entry], self.fence)

    def forget(self, now_us: int) -> Change | None:
        """Drop what silent homes no longer need; None: all of them were, and the state may be cleared."""
        for home_id, home in list(self.homes.items()):
            if not forget(home, now_us):
                del self.homes[home_id]
        return self._fold() if self.homes else None

    def next_us(self) -> int:
        """When the first of the homes will have something to forget."""
        return min(map(forgets_us, self.homes.values()))

    @property
    def state_bytes(self) -> int:
        """In Beam's state."""
        return self.snapshot_bytes + self.log_bytes

    def _advance(self, packed: bytes, *, keep_all: bool) -> Iterator[Advanced]:
        for home_id, scores, summaries in unpack(packed):
            home = self.homes.get(home_id) or Home()
            did = advance(home_id, home, scores, summaries, keep_all=keep_all)
            if did.changed:
                self.homes[home_id] = home
            yield did

    def _fold(self) -> Change:
        """Everything as a new snapshot; its entries take the next numbers."""
        names = list(self.homes)
        first = self.fence.last + 1
        entries = [
            _ENTRY.pack(_SNAPSHOT, first + part) + _write_part(self.homes, names[start : start + PART_HOMES])
            for part, start in enumerate(range(0, len(names), PART_HOMES))
        ]
        self.snapshot_bytes, self.log_bytes = sum(map(len, entries)), 0
        self.fence = Fence(self.fence.shards, first, first + len(entries) - 1, uuid.uuid4().bytes)
        return Change(True, entries, self.fence)


class ShardMemory:
    """The shards that this process has worked on, the least recent forgotten first.

    Args:
        max_homes: In all shards together.
    """

    def __init__(self, max_homes: int = MAX_HOMES_IN_MEMORY) -> None:
        self._max_homes = max_homes
        self._shards: OrderedDict[tuple[str, int], Shard] = OrderedDict()
        self._homes = 0
        self._lock = threading.Lock()

    def take(self, key: tuple[str, int], fence: Fence) -> Shard | None:
        """Take a shard out, if it is what the state holds; what is not is gone as well."""
        with self._lock:
            shard = self._shards.pop(key, None)
            if shard is None:
                return None
            self._homes -= len(shard.homes)
        return shard if shard.fence == fence else None

    def keep(self, key: tuple[str, int], shard: Shard) -> None:
        """Put a shard back, for whoever has the same fence. Nobody may touch it any more."""
        with self._lock:
            old = self._shards.pop(key, None)
            self._homes += len(shard.homes) - (len(old.homes) if old else 0)
            self._shards[key] = shard
            while self._homes > self._max_homes and len(self._shards) > 1:
                _, forgotten = self._shards.popitem(last=False)
                self._homes -= len(forgotten.homes)


def _write_part(homes: dict[str, Home], names: list[str]) -> bytes:
    plain = marshal.dumps(tuple((name, encode(homes[name])) for name in names), _MARSHAL)
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plain)


def _read_part(data: bytes) -> dict[str, Home]:
    pairs = marshal.loads(zstandard.ZstdDecompressor().decompress(data))
    return {name: decode(encoded) for name, encoded in pairs}
