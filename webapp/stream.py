"""The live queue as server-sent events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from flask import Blueprint, Response, current_app, g, request

from webapp.errors import Unreachable
from webapp.live import LiveQueue, Message
from webapp.permissions import Power, needs
from webapp.security import Guard, guard

blueprint = Blueprint("stream", __name__)
RETRY_MS: Final = 1000
SESSION_CHECK_S: Final = 20.0


@blueprint.get("/stream")
@needs(Power.WATCH, fresh=False)
def stream() -> Any:
    """Everything after the given event, or a snapshot if that is not known here.

    The browser names it by itself when it reconnects (Last-Event-ID); a page that had to open a new
    stream gives it as `after`.
    """
    last_id = request.headers.get("Last-Event-ID") or request.args.get("after", "")
    queue: LiveQueue = current_app.extensions["live"]
    body = _encode(queue, guard(), g.token, last_id)
    return Response(body, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _encode(queue: LiveQueue, gate: Guard, token: str, last_id: str) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    checked_s = time.monotonic()
    for message in queue.follow(last_id):
        yield message.encode()
        if time.monotonic() - checked_s > SESSION_CHECK_S:
            checked_s = time.monotonic()
            if not _signed_in(gate, token):
                yield Message("signed-out", "{}").encode()
                return


def _signed_in(gate: Guard, token: str) -> bool:
    try:
        return gate.alive(token)
    except Unreachable:
        return True  # the queue says "not live" by itself; a dispatcher is not thrown out for it
