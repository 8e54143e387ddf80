"""The rules of an episode (design.md, "Alarm"), without a store: evidence in, changes out.

Evidence belongs to the earliest episode of its home and kind that was not yet closed when it
happened; if none is left open, it opens the next one. Everything that an episode says is worked out
anew from all of its evidence, so that the order of arrival and repeated delivery do not matter:

- Late evidence of a closed episode annotates it. It reopens nothing, and the console's fields are
  not touched.
- A restore or a cancel opens no episode. If it overtakes the evidence that it ends, it waits for it.
- An episode is restored when each of its conditions (code and sensor) has a restore no older than its
  newest alarm; an alarm after the restore means that it lasts, and `restored_us` is cleared.
- A burglary is cancelled if a user's cancel is no older than each of its gateway's alarms. Models do
  not overrule a user, a sensor that trips afterwards does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.alarms import Alarm, AlarmState, Evidence, alarm_id
from schemas.events import AlarmKind, Category, Code, meaning
from transforms.describe_alarm import AVS_RULE, avs_level, by_strength, ends, headline
from transforms.evidence import RESTORE, when_us

# Long enough for a redelivery to overtake, short enough not to end tomorrow's alarm.
WAIT_US: Final = 3600 * 1_000_000
MAX_WAITING: Final = 16
MAX_PREVIOUS: Final = 16

Action = Literal["create", "update", "annotate", "none"]


class Change(NamedTuple):
    """What one piece of evidence does to one episode.

    Attributes:
        alarm: The episode as it is afterwards; None if there is none.
        fields: What changes, a subset of `PIPELINE_FIELDS`; empty for create (write all) and none.
        evidence: As it is to be stored: `late` is set where it annotates.
    """

    action: Action
    alarm: Alarm | None
    fields: dict[str, Any]
    evidence: Evidence


class Closed(BaseModel):
    """An earlier episode of a slot, and when the console closed it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    alarm_id: str
    closed_us: int


class Slot(BaseModel):
    """open/{home~kind}: the latest episode, the ones before it, and restores that came too early."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    alarm_id: str = ""
    previous: list[Closed] = Field(default_factory=list)
    waiting: list[Evidence] = Field(default_factory=list)


class Episode(NamedTuple):
    """An episode as read from a store: the alarm and all evidence it has (without charts)."""

    alarm: Alarm
    evidence: list[Evidence]


class Outcome(NamedTuple):
    """What a slot's new evidence comes to. `slot` is None if it stays as it was."""

    changes: list[Change]
    slot: Slot | None


def attach(
    current: Alarm | None,
    evidence: Evidence,
    others: Sequence[Evidence],
    now_us: int,
    *,
    kind: AlarmKind,
    armed_mode: str = "",
) -> Change:
    """One episode (or none) and new evidence → create, update, annotate or none.

    Args:
        others: All evidence that `current` has already.
        now_us: The pipeline's clock, for `opened_us` and `updated_us`.
    """
    closed_us = closed_at(current)
    if current is None or (closed_us is not None and when_us(evidence) > closed_us):
        if ends(evidence):
            return Change("none", current, {}, evidence)
        return Change("create", _opened(kind, evidence, now_us, armed_mode), {}, evidence)
    if any(other.evidence_id == evidence.evidence_id for other in others):
        return Change("none", current, {}, evidence)
    if closed_us is not None:
        evidence = evidence.model_copy(update={"late": True})
    said = _derived(kind, [*others, evidence], current.armed_mode or armed_mode) | {"updated_us": now_us}
    fields = {name: value for name, value in said.items() if getattr(current, name) != value}
    alarm = current.model_copy(update=fields)
    return Change("update" if closed_us is None else "annotate", alarm, fields, evidence)


def closed_at(alarm: Alarm | None) -> int | None:
    """When the console closed it, None while it is open or there is none."""
    if alarm is None or alarm.state is not AlarmState.CLOSED:
        return None
    return alarm.updated_us if alarm.closed_us is None else alarm.closed_us


def wanted(slot: Slot, evidence: Sequence[Evidence]) -> list[str]:
    """Ids of the episodes that `fold` needs to see."""
    oldest_us = min((when_us(e) for e in evidence), default=0)
    earlier = [closed.alarm_id for closed in slot.previous if closed.closed_us >= oldest_us]
    return [*earlier, slot.alarm_id] if slot.alarm_id else earlier


