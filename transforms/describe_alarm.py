"""A set of evidence → what a dispatcher reads: headline, AVS level with its reasons. Order never counts.

`AVS_RULE` (ANSI/TMA-AVS-01 levels, this product's own rule, not a claim of conformity):

- 0: nothing calls for service: a trouble without a person, or a burglary that a user cancelled.
- 1: a call, limited information: any single intrusion evidence, or models of one family.
- 2: independent witnesses agree: an opening, movement inside, a sound; or two separate openings.
  Models alone assert at most this, whatever they say.
- 4: a gateway's life-safety evidence (fire, CO, gas, panic, medical).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from schemas.alarms import Evidence
from schemas.events import AlarmKind, Category, Code, meaning
from transforms.evidence import LATE_US, RESTORE, when_us

AVS_RULE: Final = "avs-rule-1"
MAX_REASONS: Final = 12
_MAX_PLACES: Final = 3

# Movement inside is one witness however many detectors see it: a pet walks past all of them.
_WITNESS_OF_CODE: Final = {Code.PERIMETER: "opening", Code.ENTRY_EXIT: "opening", Code.INTERIOR: "inside"}
_WITNESS_OF_FAMILY: Final = {"contact": "opening", "motion": "inside", "sound": "sound", "air": "air"}

_WORDS: Final = {
    "glass_break": "glass break",
    "forced": "forced opening",
    "person": "movement",
    "occupied": "movement",
    "smoke_alarm": "sound of a smoke alarm",
    "fire_crackling": "sound of fire",
    "fire": "signs of fire in the air",
    "co": "carbon monoxide in the air",
}
_ARMED_WORDS: Final = {"away": "armed away", "stay": "armed stay", "disarmed": "disarmed"}


class Level(NamedTuple):
    """An AVS level, 0 to 4, and readable reasons, strongest witness first."""

    level: int
    reasons: list[str]


def ends(evidence: Evidence) -> bool:
    """A restore or a cancel: it speaks of an episode and opens none."""
    return evidence.qualifier == RESTORE or evidence.code == Code.CANCEL


def by_strength(evidence: Iterable[Evidence]) -> list[Evidence]:
    """What opens or supports, strongest first, then oldest."""
    active = (e for e in evidence if not ends(e))
    return sorted(active, key=lambda e: (-_alone(e), when_us(e), e.evidence_id))


def avs_level(evidence: Sequence[Evidence], cancelled: bool) -> Level:
    """Evidence of one episode → its level under `AVS_RULE`."""
    active = by_strength(evidence)
    reasons = list(dict.fromkeys(reason for e in active for reason in _reasons(e)))[:MAX_REASONS]
    if cancelled:
        return Level(0, ["cancelled by a user", *reasons])
    level = max((_alone(e) for e in active), default=0)
    if len({witness for e in active for witness in _witnesses(e)}) >= 2:
        level = max(level, 2)
    return Level(level, reasons)


def headline(kind: AlarmKind, evidence: Sequence[Evidence], armed_mode: str) -> str:
    """Evidence of one episode → one sentence: "Glass break and movement in the kitchen, armed away"."""
    active = by_strength(evidence)
    places: dict[str, list[str]] = {}
    for e in active:
        for words, room in _happenings(e):
            said = places.setdefault(room, [])
            if words not in said:
                said.append(words)
    clauses = [_clause(words, room) for room, words in list(places.items())[:_MAX_PLACES]]
    if len(places) > _MAX_PLACES:
        clauses.append(f"{len(places) - _MAX_PLACES} more places")
    lead = active[0]
    if meaning(lead.code).category in (Category.LIFE, Category.INTRUSION) and armed_mode in _ARMED_WORDS:
        clauses.append(_ARMED_WORDS[armed_mode])
    delay_us = lead.arrived_us - lead.occurred_us
    if lead.clock_suspect:
        side = "before" if delay_us > 0 else "after"
        clauses.append(f"its clock says {_duration(abs(delay_us))} {side} arrival")
    elif delay_us > LATE_US:
        clauses.append(f"reported {_duration(delay_us)} late")
    if lead.cert_expired:
        clauses.append("certificate expired")
    sentence = ", ".join(clauses)
    return (sentence[:1].upper() + sentence[1:]) or str(kind)


def _alone(evidence: Evidence) -> int:
    return 1 if evidence.source == "fusion" else meaning(evidence.code).avs_level


def _witnesses(evidence: Evidence) -> list[str]:
    if evidence.source == "fusion":
        seen = [(_WITNESS_OF_FAMILY.get(s.family, s.family), s.sensor_id) for s in evidence.scores]
    elif evidence.code in _WITNESS_OF_CODE:
        seen = [(_WITNESS_OF_CODE[Code(evidence.code)], evidence.sensor_id)]
    else:
        seen = []
    return [f"{witness} {sensor}" if witness == "opening" else witness for witness, sensor in seen]


def _reasons(evidence: Evidence) -> list[str]:
    if evidence.source != "fusion":
        place = " ".join(
            filter(None, (evidence.room, f"({evidence.sensor_id})" if evidence.sensor_id else ""))
        )
        return [f"{evidence.title}: {place}" if place else evidence.title]
    return [
        f"{s.family} {s.room}: {s.label} {s.score:.2f} ({s.sensor_id}, {s.model_version})"
        for s in evidence.scores
    ]


def _happenings(evidence: Evidence) -> list[tuple[str, str]]:
    """(words, room) of what an evidence tells."""
    if evidence.source == "fusion" and evidence.scores:
        return [(_WORDS.get(s.label, s.label.replace("_", " ")), s.room) for s in evidence.scores]
    title = "movement" if evidence.code == Code.INTERIOR else evidence.title
    return [(title[:1].lower() + title[1:], evidence.room)]


def _clause(words: list[str], room: str) -> str:
    said = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{said} in the {room}" if room else said


def _duration(us: int) -> str:
    """
    >>> _duration(90_000_000), _duration(86_400_000_000)
    ('1 min', '24 h')
    """
    minutes = us // 60_000_000
    if minutes < 1:
        return f"{us // 1_000_000} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 96 * 60 else f"{minutes // 1440} days"
