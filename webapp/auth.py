"""Sign-in and sign-out. The password goes from the browser to Firebase, never through this server."""

from __future__ import annotations

import logging
from typing import Any

from flask import Blueprint, current_app, g, jsonify, redirect, render_template, request, url_for

from schemas.errors import BadInput
from webapp.errors import SignInRefused
from webapp.permissions import Power, needs, start_page
from webapp.security import guard

log = logging.getLogger(__name__)
blueprint = Blueprint("auth", __name__)
MAX_TOKEN_CHARS = 8192


@blueprint.get("/sign-in")
def sign_in_page() -> Any:
    """The form; somebody who is signed in goes on to their first page."""
    if g.session is not None:
        return redirect(url_for(start_page(g.session.role)))
    web = current_app.extensions["web_config"]
    return render_template("sign_in.html", identity_url=web.identity_url, api_key=web.api_key)


@blueprint.post("/session")
def sign_in() -> Any:
    """Firebase ID token → session cookie."""
    body = request.get_json(silent=True)
    token = body.get("id_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise BadInput(f"id_token must be a string of 1 to {MAX_TOKEN_CHARS} characters")
    clock = current_app.extensions["clock"]
    try:
        account = current_app.extensions["accounts"].verify(token, clock())
    except SignInRefused as error:
        log.warning("sign-in refused from %s: %s", request.remote_addr, error)
        raise
    session = guard().begin(account)
    log.info("signed in: %s as %s from %s", account.user, account.role, request.remote_addr)
    return jsonify(name=session.name, role=session.role, page=url_for(start_page(session.role)))


@blueprint.post("/session/end")
@needs(Power.SESSION, fresh=False)
def sign_out() -> Any:
    """End the session on the server and take the cookie's meaning away."""
    log.info("signed out: %s", g.session.user)
    guard().end()
    return jsonify(ended=True)


@blueprint.get("/session/state")
@needs(Power.SESSION)
def state() -> Any:
    """An open page asks once a minute, which keeps its session; 401 when it is over."""
    return jsonify(name=g.session.name)