def fold(
    kind: AlarmKind,
    slot: Slot,
    episodes: Mapping[str, Episode],
    raised: Sequence[tuple[Evidence, str]],
    now_us: int,
) -> Outcome:
    """Fresh evidence of one home and kind, in the order of arrival → changes to its episodes.

    Args:
        episodes: Those named by `wanted`, by id.
        raised: Evidence that no episode has yet, each with the arming mode.
    """
    current, changes = slot, []
    known = {name: Episode(e.alarm, list(e.evidence)) for name, e in episodes.items()}
    queue = list(raised)
    while queue:
        evidence, armed_mode = queue.pop(0)
        target = _target(current, evidence)
        episode = known.get(target)
        change = attach(
            episode.alarm if episode else None,
            evidence,
            episode.evidence if episode else [],
            now_us,
            kind=kind,
            armed_mode=armed_mode,
        )
        changes.append(change)
        if change.action == "none":
            current = _with_waiting(current, evidence, now_us) if ends(evidence) else current
            continue
        assert change.alarm is not None
        held = episode.evidence if episode and change.action != "create" else []
        known[change.alarm.alarm_id] = Episode(change.alarm, [*held, change.evidence])
        if change.action == "create":
            queue += [(waiting, "") for waiting in _still_waiting(current, now_us)]
            current = _with_latest(current, change.alarm, episode.alarm if episode else None)
    return Outcome(changes, None if current == slot else current)


def _target(slot: Slot, evidence: Evidence) -> str:
    when = when_us(evidence)
    return next((p.alarm_id for p in slot.previous if when <= p.closed_us), slot.alarm_id)


def _with_latest(slot: Slot, opened: Alarm, before: Alarm | None) -> Slot:
    previous = slot.previous
    closed_us = closed_at(before)
    if before is not None and closed_us is not None:
        previous = [*previous, Closed(alarm_id=before.alarm_id, closed_us=closed_us)][-MAX_PREVIOUS:]
    return Slot(alarm_id=opened.alarm_id, previous=previous)


def _with_waiting(slot: Slot, evidence: Evidence, now_us: int) -> Slot:
    waiting = [w for w in _still_waiting(slot, now_us) if w.evidence_id != evidence.evidence_id]
    bare = evidence.model_copy(update={"series": []})
    return slot.model_copy(update={"waiting": [*waiting, bare][-MAX_WAITING:]})


def _still_waiting(slot: Slot, now_us: int) -> list[Evidence]:
    return [w for w in slot.waiting if now_us - w.recorded_us <= WAIT_US]


def _opened(kind: AlarmKind, evidence: Evidence, now_us: int, armed_mode: str) -> Alarm:
    return Alarm(
        alarm_id=alarm_id(evidence.home_id, kind, evidence.evidence_id),
        home_id=evidence.home_id,
        kind=kind,
        category=category_of(kind),
        opened_us=now_us,
        updated_us=now_us,
        **_derived(kind, [evidence], armed_mode),
    )


def category_of(kind: AlarmKind) -> Category:
    """The most urgent category among the codes of a kind: it never changes while an episode lives."""
    order = list(Category)
    codes = [meaning(code) for code in Code]
    return min(
        (meant.category for meant in codes if meant.kind is kind),
        key=order.index,
        default=Category.TROUBLE,
    )


def _derived(kind: AlarmKind, evidence: Sequence[Evidence], armed_mode: str) -> dict[str, Any]:
    """All that follows from the evidence of an episode; keys are `PIPELINE_FIELDS` but `updated_us`."""
    active = by_strength(evidence)
    lead = active[0]
    cancelled_us = _cancelled_us(evidence, active)
    level = avs_level(evidence, cancelled_us is not None)
    return {
        "code": lead.code,
        "title": lead.title,
        "headline": headline(kind, evidence, armed_mode),
        "room": lead.room,
        "avs_level": level.level,
        "avs_reasons": level.reasons,
        "avs_rule": AVS_RULE,
        "evidence_count": len({e.evidence_id for e in evidence}),
        "occurred_us": min(when_us(e) for e in active),
        "restored_us": _restored_us(evidence, active),
        "cancelled_us": cancelled_us,
        "armed_mode": armed_mode,
        "clock_suspect": any(e.clock_suspect for e in evidence),
        "cert_expired": any(e.cert_expired for e in evidence),
    }


def _restored_us(evidence: Sequence[Evidence], active: Sequence[Evidence]) -> int | None:
    """The last restore, if every condition that the gateway or supervision reported has one."""
    restores = [e for e in evidence if e.qualifier == RESTORE]
    conditions = [e for e in active if e.source != "fusion"]
    over = [
        any(
            r.code == c.code and r.sensor_id in ("", c.sensor_id) and r.occurred_us >= c.occurred_us
            for r in restores
        )
        for c in conditions
    ]
    return max(when_us(r) for r in restores) if over and all(over) else None


def _cancelled_us(evidence: Sequence[Evidence], active: Sequence[Evidence]) -> int | None:
    cancels = [e for e in evidence if e.code == Code.CANCEL]
    newest_us = max((e.occurred_us for e in active if e.source == "gateway"), default=0)
    latest = max(cancels, key=lambda e: e.occurred_us, default=None)
    return when_us(latest) if latest is not None and latest.occurred_us >= newest_us else None
