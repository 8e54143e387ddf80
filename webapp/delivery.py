"""One push of the outbox → handed over to FCM, waiting for another try, or done with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from schemas.alarms import Alarm
from schemas.owners import Choices, Device, Push, PushState
from webapp.notices import backoff_us, moments, overtaken, too_old, zone_of
from webapp.outbox import Household
from webapp.push_sender import Fate, Outcome
from webapp.push_words import words_of

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Hands a push over to the phone behind a token."""

    def send(self, token: str, data: dict[str, str], collapse: str) -> Outcome: ...


class Store(Protocol):
    """What a delivery writes."""

    def settle(self, key: str, **fields: Any) -> None: ...

    def forget_device(self, home_id: str, device_id: str, token: str) -> bool: ...


class Delivery:
    """Delivers pushes that this process has the lease of.

    Args:
        clock: µs since 1970 UTC. chance: In [0, 1), for the pauses.
    """

    def __init__(
        self, store: Store, sender: Sender, clock: Callable[[], int], chance: Callable[[], float]
    ) -> None:
        self._store, self._sender, self._clock, self._chance = store, sender, clock, chance

    def deliver(self, key: str, push: Push, alarm: Alarm, household: Household) -> PushState:
        """Try it once on each of the owner's phones that has not got it yet, as long as the lease lasts. At
        least once: what is not settled because we die here is done again, and shows in the same place."""
        if self._clock() >= push.lease_us:
            return PushState.WAITING  # it waited for a thread too long: whoever leases it next does it
        choices = household.choices.get(push.user)
        if overtaken(push, alarm, choices):
            return self._settle(key, PushState.DROPPED, reason="overtaken")
        phones = _phones(push, household.devices)
        fates = {
            name: self._send(push, alarm, name, phone, choices)
            for name, phone in phones.items()
            if name not in push.reached
        }
        reached = [*push.reached, *(name for name, o in fates.items() if o.fate is Fate.TAKEN)]
        again = [outcome for outcome in fates.values() if outcome.fate is Fate.LATER]
        now_us = self._clock()
        if again:
            return self._later(key, push, reached, max(o.wait_s for o in again), now_us)
        refused = ", ".join(sorted({o.reason for o in fates.values() if o.fate is Fate.REFUSED}))
        if reached:
            handed = {"reached": reached, "handed_us": now_us, "reason": refused}
            return self._settle(key, PushState.HANDED_OVER, **handed)
        return self._settle(key, PushState.DROPPED, reason=refused or "no phone")

    def _send(self, push: Push, alarm: Alarm, name: str, phone: Device, choices: Choices | None) -> Outcome:
        if self._clock() >= push.lease_us:
            return Outcome(Fate.LATER)  # somebody else may be at it by now
        outcome = self._sender.send(phone.token, data_of(alarm, phone, choices), alarm.alarm_id)
        if outcome.fate is Fate.GONE and not self._store.forget_device(push.home_id, name, phone.token):
            return Outcome(Fate.LATER)  # it has come back with another token
        return outcome

    def _later(self, key: str, push: Push, reached: list[str], least_s: float, now_us: int) -> PushState:
        attempts = push.attempts + 1
        if too_old(push, now_us):
            log.error("a push was given up after %d attempts", attempts)
            return self._settle(key, PushState.GIVEN_UP, attempts=attempts, reached=reached)
        due_us = now_us + backoff_us(attempts, self._chance(), least_s)
        return self._settle(
            key, PushState.WAITING, attempts=attempts, reached=reached, due_us=due_us, lease_us=0
        )

    def _settle(self, key: str, state: PushState, **fields: Any) -> PushState:
        self._store.settle(key, state=state.value, **fields)
        return state


def data_of(alarm: Alarm, phone: Device, choices: Choices | None) -> dict[str, str]:
    """What the app's service worker gets: all of a notification, so that it need not ask for anything."""
    moment = moments(alarm)[-1]  # what is so now, not when it was put into the outbox
    words = words_of(alarm, moment, phone.language, zone_of(choices))
    return {
        "title": words.title,
        "body": words.body,
        "tag": alarm.alarm_id,
        "moment": moment.value,
        "category": alarm.category.value,
        "home_id": alarm.home_id,
        "language": phone.language,
    }


def _phones(push: Push, devices: Mapping[str, Device]) -> dict[str, Device]:
    return {name: phone for name, phone in devices.items() if phone.user == push.user}
