"""Guards of every request, in one place: session, CSRF, content security policy, headers.

The cookie is `__Host-` and Secure wherever browsers come by https. On plain-http loopback (the demo)
it is neither: some browsers refuse Secure cookies there. Beyond loopback plain http is refused by
`WebConfig`. It is always HttpOnly and SameSite=Strict.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response, abort, current_app, g, redirect, request, url_for

from webapp import sessions
from webapp.config import WebConfig
from webapp.counting import PerMinute
from webapp.lifecycle import Actor
from webapp.sessions import Limits, Session, Sessions

# The owner's app has no session here: Firebase signs its accounts in, rules guard their data.
SESSIONLESS: Final = frozenset(
    {
        *("static", "health"),
        *("owner.page", "owner.worker", "owner.manifest", "owner.sdk", "owner.history"),
    }
)
# Everything else wants a session; a test walks the URL map.
PUBLIC: Final = SESSIONLESS | {"auth.sign_in_page", "auth.sign_in"}
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER: Final = "X-CSRF-Token"


class Guard:
    """Binds the session rules to a Flask app. Kept as `app.extensions["guard"]`."""

    def __init__(self, app: Flask, config: WebConfig, store: Sessions, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._refused = PerMinute(config.requests_per_minute)
        self._admitted = PerMinute(1)  # sessions known to be good a moment ago
        self.limits = Limits(config.session_idle_s, config.session_absolute_s)
        self.cookie = "__Host-hearthwatch" if config.tls else "hearthwatch"
        app.extensions["guard"] = self
        app.before_request(self._admit)
        app.after_request(self._finish)
        app.context_processor(lambda: {"nonce": g.nonce, "csrf": sessions.csrf_of(g.token)})

    def begin(self, account: Any) -> Session:
        """Sign-in: a fresh id (so that one planted before sign-in is worthless) and its session."""
        self._forget()
        g.token = g.new_token = secrets.token_urlsafe(32)
        return sessions.begin(self._store, g.token, account, self._clock(), self.limits)

    def end(self) -> None:
        """Sign-out: the id is worthless from now on, wherever it was copied to."""
        self._forget()
        g.token = g.new_token = secrets.token_urlsafe(32)

    def alive(self, token: str) -> bool:
        """Whether a stream that was opened with this id may go on."""
        session = self._store.load(sessions.key_of(token))
        return session is not None and not sessions.is_over(session, self._clock(), self.limits)

    def _forget(self) -> None:
        if g.session is not None:
            self._store.end(sessions.key_of(g.token))

    def _admit(self) -> Any:
        g.nonce = secrets.token_urlsafe(16)
        g.new_token = None
        g.session = None
        g.token = request.cookies.get(self.cookie, "")
        if request.endpoint is None or request.endpoint in SESSIONLESS:
            return None
        if g.token:
            g.session = self._session()
        else:  # before sign-in, too, a form has a token to prove
            g.token = g.new_token = secrets.token_urlsafe(32)
        if g.session is None and request.endpoint not in PUBLIC:
            if request.endpoint == "console.page":
                return redirect(url_for("auth.sign_in_page"))
            abort(401, "Please sign in.")
        if request.method not in SAFE_METHODS:
            self._check_csrf()
        return None

    def _session(self) -> Session | None:
        """The session of this request's cookie. Ids that are not known are counted by address, and no more
        are looked up than an account may ask; who was let in a moment ago is not held up by a neighbour."""
        address, key = str(request.remote_addr), sessions.key_of(g.token)
        if self._refused.is_used_up(address) and not self._admitted.is_used_up(key):
            abort(429)
        found = sessions.current(self._store, g.token, self._clock(), self.limits)
        if found is None:
            self._refused.take(address)
        else:
            self._admitted.take(key)
        return found

    def _check_csrf(self) -> None:
        # Browsers say where a request comes from; old ones do not, so the token decides in any case.
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            abort(403, "This request came from another site.")
        given = request.headers.get(CSRF_HEADER, "").encode()
        if not g.get("token") or not hmac.compare_digest(given, sessions.csrf_of(g.token).encode()):
            abort(403, "This page is out of date. Reload it.")

    def _finish(self, response: Response) -> Response:
        if g.get("new_token"):
            response.set_cookie(
                self.cookie, g.new_token, path="/", httponly=True, samesite="Strict", secure=self._config.tls
            )
        response.headers["Content-Security-Policy"] = self._policy()
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        if self._config.tls:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        if request.endpoint not in ("static", "owner.sdk"):
            response.headers["Cache-Control"] = "no-store"
        return response

    def _policy(self) -> str:
        connect, more = "'self'", ""
        if request.endpoint == "auth.sign_in_page":
            connect += f" {self._config.identity_origin}"
        elif request.endpoint == "owner.page":
            connect += " " + " ".join(self._config.owner_origins)
            more = "; worker-src 'self'; manifest-src 'self'"
        return (
            f"default-src 'none'; script-src 'nonce-{g.get('nonce', '')}'; style-src 'self'; "
            f"img-src 'self'; connect-src {connect}; form-action 'self'; base-uri 'none'; "
            f"object-src 'none'; frame-ancestors 'none'{more}"
        )


def guard() -> Guard:
    """The guard of the app that serves this request."""
    found: Guard = current_app.extensions["guard"]
    return found


def actor() -> Actor:
    """Who makes this request."""
    return Actor(g.session.user, g.session.name, g.session.role)
