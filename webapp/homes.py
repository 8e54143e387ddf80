"""Homes: find one, see its sensors and its alarms, put it on test."""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, jsonify, render_template, request

from webapp.asked import Body, alarms, body_of, now_us
from webapp.console import CLOSE_OUT_WORDS, theme
from webapp.permissions import Power, needs
from webapp.security import actor

blueprint = Blueprint("homes", __name__, url_prefix="/homes")
MIN_SEARCH_CHARS: Final = 3
LOW_BATTERY_PERCENT: Final = 20


class _Test(Body):
    minutes: int
    reason: str


@blueprint.get("/")
@needs(Power.WATCH, fresh=False)
def search() -> Any:
    """Homes by the beginning of their id or address."""
    text = request.args.get("q", "").strip()[:100]
    found = alarms().find_homes(text) if len(text) >= MIN_SEARCH_CHARS else []
    return render_template("homes.html", text=text, found=found, least=MIN_SEARCH_CHARS, theme=theme())


@blueprint.get("/<home_id>")
@needs(Power.WATCH, fresh=False)
def page(home_id: str) -> Any:
    """One home: what is known of it now, its sensors, its alarms."""
    home = alarms().home(home_id)
    return render_template(
        "home.html",
        home=home,
        entry=alarms().directory([home_id]).get(home_id),
        test=alarms().homes_on_test(now_us()).get(home_id),
        found=alarms().alarms_of(home_id),
        codes={code.value: words for code, words in CLOSE_OUT_WORDS.items()},
        low_battery=LOW_BATTERY_PERCENT,
        theme=theme(),
    )


@blueprint.post("/<home_id>/test")
@needs(Power.TEST)
def begin_test(home_id: str) -> Any:
    """On test for so many minutes."""
    body = body_of(_Test)
    return jsonify(alarms().begin_test(home_id, actor(), body.minutes, body.reason, now_us()).document())


@blueprint.post("/<home_id>/test/end")
@needs(Power.TEST)
def end_test(home_id: str) -> Any:
    """Back to normal now."""
    return jsonify(alarms().end_test(home_id, actor(), now_us()).document())
