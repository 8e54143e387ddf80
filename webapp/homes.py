"""What a dispatcher does to a home: put it on test, end the test."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify

from webapp.asked import Body, alarms, body_of, now_us
from webapp.permissions import Power, needs
from webapp.security import actor

blueprint = Blueprint("homes", __name__, url_prefix="/homes/<home_id>")


class _Test(Body):
    minutes: int
    reason: str


@blueprint.post("/test")
@needs(Power.TEST)
def begin_test(home_id: str) -> Any:
    """On test for so many minutes."""
    body = body_of(_Test)
    return jsonify(alarms().begin_test(home_id, actor(), body.minutes, body.reason, now_us()).document())


@blueprint.post("/test/end")
@needs(Power.TEST)
def end_test(home_id: str) -> Any:
    """Back to normal now."""
    return jsonify(alarms().end_test(home_id, actor(), now_us()).document())
