"""What TrackHomes knows of one home: a compact, versioned state and its codec. No Beam here.

Time is counted in minutes since 1970 UTC where a score is placed, in µs elsewhere.
"""

from __future__ import annotations

import json
import marshal
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from schemas.models import UNSCORED, is_large
from schemas.readings import READING_KINDS
from transforms.gateway_ledger import Ledger

STATE_VERSION: Final = 2
# Version 2 of marshal has neither references nor interning: equal values give equal bytes, under
# every Python so far. It is never fed bytes from outside.
_MARSHAL: Final = 2

MAX_SENSORS: Final = 255  # what the byte of a record can point at
MAX_VOCABULARIES: Final = 64  # what its six bits can

MODES: Final = ("", "disarmed", "stay", "away")
KINDS: Final = ("", *READING_KINDS.values())
_MINUTE: Final = struct.Struct(">IqBI")  # minute, publish_us, mode, bytes of records


class Vocabulary(NamedTuple):
    """What one model can say; a score refers to it by its place in the state."""

    family: str
    model_version: str
    labels: tuple[str, ...]

    @property
    def rank(self) -> int:
        """Of two scores of one reading the higher stands: none, the small model's, the large one's."""
        if self.model_version == UNSCORED:
            return 0
        return 2 if is_large(self.family, self.model_version) else 1


class RulesOnly(NamedTuple):
    """Families whose model fails, so that rules alone watch: `since_us` is the minute it began in."""

    since_us: int
    families: tuple[str, ...]


@dataclass
class Minute:
    """The scores of one minute: records of [sensor, mode << 6 | vocabulary, probabilities...] bytes."""

    publish_us: int = 0
    mode: int = 0
    records: bytes = b""


@dataclass
class HeldSensor:
    """A sensor of the home. `seq`: of the batch that `battery_percent` comes from, -1 for none."""

    room: str
    kind: str
    battery_percent: int | None = None
    seq: int = -1


@dataclass
class Home:
    """State of one home. `newest_us`: newest publish time. `rules_only`: None while models work."""

    gateway_id: str = ""
    newest_us: int = 0
    vocabularies: list[Vocabulary] = field(default_factory=list)
    sensors: dict[str, HeldSensor] = field(default_factory=dict)
    minutes: dict[int, Minute] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    rules_only: RulesOnly | None = None


def encode(home: Home) -> bytes:
    """Home → bytes: the same for equal homes."""
    rooms = sorted({sensor.room for sensor in home.sensors.values()})
    text = json.dumps(
        [
            home.gateway_id,
            rooms,
            [[v.family, v.model_version, *v.labels] for v in home.vocabularies],
            [
                [name, rooms.index(s.room), KINDS.index(s.kind), s.battery_percent, s.seq]
                for name, s in home.sensors.items()
            ],
            *([home.rules_only] if home.rules_only else []),  # mostly absent, as in state from before it
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    minutes = b"".join(
        _MINUTE.pack(key, m.publish_us, m.mode, len(m.records)) + m.records
        for key, m in sorted(home.minutes.items())
    )
    return marshal.dumps((STATE_VERSION, home.newest_us, text, minutes, home.ledger.plain()), _MARSHAL)


def decode(data: bytes) -> Home:
    """The inverse of `encode`.

    Raises:
        ValueError: State of another version: the job needs that version's code or a migration.
    """
    version, *rest = marshal.loads(data)
    if version != STATE_VERSION:
        raise ValueError(f"state has version {version}, known versions: {STATE_VERSION}")
    newest_us, text, minutes, ledger = rest
    gateway_id, rooms, words, sensors, *more = json.loads(text)
    return Home(
        gateway_id=gateway_id,
        newest_us=newest_us,
        vocabularies=[Vocabulary(family, model, tuple(labels)) for family, model, *labels in words],
        sensors={name: HeldSensor(rooms[room], KINDS[kind], *rest) for name, room, kind, *rest in sensors},
        minutes=dict(_read_minutes(minutes)),
        ledger=Ledger.of_plain(ledger),
        rules_only=RulesOnly(more[0][0], tuple(more[0][1])) if more else None,
    )


def _read_minutes(data: bytes) -> Iterator[tuple[int, Minute]]:
    at = 0
    while at < len(data):
        key, publish_us, mode, size = _MINUTE.unpack_from(data, at)
        at += _MINUTE.size + size
        yield key, Minute(publish_us, mode, data[at - size : at])


def records(home: Home, minute: int) -> Iterator[tuple[int, int, int, bytes]]:
    """(sensor, vocabulary, mode, probabilities) of each score held for a minute."""
    data = home.minutes[minute].records if minute in home.minutes else b""
    at = 0
    while at < len(data):
        start, word, mode = at + 2, data[at + 1] & 63, data[at + 1] >> 6
        end = start + len(home.vocabularies[word].labels)
        yield data[at], word, mode, data[start:end]
        at = end


def record(sensor: int, vocabulary: int, mode: int, probabilities: bytes) -> bytes:
    """One of what `records` reads."""
    return bytes((sensor, mode << 6 | vocabulary)) + probabilities
