"""What a dispatcher may do to an alarm: pure rules, no IO, used inside the repository's transaction.

Each rule takes the alarm as it is now and returns the console's fields to write. A claim is a lease
with a fence: the fence rises with every new holder, so a write by an earlier holder is refused even
if it was under way when the claim changed hands.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from schemas.alarms import CONSOLE_FIELDS, TRANSITIONS, Alarm, AlarmState, Claim, CloseOutCode
from schemas.errors import BadInput
from webapp.errors import Refused

MAX_NOTE_CHARS: Final = 2000
SECOND_US: Final = 1_000_000


class Actor(NamedTuple):
    """Who acts: `user` is the account's id, `name` what colleagues see."""

    user: str
    name: str


class Step(NamedTuple):
    """What to write: the console's fields, and the entry for the history."""

    changes: dict[str, Any]
    entry: dict[str, Any]


def claim(alarm: Alarm, actor: Actor, now_us: int, lease_s: int) -> Step:
    """Take an alarm that nobody holds, or whose holder's lease ran out.

    Claiming what one holds already renews the lease under the same fence, so a repeated click or a
    second window of the same dispatcher changes nothing.

    Raises:
        Refused: Somebody else holds it, or it is closed.
    """
    held = holder(alarm, now_us)
    if alarm.state is AlarmState.CLOSED:
        raise Refused("This alarm is closed.")
    if held and held.user != actor.user:
        raise Refused(f"{held.name} already has this alarm.")
    expires_us = now_us + lease_s * SECOND_US
    if held:
        return _step(alarm, actor, "renewed", now_us, claim={**held.model_dump(), "expires_us": expires_us})
    # A dispatched alarm whose holder crashed keeps its state: only the holder changes.
    state = AlarmState.CLAIMED if alarm.state is AlarmState.NEW else alarm.state
    if state is not alarm.state:
        check_transition(alarm.state, state)
    fence = alarm.fence + 1
    lease = Claim(user=actor.user, name=actor.name, fence=fence, claimed_us=now_us, expires_us=expires_us)
    changes: dict[str, Any] = {"state": state.value, "fence": fence, "claim": lease.model_dump()}
    if alarm.acknowledged_us is None:
        changes["acknowledged_us"] = now_us
    return _step(alarm, actor, "claimed", now_us, **changes)


def renew(alarm: Alarm, actor: Actor, fence: int, now_us: int, lease_s: int) -> Step:
    """Heartbeat of the holder's page: the lease runs on.

    Raises:
        Refused: The claim changed hands or the alarm is closed.
    """
    held = _held_by(alarm, actor, fence)
    lease = {**held.model_dump(), "expires_us": now_us + lease_s * SECOND_US}
    return _step(alarm, actor, "renewed", now_us, claim=lease)


def release(alarm: Alarm, actor: Actor, fence: int, now_us: int) -> Step:
    """Give it back to the queue.

    Raises:
        Refused: Not the holder, or help is already under way.
    """
    _held_by(alarm, actor, fence)
    check_transition(alarm.state, AlarmState.NEW)
    return _step(alarm, actor, "released", now_us, state=AlarmState.NEW.value, claim=None)


def close(alarm: Alarm, actor: Actor, fence: int, code: str, note: str, now_us: int) -> Step:
    """End the episode with a close-out code, which becomes a label.

    Raises:
        BadInput: Unknown code or a note that is too long.
        Refused: Not the holder, or the state does not allow it.
    """
    if code not in set(CloseOutCode):
        raise BadInput(f"close-out code is {code[:40]!r}, known codes {[c.value for c in CloseOutCode]}")
    if len(note) > MAX_NOTE_CHARS:
        raise BadInput(f"note has {len(note)} characters, limit {MAX_NOTE_CHARS}")
    check_transition(alarm.state, AlarmState.CLOSED)
    _held_by(alarm, actor, fence)
    changes: dict[str, Any] = {
        "state": AlarmState.CLOSED.value,
        "closed_us": now_us,
        "close_out": code,
        "close_note": note,
    }
    if alarm.actioned_us is None:
        changes["actioned_us"] = now_us
    return _step(alarm, actor, "closed", now_us, **changes)


def check_transition(now: AlarmState, then: AlarmState) -> None:
    """
    Raises:
        Refused: The table of transitions does not allow it.
    """
    if then not in TRANSITIONS[now]:
        if now is AlarmState.CLOSED:
            raise Refused("This alarm is closed.")
        if now is AlarmState.NEW:
            raise Refused("Claim this alarm first.")
        raise Refused(f"An alarm that is {now.replace('_', ' ')} cannot become {then.replace('_', ' ')}.")


def holder(alarm: Alarm, now_us: int) -> Claim | None:
    """Who holds it now; None if nobody does or the lease ran out."""
    return alarm.claim if alarm.claim and now_us < alarm.claim.expires_us else None


def _held_by(alarm: Alarm, actor: Actor, fence: int) -> Claim:
    """The claim, if this actor still has it: the fence decides, not the clock."""
    if alarm.state is AlarmState.CLOSED:
        raise Refused("This alarm is closed.")
    if alarm.claim is None:
        raise Refused("Claim this alarm first.")
    if alarm.claim.user != actor.user:
        raise Refused(f"{alarm.claim.name} has this alarm now.")
    if alarm.fence != fence:
        raise Refused("Your claim ran out and was taken again since. Claim it anew.")
    return alarm.claim


def _step(alarm: Alarm, actor: Actor, action: str, now_us: int, **changes: Any) -> Step:
    foreign = changes.keys() - CONSOLE_FIELDS
    if foreign:
        raise ValueError(f"fields {sorted(foreign)} are not the console's")
    entry = {
        "at_us": now_us,
        "action": action,
        "user": actor.user,
        "name": actor.name,
        "from_state": alarm.state.value,
        "to_state": changes.get("state", alarm.state.value),
        "fence": changes.get("fence", alarm.fence),
    }
    if action == "closed":
        entry |= {"close_out": changes["close_out"], "note": changes["close_note"]}
    return Step(changes, entry)
