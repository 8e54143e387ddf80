"""Evidence for tests of episodes."""

from __future__ import annotations

from typing import Any

from schemas.alarms import Alarm, AlarmState, Evidence, ScoreDoc
from schemas.events import Code, meaning
from tests.fakes import NOW_US, SECOND_US
from transforms.evidence import NEW, RESTORE


def evidence(name: str, code: int = Code.SMOKE, *, at_s: float = 0, **fields: Any) -> Evidence:
    """Evidence `name` that happened `at_s` after NOW_US and arrived at once."""
    at_us = NOW_US + int(at_s * SECOND_US)
    values: dict[str, Any] = {
        "evidence_id": name,
        "home_id": "home-0001",
        "gateway_id": "gw-0001",
        "source": "gateway",
        "code": int(code),
        "qualifier": NEW,
        "title": meaning(code).title,
        "sensor_id": "smoke-kitchen",
        "room": "kitchen",
        "occurred_us": at_us,
        "arrived_us": at_us,
        "recorded_us": at_us,
    }
    return Evidence(**(values | fields))


def restore(name: str, code: int = Code.SMOKE, *, at_s: float = 0, **fields: Any) -> Evidence:
    """The end of a condition."""
    return evidence(name, code, at_s=at_s, **({"qualifier": RESTORE} | fields))


def fused(name: str, *scores: tuple[str, str, str, str], at_s: float = 0, **fields: Any) -> Evidence:
    """Fusion's evidence of (family, sensor, room, label) scores."""
    docs = [
        ScoreDoc(
            sensor_id=sensor,
            room=room,
            family=family,
            label=label,
            score=0.94,
            model_version="v1",
            minute_us=NOW_US,
        )
        for family, sensor, room, label in scores
    ]
    values = {"source": "fusion", "scores": docs, "title": "Signs of a break-in", "room": docs[0].room}
    return evidence(name, Code.BURGLARY, at_s=at_s, **(values | fields))


def closed(alarm: Alarm, at_s: float) -> Alarm:
    """As the console leaves it."""
    at_us = NOW_US + int(at_s * SECOND_US)
    return alarm.model_copy(update={"state": AlarmState.CLOSED, "closed_us": at_us})
