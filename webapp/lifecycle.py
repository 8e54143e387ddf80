"""Who handles an alarm: claims, as pure rules without IO, used inside the repository's transaction.

Each rule takes the alarm as it is now and returns the console's fields to write. A claim is a lease
with a fence: the fence rises with every new holder, so a write by an earlier holder is refused even
if it was under way when the claim changed hands. What a holder does then is in `webapp.handling`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from schemas.alarms import CONSOLE_FIELDS, TRANSITIONS, Alarm, AlarmState, Claim
from schemas.errors import BadInput
from webapp.errors import Refused

MAX_NOTE_CHARS: Final = 2000
SECOND_US: Final = 1_000_000


class Actor(NamedTuple):
    """Who acts: `user` is the account's id, `name` what colleagues see."""

    user: str
    name: str
    role: str = "dispatcher"


SYSTEM: Final = Actor("system", "Hearthwatch", "system")


class Step(NamedTuple):
    """What to write: the console's fields, and the entry for the history."""

    changes: dict[str, Any]
    entry: dict[str, Any]

    @property
    def is_heartbeat(self) -> bool:
        """Only the lease runs on: nothing that anybody did."""
        return bool(self.entry["action"] == "renewed")


# None: nothing to do any more.
Rule = Callable[[Alarm], Step | None]


def claim(alarm: Alarm, actor: Actor, now_us: int, lease_s: int) -> Step:
    """Take an alarm that nobody holds, or whose holder's lease ran out.

    Claiming what one holds already renews the lease under the same fence, so a repeated click or a
    second window of the same dispatcher changes nothing.

    Raises:
        Refused: Somebody else holds it, or it is closed.
    """
    held = holder(alarm, now_us)
    if alarm.state is AlarmState.CLOSED:
        raise Refused("This alarm is closed.", "closed")
    if held and held.user != actor.user:
        raise Refused(f"{held.name} already has this alarm.", "held")
    if held:
        lease = {**held.model_dump(), "expires_us": now_us + lease_s * SECOND_US}
        return step(alarm, actor, "renewed", now_us, claim=lease)
    return step(alarm, actor, "claimed", now_us, **_new_claim(alarm, actor, now_us, lease_s))


def take_over(alarm: Alarm, actor: Actor, reason: str, now_us: int, lease_s: int) -> Step:
    """A supervisor takes what somebody else holds. The holder's next write is refused by the fence.

    Raises:
        BadInput: No reason.
        Refused: Not a supervisor, nobody else holds it, or it is closed.
    """
    note = checked_text("reason", reason)
    if actor.role != "supervisor":
        raise Refused("Only a supervisor takes over.", "role")
    held = holder(alarm, now_us)
    if alarm.state is AlarmState.CLOSED:
        raise Refused("This alarm is closed.", "closed")
    if held is None or held.user == actor.user:
        raise Refused("Nobody else has this alarm: claim it.", "unheld")
    changes = _new_claim(alarm, actor, now_us, lease_s)
    return step(alarm, actor, "taken over", now_us, {"note": note, "from_name": held.name}, **changes)


def renew(alarm: Alarm, actor: Actor, fence: int, now_us: int, lease_s: int) -> Step:
    """Heartbeat of the holder's page: the lease runs on.

    Raises:
        Refused: The claim changed hands or the alarm is closed.
    """
    held = held_by(alarm, actor, fence)
    lease = {**held.model_dump(), "expires_us": now_us + lease_s * SECOND_US}
    return step(alarm, actor, "renewed", now_us, claim=lease)


def release(alarm: Alarm, actor: Actor, fence: int, now_us: int) -> Step:
    """Give it back to the queue.

    Raises:
        Refused: Not the holder, or help is already under way.
    """
    held_by(alarm, actor, fence)
    check_transition(alarm.state, AlarmState.NEW)
    return step(alarm, actor, "released", now_us, state=AlarmState.NEW.value, claim=None, returned_us=now_us)


def lapse(alarm: Alarm, now_us: int) -> Step | None:
    """A lease that ran out → back in the queue, visibly; None if none did.

    Help that is on its way stays so: only the holder goes.
    """
    if alarm.state is AlarmState.CLOSED or alarm.claim is None or holder(alarm, now_us):
        return None
    state = AlarmState.NEW if alarm.state is AlarmState.CLAIMED else alarm.state
    about = {"from_name": alarm.claim.name}
    changes: dict[str, Any] = {"state": state.value, "claim": None, "returned_us": now_us}
    return step(alarm, SYSTEM, "lapsed", now_us, about, **changes)


def check_transition(now: AlarmState, then: AlarmState) -> None:
    """
    Raises:
        Refused: The table of transitions does not allow it.
    """
    if then not in TRANSITIONS[now]:
        if now is AlarmState.CLOSED:
            raise Refused("This alarm is closed.", "closed")
        if now is AlarmState.NEW:
            raise Refused("Claim this alarm first.", "unheld")
        raise Refused(f"An alarm that is {now.replace('_', ' ')} cannot become {then.replace('_', ' ')}.")


def holder(alarm: Alarm, now_us: int) -> Claim | None:
    """Who holds it now; None if nobody does or the lease ran out."""
    return alarm.claim if alarm.claim and now_us < alarm.claim.expires_us else None


def held_by(alarm: Alarm, actor: Actor, fence: int) -> Claim:
    """The claim, if this actor still has it: the fence decides, not the clock.

    Raises:
        Refused: The claim changed hands, went back to the queue, or the alarm is closed.
    """
    if alarm.state is AlarmState.CLOSED:
        raise Refused("This alarm is closed.", "closed")
    if alarm.claim is None:
        raise Refused("Claim this alarm first.", "unheld")
    if alarm.claim.user != actor.user:
        raise Refused(f"{alarm.claim.name} has this alarm now.", "held")
    if alarm.fence != fence:
        raise Refused("Your claim ran out and was taken again since. Claim it anew.", "fenced")
    return alarm.claim


def checked_text(field: str, text: str) -> str:
    """
    Raises:
        BadInput: Empty or too long.
    """
    text = text.strip()
    if not 0 < len(text) <= MAX_NOTE_CHARS:
        raise BadInput(f"{field} has {len(text)} characters, limits 1 and {MAX_NOTE_CHARS}")
    return text


def step(
    alarm: Alarm, actor: Actor, action: str, now_us: int, about: dict[str, Any] | None = None, **changes: Any
) -> Step:
    """Changes of the console's fields, and the history's entry with what else to say `about` them."""
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
    return Step(changes, entry | (about or {}))


def _new_claim(alarm: Alarm, actor: Actor, now_us: int, lease_s: int) -> dict[str, Any]:
    # A dispatched alarm whose holder changes keeps its state.
    state = AlarmState.CLAIMED if alarm.state is AlarmState.NEW else alarm.state
    fence, expires_us = alarm.fence + 1, now_us + lease_s * SECOND_US
    lease = Claim(user=actor.user, name=actor.name, fence=fence, claimed_us=now_us, expires_us=expires_us)
    changes: dict[str, Any] = {"state": state.value, "fence": fence, "claim": lease.model_dump()}
    if alarm.acknowledged_us is None:
        changes["acknowledged_us"] = now_us
    return changes
