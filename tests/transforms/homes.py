"""Scores and batch summaries of invented homes, for the tests of TrackHomes and what follows it."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import strategies as st

from schemas.models import UNSCORED
from schemas.readings import MINUTE_US
from transforms.elements import BatchSummary, Score
from transforms.hear_scores import PROBABILITY_STEPS
from transforms.home_packs import pack, score_record, summary_record
from transforms.score_homes import HeldScore, HomeWindow

MINUTE0: Final = 29_539_440  # 2026-03-01T12:00Z, in minutes since 1970
EPOCH: Final = "0e" * 16
LABELS: Final[dict[str, list[str]]] = {
    "sound": ["smoke_alarm", "glass_break", "siren", "dog", "speech", "impact", "household", "quiet"],
    "motion": ["nobody", "person", "pet", "draught"],
    "air": ["normal", "occupied", "cooking", "fire", "co"],
    "contact": ["rest", "knock", "open_close", "forced"],
}
SENSORS: Final = {
    "motion-hall": ("motion", "hall"),
    "motion-living": ("motion", "living room"),
    "motion-bedroom": ("motion", "bedroom"),
    "sound-kitchen": ("sound", "kitchen"),
    "sound-living": ("sound", "living room"),
    "air-kitchen": ("air", "kitchen"),
    "air-bedroom": ("air", "bedroom"),
    "contact-front-door": ("contact", "hall"),
    "contact-kitchen-window": ("contact", "kitchen"),
    "contact-bedroom-window": ("contact", "bedroom"),
}
QUIET: Final = {"sound": "quiet", "motion": "nobody", "air": "normal", "contact": "rest"}


def publish_us(minute: int, delay_s: float = 1.0) -> int:
    """When a batch that was sealed at the end of a minute is published."""
    return (MINUTE0 + minute + 1) * MINUTE_US + int(delay_s * 1e6)


def score(
    sensor: str,
    minute: int,
    label: str = "",
    p: float = 0.8,
    *,
    home: str = "home-1",
    mode: str = "away",
    delay_s: float = 1.0,
) -> Score:
    """A score of one of `SENSORS` in minute `MINUTE0 + minute`; p in steps of 1/255 stays exact."""
    family, room = SENSORS[sensor]
    label = label or QUIET[family]
    labels = LABELS[family]
    steps = round(p * PROBABILITY_STEPS)
    rest = [(PROBABILITY_STEPS - steps) // (len(labels) - 1) / PROBABILITY_STEPS] * len(labels)
    rest[labels.index(label)] = steps / PROBABILITY_STEPS
    return Score(
        home_id=home,
        gateway_id=f"gw-{home}",
        batch_id=f"gw-{home}.{EPOCH}.{minute + 1}",
        reading_id=f"{home}|{sensor}|{minute}",
        sensor_id=sensor,
        room=room,
        family=family,
        minute_us=(MINUTE0 + minute) * MINUTE_US,
        publish_us=publish_us(minute, delay_s),
        arming_mode=mode,
        label=label,
        score=p,
        labels=labels,
        probabilities=rest,
        quantities=[],
        model_version=f"{family}-1",
    )


def close(small: Score, label: str, p: float) -> Score:
    """What the large model says of the same reading."""
    steps = round(p * PROBABILITY_STEPS) / PROBABILITY_STEPS
    probabilities = [steps if each == label else 0.0 for each in small.labels]
    version = f"{small.family}_large-1"
    return small._replace(label=label, score=p, probabilities=probabilities, model_version=version)


def unscored(blank: Score) -> Score:
    """The same reading where its model failed."""
    return blank._replace(label="", score=0.0, labels=[], probabilities=[], model_version=UNSCORED)


def minute_of_scores(
    minute: int, loud: dict[str, tuple[str, float]] | None = None, **kwargs: Any
) -> list[Score]:
    """All ten sensors of a home in one minute; `loud`: sensor → (label, probability)."""
    loud = loud or {}
    return [score(sensor, minute, *loud.get(sensor, ("", 0.8)), **kwargs) for sensor in SENSORS]


def summary(seq: int, minute: int, *, home: str = "home-1", battery: int = 90, **kwargs: Any) -> BatchSummary:
    """The summary of a minute's batch."""
    values: dict[str, Any] = {
        "home_id": home,
        "gateway_id": f"gw-{home}",
        "epoch": EPOCH,
        "seq": seq,
        "lane": "minutes",
        "created_us": publish_us(minute, 0.5),
        "publish_us": publish_us(minute),
        "oldest_unsent_seq": seq,
        "head_seq": seq,
        "arming_mode": "away",
        "arming_phase": "set",
        "software_version": "0.1.0",
        "sensors": json.dumps(
            {s: {"kind": f, "room": r, "battery_percent": battery} for s, (f, r) in SENSORS.items()}
        ),
        "synthetic": False,
        "clock_suspect": False,
    }
    return BatchSummary(**(values | kwargs))


def held(value: Score) -> HeldScore:
    """A score as a window holds it."""
    return HeldScore(
        sensor_id=value.sensor_id,
        room=value.room,
        family=value.family,
        minute_us=value.minute_us,
        arming_mode=value.arming_mode,
        labels=list(value.labels),
        probabilities=list(value.probabilities),
        model_version=value.model_version,
    )


def home_window(scores: list[Score], end: int = 5) -> HomeWindow:
    """A window of home-1 that holds these scores; `end` in minutes after `MINUTE0`."""
    newest = max(scores, key=lambda s: s.minute_us, default=None)
    return HomeWindow(
        home_id="home-1",
        gateway_id="gw-home-1",
        window_end_us=(MINUTE0 + end) * MINUTE_US,
        publish_us=max((s.publish_us for s in scores), default=0),
        arming_mode=newest.arming_mode if newest else "",
        scores=[held(s) for s in scores],
    )


def packed(elements: list[Score | BatchSummary]) -> bytes:
    """What PackShards makes of a bundle's elements, all of one shard."""
    records: dict[str, list[bytes]] = {}
    for element in elements:
        record = score_record(element) if isinstance(element, Score) else summary_record(element)
        records.setdefault(element.home_id, []).append(record)
    return pack(records)


arrivals = st.lists(
    st.builds(
        score,
        st.sampled_from(sorted(SENSORS)),
        st.integers(0, 12),
        mode=st.sampled_from(["away", "stay", "disarmed", ""]),
        delay_s=st.sampled_from([0.5, 70.0, 300.0]),
    ),
    max_size=25,
)
