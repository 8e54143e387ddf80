"""How often a browser may ask: by account where somebody is signed in, else by address.

A session that is not known is counted by address before it is looked up (`webapp.security`), so that
guessing costs the database little.

The limits are far above what a hand does in a storm and below what guessing needs. They are counted in
this process's memory: with several processes each counts for itself. Passwords are tried at Firebase
Auth, which has limits of its own; here it is the exchange of tokens, and the safe word (which an alarm
counts, too).
"""

from __future__ import annotations

import time
from typing import Any, Final

from flask import Flask, abort, current_app, g, jsonify, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.config import WebConfig
from webapp.counting import PerMinute
from webapp.permissions import RATE, record_denial

UNLIMITED: Final = frozenset({"static", "health"})
WORDS_PER_MINUTE: Final = 10  # safe words, over all alarms
HISTORIES_PER_MINUTE: Final = 30  # a sensor's day, which is a query of the warehouse


def register(app: Flask, config: WebConfig) -> None:
    """Count every request from here on; the session must have been looked up before."""
    app.extensions["histories"] = PerMinute(HISTORIES_PER_MINUTE)
    if config.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=config.proxies)  # type: ignore[method-assign]
    limiter = Limiter(
        key_func=_who,
        application_limits=[f"{config.requests_per_minute}/minute"],
        storage_uri="memory://",
        strategy="moving-window",
        headers_enabled=True,
    )
    limiter.request_filter(lambda: request.endpoint in UNLIMITED)
    limiter.init_app(app)
    for endpoint, a_minute, who in (
        ("auth.sign_in", config.sign_ins_per_minute, get_remote_address),
        ("actions.cancel", WORDS_PER_MINUTE, _who),
    ):
        limit: Any = limiter.limit(f"{a_minute}/minute", key_func=who, override_defaults=False)
        app.view_functions[endpoint] = limit(app.view_functions[endpoint])

    @app.errorhandler(429)
    def too_many(_error: Exception) -> Any:
        if g.get("session") is not None:
            record_denial(RATE)
        reached: RequestLimit | None = limiter.current_limit
        wait_s = max(1, round(reached.reset_at - time.time())) if reached else 60
        answer = jsonify(error=f"Too many requests. Wait {wait_s} s.")
        answer.headers["Retry-After"] = str(wait_s)
        return answer, 429


def check_history(user: str) -> None:
    """An owner's account asks for a history. Its token was verified: nobody uses up another's."""
    if not current_app.extensions["histories"].take(user):
        abort(429)


def _who() -> str:
    session = g.get("session")
    return f"user:{session.user}" if session else f"address:{get_remote_address()}"
