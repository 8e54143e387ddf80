"""Short words for what dispatchers do to a repository, real or fake."""

from __future__ import annotations

from typing import Any

from schemas.alarms import Alarm
from webapp import handling, lifecycle
from webapp.lifecycle import Actor

LEASE_S = 90


def claim(repository: Any, key: str, actor: Actor, now_us: int) -> Alarm:
    alarm: Alarm = repository.apply(key, actor, lambda a: lifecycle.claim(a, actor, now_us, LEASE_S))
    return alarm


def renew(repository: Any, key: str, actor: Actor, fence: int, now_us: int) -> Alarm:
    alarm: Alarm = repository.apply(key, actor, lambda a: lifecycle.renew(a, actor, fence, now_us, LEASE_S))
    return alarm


def release(repository: Any, key: str, actor: Actor, fence: int, now_us: int) -> Alarm:
    alarm: Alarm = repository.apply(key, actor, lambda a: lifecycle.release(a, actor, fence, now_us))
    return alarm


def close(repository: Any, key: str, actor: Actor, fence: int, code: str, note: str, now_us: int) -> Alarm:
    alarm: Alarm = repository.apply(key, actor, lambda a: handling.close(a, actor, fence, code, note, now_us))
    return alarm


def reopen(repository: Any, key: str, actor: Actor, reason: str, now_us: int) -> Alarm:
    alarm: Alarm = repository.apply(key, actor, lambda a: handling.reopen(a, actor, reason, now_us))
    return alarm
