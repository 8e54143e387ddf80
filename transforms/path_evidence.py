"""A home that is silent alone, and its end → evidence (Contact ID 354). Pure: no clock, no store."""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.alarms import Evidence
from schemas.events import AlarmKind, Code
from transforms.correlation import Trouble
from transforms.evidence import NEW, RESTORE, Raised, digest, raised

RULE_VERSION: Final = "supervision-1"


def evidence_of_trouble(trouble: Trouble, recorded_us: int) -> Raised:
    """Trouble → evidence of the home's path; its ids come from what began the silence."""
    lost, back = trouble.lost, trouble.returned
    ended = back is not None or trouble.ended_us > 0
    if back is not None:
        occurred_us = arrived_us = back.returned_us
    else:
        occurred_us, arrived_us = trouble.ended_us or lost.due_us, trouble.ended_us or lost.told_us
    return path_evidence(
        lost.member.home_id, lost.member.gateway_id, lost.due_us, occurred_us, arrived_us, _title(trouble),
        RESTORE if ended else NEW, recorded_us,
    )  # fmt: skip


def path_evidence(
    home_id: str,
    gateway_id: str,
    due_us: int,
    occurred_us: int,
    arrived_us: int,
    title: str,
    qualifier: int,
    recorded_us: int,
) -> Raised:
    """Evidence that a home's path failed when it was due, or (RESTORE) works again."""
    evidence = Evidence(
        evidence_id=digest(home_id, "path", str(due_us), str(qualifier)),
        home_id=home_id,
        gateway_id=gateway_id,
        source="pipeline",
        code=Code.PATH_FAILURE,
        qualifier=qualifier,
        title=title,
        occurred_us=occurred_us,
        arrived_us=arrived_us,
        recorded_us=recorded_us,
        rule_version=RULE_VERSION,
    )
    return raised(AlarmKind.PATH, "", evidence)


def _title(trouble: Trouble) -> str:
    lost, back = trouble.lost, trouble.returned
    if back is not None:
        return "Home withdrawn from the roster" if back.withdrawn else "Home heard again"
    if trouble.ended_us:
        return "Not alone: part of an incident"
    if not lost.silent_us:
        return "Home never heard since it was enrolled"
    since = f"since {local_time(lost.silent_us, lost.member.timezone)}"
    if lost.mains_us:
        return f"Mains lost at {local_time(lost.mains_us, lost.member.timezone)}, silent {since}"
    return f"Home not heard {since}"


def local_time(us: int, timezone: str) -> str:
    """µs since 1970 UTC → the clock in a home; by UTC, and said so, where its zone is not known here.

    >>> local_time(0, "Europe/Berlin"), local_time(0, "nowhere")
    ('01:00', '00:00 UTC')
    """
    try:
        zone, mark = ZoneInfo(timezone), "" if timezone != "UTC" else " UTC"
    except (ZoneInfoNotFoundError, ValueError):
        zone, mark = ZoneInfo("UTC"), " UTC"
    return dt.datetime.fromtimestamp(us / 1e6, zone).strftime("%H:%M") + mark
