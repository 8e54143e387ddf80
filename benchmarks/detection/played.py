"""One script of `local.simulator.entries` played to a watched home: what found it, when, at which level."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from benchmarks.detection.watched_home import SEALED_LATE_US, WatchedHome
from edge_client.clock import SECOND_US
from local.simulator.enrol import gateway_sensors
from local.simulator.entries import ARMED_S, Entry
from local.simulator.sensors import SimulatedHome
from schemas.events import AlarmKind
from schemas.readings import MINUTE_US, SECONDS
from serving.interpreter import LoadedModel
from transforms.describe_alarm import avs_level, ends
from transforms.score_homes import FLOOR

# Noon of a Tuesday in UTC: in the simulator nobody is needed at home then, and nothing cooks.
START_US: Final = 1_763_985_600 * SECOND_US
NEVER: Final = "none"
SENSES: Final = ("product", "gateway's rules", "fusion", "contact alone", "sound alone", "motion alone")
# A single model as an alarm of its own: the label that fusion would hear in it.
_ALONE: Final = {"contact": "forced", "sound": "glass_break", "motion": "person"}


class Played(NamedTuple):
    """What a script came to.

    Attributes:
        after_s: By sense, seconds from the first act to its first alarm; None: none.
        level: AVS level of its alarm when the script is over; None: none was opened.
        level_by_rules: What it would be on the gateway's evidence alone.
    """

    after_s: dict[str, float | None]
    level: int | None
    level_by_rules: int | None


def play(entry: Entry, models: dict[str, LoadedModel], seed: int) -> Played:
    """Draw a script and play it."""
    rng = np.random.default_rng(seed)
    acts_s = ARMED_S + 10 + float(rng.uniform(0, SECONDS))
    script = entry.makes(rng, acts_s)
    number = 1 + int(rng.integers(1, 10_000))
    home = SimulatedHome(seed, number, START_US, 0, script)
    watched = WatchedHome(gateway_sensors(), START_US, models)
    until = int(script.lasts_s) // SECONDS * SECONDS + SECONDS
    for second in range(until + 4):
        at_us = START_US + second * SECOND_US
        for message in home.second(second):
            watched.message(message.topic, message.payload, message.due_us)
        watched.tick(at_us + SECOND_US)
        if second > SECONDS and second % SECONDS == SEALED_LATE_US // SECOND_US + 1:
            watched.minute(at_us - at_us % MINUTE_US - MINUTE_US)
    return _outcome(watched, entry.kind, START_US + int(acts_s * SECOND_US))


def _outcome(watched: WatchedHome, kind: AlarmKind, acts_us: int) -> Played:
    alarms = [alarm for alarm in watched.alarms if alarm.kind is kind]
    evidence = [e for alarm in alarms for e in watched.evidence(alarm.alarm_id)]
    first: dict[str, list[int]] = {
        "gateway's rules": [e.recorded_us for e in evidence if e.source == "gateway" and not ends(e)],
        "fusion": [e.recorded_us for e in evidence if e.source == "fusion"],
    }
    for family, label in _ALONE.items():
        first[f"{family} alone"] = [
            at_us
            for found, said, p, at_us in watched.scores
            if (found, said) == (family, label) and p >= FLOOR and at_us > acts_us
        ]
    first["product"] = first["gateway's rules"] + first["fusion"]
    after_s = {sense: (min(first[sense]) - acts_us) / 1e6 if first[sense] else None for sense in SENSES}
    level = max((alarm.avs_level for alarm in alarms), default=None)
    by_gateway = [e for e in evidence if e.source == "gateway"]
    by_rules = avs_level(by_gateway, cancelled=level == 0).level if first["gateway's rules"] else None
    return Played(after_s, level, by_rules)
