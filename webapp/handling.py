"""What the holder of an alarm does with it, as pure rules: call, send help, note, cancel, close, reopen.

Same shape as `webapp.lifecycle`: the alarm as it is now → the console's fields to write.
"""

from __future__ import annotations

from typing import Any, Final

from schemas.alarms import Alarm, AlarmState, Call, CallOutcome, CloseOutCode, Service
from schemas.errors import BadInput
from schemas.events import AlarmKind
from webapp.errors import Refused
from webapp.lifecycle import (
    MAX_NOTE_CHARS,
    SECOND_US,
    Actor,
    Step,
    check_transition,
    checked_text,
    held_by,
    step,
)

MAX_CALLS: Final = 100
MAX_PROCEDURE: Final = 9  # one key each
MAX_CONTACTS: Final = 20
MAX_WORD_FAILURES: Final = 3
# A closed alarm's code becomes a label and its report is read: after this it is corrected there instead.
REOPEN_S: Final = {"dispatcher": 3600, "supervisor": 24 * 3600}
# Whoever is forced to cancel would have to know the word, too.
NEVER_CANCELLED: Final = frozenset({AlarmKind.PANIC})
# What somebody at home who knows the word can tell; anything else is closed with a look at it.
CANCEL_CODES: Final = frozenset(
    {CloseOutCode.FALSE_USER, CloseOutCode.FALSE_PET, CloseOutCode.FALSE_COOKING, CloseOutCode.TEST}
)


def call(alarm: Alarm, actor: Actor, fence: int, contact: int, outcome: str, now_us: int) -> Step:
    """A contact was called. `contact` is its place in the directory's order, from 0.

    Raises:
        BadInput: No such place or outcome.
        Refused: Not the holder, or too many calls.
    """
    held_by(alarm, actor, fence)
    how = _member("call's outcome", outcome, CallOutcome)
    _in_range("contact", contact, MAX_CONTACTS)
    if len(alarm.calls) >= MAX_CALLS:
        raise Refused(f"{MAX_CALLS} calls are on file, no more can be kept. Write a note.", "limit")
    made = Call(contact=contact, outcome=how, at_us=now_us)
    calls = [one.model_dump(mode="json") for one in [*alarm.calls, made]]
    about = {"contact": contact, "outcome": how.value}
    return step(alarm, actor, "called", now_us, about, calls=calls, **_acted(alarm, now_us))


def tick(alarm: Alarm, actor: Actor, fence: int, number: int, done: bool, now_us: int) -> Step | None:
    """Tick a step of the home's procedure (from 0), or take the tick back; None if it is so already.

    Raises:
        BadInput: No such step.
        Refused: Not the holder.
    """
    held_by(alarm, actor, fence)
    _in_range("step", number, MAX_PROCEDURE)
    if (number in alarm.steps_done) == done:
        return None
    steps = sorted({*alarm.steps_done, number} if done else set(alarm.steps_done) - {number})
    action = "ticked" if done else "unticked"
    return step(alarm, actor, action, now_us, {"step": number}, steps_done=steps, **_acted(alarm, now_us))


def dispatch(alarm: Alarm, actor: Actor, fence: int, service: str, now_us: int) -> Step:
    """Help was sent. A second service may follow the first.

    Raises:
        BadInput: Unknown service.
        Refused: Not the holder, the state does not allow it, or that service was sent already.
    """
    held_by(alarm, actor, fence)
    sent = _member("service", service, Service)
    if sent in alarm.services:
        raise Refused(f"{sent.replace('_', ' ').capitalize()}: sent already.", "repeated")
    changes: dict[str, Any] = {"services": [*(s.value for s in alarm.services), sent.value]}
    if alarm.state not in (AlarmState.DISPATCHED, AlarmState.ON_SCENE):
        check_transition(alarm.state, AlarmState.DISPATCHED)
        changes |= {"state": AlarmState.DISPATCHED.value, "dispatched_us": now_us}
    about = {"service": sent.value}
    return step(alarm, actor, "dispatched", now_us, about, **changes, **_acted(alarm, now_us))


def on_scene(alarm: Alarm, actor: Actor, fence: int, now_us: int) -> Step:
    """Help arrived.

    Raises:
        Refused: Not the holder, or nobody was sent.
    """
    held_by(alarm, actor, fence)
    check_transition(alarm.state, AlarmState.ON_SCENE)
    return step(alarm, actor, "on scene", now_us, state=AlarmState.ON_SCENE.value, on_scene_us=now_us)


def note(alarm: Alarm, actor: Actor, text: str, now_us: int) -> Step:
    """Something to remember. Whoever takes the call may write it, also after the end.

    Raises:
        BadInput: Empty or too long.
    """
    return step(alarm, actor, "noted", now_us, {"note": checked_text("note", text)})


