"""Who may do what, on the server: each route names the power it needs, and a route that names none is shut.

For everything that changes an alarm the account is looked up anew (disabled, signed out, other role),
so that a dismissal counts at once and not at the end of the shift. If Firebase Auth itself is silent,
an account that was good a few minutes ago may go on: nobody lets a house burn for that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeVar

from flask import Flask, current_app, g, request

from webapp.accounts import Accounts
from webapp.counting import PerMinute
from webapp.errors import Forbidden, SignInRefused, Unreachable
from webapp.lifecycle import SECOND_US
from webapp.security import PUBLIC, actor, guard
from webapp.sessions import Session

log = logging.getLogger(__name__)


RATE: Final = "rate"  # the reason where somebody asks too often


class Power(StrEnum):
    """What an account may do."""

    SESSION = "session"  # its own, nothing else
    OPERATE = "operate"  # how the system fares, and homes without names, addresses and notes
    WATCH = "watch"  # queue and cards, with names and phones
    HANDLE = "handle"
    TAKE_OVER = "take over"
    TEST = "test"  # put a home on test
    REPORT = "report"


HOLDERS: Final[dict[Power, frozenset[str]]] = {
    Power.SESSION: frozenset({"dispatcher", "supervisor", "engineer"}),
    Power.OPERATE: frozenset({"dispatcher", "supervisor", "engineer"}),
    Power.WATCH: frozenset({"dispatcher", "supervisor"}),
    Power.HANDLE: frozenset({"dispatcher", "supervisor"}),
    Power.TAKE_OVER: frozenset({"supervisor"}),
    Power.TEST: frozenset({"dispatcher", "supervisor"}),
    Power.REPORT: frozenset({"supervisor"}),
}


def may(role: str, power: Power) -> bool:
    """
    >>> may("engineer", Power.WATCH)
    False
    """
    return role in HOLDERS[power]


def start_page(role: str) -> str:
    """The endpoint where somebody of this role begins."""
    return "console.page" if may(role, Power.WATCH) else "operations.page"


_F = TypeVar("_F", bound=Callable[..., Any])


def needs(power: Power, *, fresh: bool = True) -> Callable[[_F], _F]:
    """Marks a route with the power it needs; `fresh`: the account is looked up anew."""

    def mark(view: _F) -> _F:
        view.needs = power, fresh  # type: ignore[attr-defined]
        return view

    return mark


class Standing:
    """The role of an account as it is now, and as it was when Firebase Auth last answered.

    Args:
        clock: µs since 1970 UTC.
    """

    def __init__(self, accounts: Accounts, clock: Callable[[], int], grace_s: int) -> None:
        self._accounts, self._clock, self._grace_us = accounts, clock, grace_s * SECOND_US
        self._known: dict[str, tuple[str, int]] = {}

    def role(self, session: Session) -> str:
        """
        Raises:
            SignInRefused: The account may not go on.
            Unreachable: Nothing is known, and what was known is too old.
        """
        try:
            role = self._accounts.role_now(session.user, session.started_us)
        except SignInRefused:
            self._known.pop(session.user, None)
            raise
        except Unreachable:
            # At sign-in the account was checked, too.
            role, checked_us = self._known.get(session.user, (session.role, session.started_us))
            if self._clock() - max(checked_us, session.started_us) > self._grace_us:
                raise
            log.warning("Firebase Auth is silent: an account acts on its last check")
            return role
        self._known[session.user] = role, self._clock()
        return role


def register(app: Flask, standing: Standing) -> None:
    """Checks every request after the session was found; `Forbidden` goes to the audit trail."""
    app.extensions["standing"] = standing
    app.extensions["denials"] = PerMinute(1)
    app.before_request(_authorise)


def _authorise() -> None:
    if request.endpoint is None or request.endpoint in PUBLIC:
        return
    power, fresh = getattr(current_app.view_functions[request.endpoint], "needs", (None, False))
    if power is None:
        raise Forbidden("Nobody may do this.")
    if fresh:
        try:
            role = current_app.extensions["standing"].role(g.session)
        except SignInRefused:
            guard().end()
            raise
        g.session = g.session._replace(role=role)
    if not may(g.session.role, power):
        record_denial("role")
        raise Forbidden(f"A {g.session.role} may not do this.")


def record_denial(reason: str) -> None:
    """Note a refusal of this request in the audit trail, the same one at most once a minute: each costs a
    transaction. The refusal stands also if that fails."""
    target = next(iter((request.view_args or {}).values()), "")[:128]
    action = str(request.endpoint).rpartition(".")[2]
    same = (g.session.user, reason) if reason == RATE else (g.session.user, reason, action, target)
    if not current_app.extensions["denials"].take("|".join(same)):
        return
    try:
        current_app.extensions["alarms"].deny(
            actor(), action, target, reason, current_app.extensions["clock"]()
        )
    except Unreachable as error:
        log.error("a refusal could not be recorded (%s %s): %s", action, reason, error)
