"""What a pack of scores and batch summaries does to one home: pure functions. No Beam pipeline here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Final, NamedTuple

from schemas.homes import HomeStatus, SensorStatus
from schemas.readings import MINUTE_US
from transforms.elements import BatchSummary, Score
from transforms.gateway_ledger import Key, Ledger
from transforms.hear_scores import Placed, hear
from transforms.home_state import KINDS, MAX_SENSORS, HeldSensor, Home
from transforms.rows import register_rows
from transforms.score_homes import HomeWindow

LAST_SEEN_US: Final = 5 * MINUTE_US  # coarse: a status write a minute would cost $39k a month at 10⁶ homes
SCORES_KEPT_US: Final = 86_400_000_000
STATE_KEPT_US: Final = 30 * SCORES_KEPT_US
UNKNOWN: Final = "unknown"


class StatusChange(NamedTuple):
    """A home's document as it must now stand: `schemas.homes.HomeStatus` as JSON.

    Attributes:
        publish_us: Arrival of the batch that changed it.
    """

    home_id: str
    publish_us: int
    status: str


class HoleReport(NamedTuple):
    """All holes of an epoch after one of them opened or closed; empty lists: none is left.

    A hole is a sequence number that the gateway no longer holds and that has not come.

    Attributes:
        first_seqs, last_seqs: Inclusive bounds, pairwise.
        reasons: As the gateway declared (Header.gaps), "" where it did not.
        from_us, to_us: transforms.gateway_ledger.Hole.
    """

    home_id: str
    gateway_id: str
    epoch: str
    publish_us: int
    first_seqs: list[int]
    last_seqs: list[int]
    reasons: list[str]
    from_us: list[int]
    to_us: list[int]


register_rows(StatusChange, HoleReport)


def visible(home: Home) -> tuple[Any, ...]:
    """What a person would see of a home: its document is written when this changes."""
    present = home.ledger.present
    if present is None:
        return ()
    sensors = [(name, s.kind, s.room, s.battery_percent) for name, s in home.sensors.items()]
    coarse_us = present.seen_us - present.seen_us % LAST_SEEN_US
    said = (present.mode or UNKNOWN, present.phase or UNKNOWN, present.software_version)
    return present.key.gateway_id, *said, coarse_us, home.rules_only, sensors


def status_of(home_id: str, home: Home) -> HomeStatus:
    """The document of a home that has sent a batch."""
    gateway_id, mode, phase, software_version, last_seen_us, rules_only, sensors = visible(home)
    return HomeStatus(
        home_id=home_id,
        gateway_id=gateway_id,
        armed_mode=mode,
        armed_phase=phase,
        sensors={
            name: SensorStatus(kind=kind, room=room, battery_percent=battery)
            for name, kind, room, battery in sorted(sensors, key=itemgetter(0))
        },
        software_version=software_version,
        last_seen_us=last_seen_us,
        rules_only_since_us=rules_only.since_us if rules_only else None,
        rules_only_families=list(rules_only.families) if rules_only else [],
    )


class Advanced(NamedTuple):
    """What a pack did to a home. `changed`: its state must be written back."""

    windows: list[HomeWindow]
    statuses: list[StatusChange]
    holes: list[HoleReport]
    late: list[Score]
    duplicates: int
    changed: bool


def advance(
    home_id: str, home: Home, scores: list[Placed], summaries: list[BatchSummary], *, keep_all: bool
) -> Advanced:
    """Take one pack into a home's state, in place."""
    before = visible(home)
    holes: dict[tuple[str, str], HoleReport] = {}
    duplicates = 0
    for summary in summaries:
        known = home.ledger.present
        taken = home.ledger.take(summary)
        if not taken.new:
            duplicates += 1
            continue
        if known and home.ledger.present and known.key != home.ledger.present.key:
            for sensor in home.sensors.values():
                sensor.seq = -1  # counted in the epoch before
        home.newest_us = max(home.newest_us, summary.publish_us)
        name_sensors(home, summary)
        for key in home.ledger.touched:
            holes[key] = hole_report(home_id, key, summary.publish_us, home.ledger)
    heard = hear(home_id, home, scores, keep_all=keep_all)
    statuses = []
    if visible(home) != before and home.ledger.present is not None:
        statuses.append(StatusChange(home_id, home.newest_us, status_of(home_id, home).model_dump_json()))
    changed = heard.added > 0 or len(summaries) > duplicates
    return Advanced(
        heard.windows, statuses, list(holes.values()), heard.late, duplicates + heard.duplicates, changed
    )


def name_sensors(home: Home, summary: BatchSummary) -> None:
    """Take the sensors that an accepted batch tells of, after the ledger took the batch.

    The newest batch of the present epoch says the battery, whatever the order of arrival; any other
    only adds sensors that nobody knew.
    """
    present = home.ledger.present
    current = present is not None and present.key == (summary.gateway_id, summary.epoch)
    for name, room, kind, battery in _sensors_of(summary):
        held = home.sensors.get(name)
        if kind not in KINDS or (held is None and len(home.sensors) >= MAX_SENSORS):
            continue
        if held is None or (current and summary.seq > held.seq):
            home.sensors[name] = HeldSensor(room, kind, battery, summary.seq if current else -1)


def _sensors_of(summary: BatchSummary) -> Iterator[tuple[str, str, str, int | None]]:
    """(sensor_id, room, kind, battery percent) of each sensor in `BatchSummary.sensors`."""
    for name, status in json.loads(summary.sensors or "{}").items():
        yield name, status["room"], status["kind"], status.get("battery_percent")


def hole_report(home_id: str, key: Key, publish_us: int, ledger: Ledger) -> HoleReport:
    """All that an epoch misses now."""
    columns = zip(*ledger.holes(key), strict=True) if ledger.holes(key) else ((),) * 5
    return HoleReport(home_id, *key, publish_us, *map(list, columns))


def forgets_us(home: Home) -> int:
    """When a home that stays silent has something to forget: its scores after a day, itself after thirty.

    The ledger outlives the scores, else a replayed batch would revive a home that is gone.
    """
    return home.newest_us + (SCORES_KEPT_US if home.minutes else STATE_KEPT_US)


def forget(home: Home, now_us: int) -> bool:
    """Drop what is due, in place. False: nothing is left of the home."""
    if now_us >= home.newest_us + SCORES_KEPT_US:
        home.minutes, home.vocabularies, home.rules_only = {}, [], None
    return now_us < home.newest_us + STATE_KEPT_US