def cancel(
    alarm: Alarm, actor: Actor, fence: int, code: str, text: str, word_is_right: bool, now_us: int
) -> Step:
    """Somebody at home gave the safe word: the alarm ends. A wrong word is counted.

    Raises:
        BadInput: Not a code that a voice on the phone can vouch for, or a note that is too long.
        Refused: Not the holder, a hold-up, or too many wrong words.
    """
    held_by(alarm, actor, fence)
    if alarm.kind in NEVER_CANCELLED:
        raise Refused("A hold-up or duress alarm is never cancelled by phone.", "duress")
    if code not in CANCEL_CODES:
        raise BadInput(f"code is {code[:40]!r}, by phone only {sorted(c.value for c in CANCEL_CODES)}")
    _check_note(text)
    if alarm.safe_word_failures >= MAX_WORD_FAILURES:
        raise Refused(f"{MAX_WORD_FAILURES} wrong safe words. Handle it as a real alarm.", "safe word")
    if not word_is_right:
        failures = alarm.safe_word_failures + 1
        return step(alarm, actor, "wrong safe word", now_us, safe_word_failures=failures)
    return _ended(alarm, actor, "cancelled", code, text, now_us, safe_word_us=now_us)


def close(alarm: Alarm, actor: Actor, fence: int, code: str, text: str, now_us: int) -> Step:
    """End the episode with a close-out code, which becomes a label.

    Raises:
        BadInput: Unknown code or a note that is too long.
        Refused: Not the holder, or the state does not allow it.
    """
    _member("close-out code", code, CloseOutCode)
    _check_note(text)
    held_by(alarm, actor, fence)
    return _ended(alarm, actor, "closed", code, text, now_us)


def reopen(alarm: Alarm, actor: Actor, reason: str, now_us: int) -> Step:
    """Back into the queue, where somebody has to claim it anew. Its label is taken back.

    Raises:
        BadInput: No reason.
        Refused: Not closed, or closed too long ago for this role.
    """
    text = checked_text("reason", reason)
    if alarm.state is not AlarmState.CLOSED:
        raise Refused("This alarm is open.", "open")
    limit_s = REOPEN_S.get(actor.role, 0)
    closed_us = alarm.updated_us if alarm.closed_us is None else alarm.closed_us
    if now_us - closed_us > limit_s * SECOND_US:
        raise Refused(f"It was closed more than {limit_s // 3600} h ago: ask a supervisor.", "too late")
    changes: dict[str, Any] = {
        "state": AlarmState.NEW.value,
        "claim": None,
        "returned_us": now_us,
        "reopened_us": now_us,
        "closed_us": None,
        "close_out": None,
        "close_note": "",
        "safe_word_us": None,
    }
    return step(alarm, actor, "reopened", now_us, {"note": text}, **changes)


def slot_after(alarm: Alarm, changed: Step, slot: dict[str, Any] | None) -> dict[str, Any] | None:
    """open/{home~kind} as it is → what to merge into it, None if it stays.

    Raises:
        Refused: Reopened, but a newer alarm of the same home and kind has taken its place.
    """
    mine = (slot or {}).get("alarm_id", alarm.alarm_id) == alarm.alarm_id
    state = changed.changes.get("state")
    if state == AlarmState.CLOSED and mine:
        closed_us = changed.changes["closed_us"]
        return {"alarm_id": alarm.alarm_id, "state": "closed", "closed_us": closed_us}
    if alarm.state is AlarmState.CLOSED and state == AlarmState.NEW:
        if not mine:
            raise Refused("This home has a newer alarm of the same kind: handle that one.", "newer")
        return {"alarm_id": alarm.alarm_id, "state": "open", "closed_us": None}
    return None


def _ended(alarm: Alarm, actor: Actor, action: str, code: str, text: str, now_us: int, **more: Any) -> Step:
    check_transition(alarm.state, AlarmState.CLOSED)
    changes: dict[str, Any] = {
        "state": AlarmState.CLOSED.value,
        "closed_us": now_us,
        "close_out": code,
        "close_note": text,
        **_acted(alarm, now_us),
        **more,
    }
    return step(alarm, actor, action, now_us, {"close_out": code, "note": text}, **changes)


def _acted(alarm: Alarm, now_us: int) -> dict[str, Any]:
    """The first thing done counts for the standard's time; whoever was called for help may rest."""
    first = now_us if alarm.actioned_us is None else alarm.actioned_us
    return {"actioned_us": first, "acted_us": now_us, "escalation": 0}


def _check_note(text: str) -> None:
    if len(text) > MAX_NOTE_CHARS:
        raise BadInput(f"note has {len(text)} characters, limit {MAX_NOTE_CHARS}")


def _member(what: str, given: str, known: Any) -> Any:
    if given not in set(known):
        raise BadInput(f"{what} is {given[:40]!r}, known are {[one.value for one in known]}")
    return known(given)


def _in_range(what: str, number: int, limit: int) -> None:
    if not 0 <= number < limit:
        raise BadInput(f"{what} is {number}, limits 0 and {limit - 1}")
