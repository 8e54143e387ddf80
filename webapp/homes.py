"""Homes: find one; see its sensors, its path, what is missing, its models and alarms; put it on test.

Engineers see homes by their id: address, notes and reasons are personal and stay out of their pages.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Blueprint, current_app, g, jsonify, render_template, request

from schemas.alarms import Alarm
from schemas.events import AlarmKind
from webapp.asked import Body, alarms, body_of, now_us
from webapp.console import CLOSE_OUT_WORDS
from webapp.errors import NotFound, Unreachable
from webapp.operations import MODELS_SPAN_US, Stores, rows_of
from webapp.page import frame
from webapp.permissions import Power, may, needs
from webapp.repository import SEARCHED
from webapp.security import actor
from webapp.warehouse import ModelSeen

blueprint = Blueprint("homes", __name__, url_prefix="/homes")
MIN_SEARCH_CHARS: Final = 3
LOW_BATTERY_PERCENT: Final = 20


class _Test(Body):
    minutes: int
    reason: str


@blueprint.get("/")
@needs(Power.OPERATE, fresh=False)
def search() -> Any:
    """Homes by the beginning of their id or, for whoever may see addresses, of their address."""
    text = request.args.get("q", "").strip()[:100]
    fields = SEARCHED if _personal() else ("home_id",)
    found = alarms().find_homes(text, fields) if len(text) >= MIN_SEARCH_CHARS else []
    return render_template(
        "homes.html", text=text, found=found, least=MIN_SEARCH_CHARS, personal=_personal(), **frame()
    )


@blueprint.get("/<home_id>")
@needs(Power.OPERATE, fresh=False)
def page(home_id: str) -> Any:
    """One home: what is known of it now, its sensors, its path, its losses and alarms."""
    home = alarms().home(home_id)
    supervised = current_app.extensions["watched"]
    losses = supervised.losses(home_id)
    found = alarms().alarms_of(home_id)
    models, models_error = _models(home_id)
    return render_template(
        "home.html",
        home=home,
        entry=alarms().directory([home_id]).get(home_id) if _personal() else None,
        test=alarms().homes_on_test(now_us()).get(home_id),
        path=supervised.path(home_id),
        failures=[a for a in found if a.kind is AlarmKind.PATH],
        losses=rows_of(losses) if losses else [],
        models=models,
        models_error=models_error,
        found=found if _personal() else [_impersonal(a) for a in found],
        personal=_personal(),
        codes={code.value: words for code, words in CLOSE_OUT_WORDS.items()},
        low_battery=LOW_BATTERY_PERCENT,
        **frame(),
    )


@blueprint.get("/<home_id>/hour")
@needs(Power.WATCH, fresh=False)
def hour(home_id: str) -> Any:
    """Curves and sounds of the last hour, as the archive has them."""
    stores: Stores = current_app.extensions["operations_stores"]
    if stores.recorder is None:
        raise NotFound("No archive is configured here.")
    alarms().home(home_id)
    found = stores.recorder.hour(home_id, now_us())
    return jsonify(
        start_us=found.start_us,
        series=[series.model_dump(mode="json") for series in found.series],
        spectrograms=[picture._asdict() for picture in found.spectrograms],
        unread=found.unread,
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


def _models(home_id: str) -> tuple[list[ModelSeen] | None, str]:
    """Model versions that scored the home in the last hour; None if nobody can say, and why."""
    stores: Stores = current_app.extensions["operations_stores"]
    if stores.warehouse is None:
        return None, "No warehouse is configured."
    try:
        return stores.warehouse.models([home_id], now_us() - MODELS_SPAN_US), ""
    except Unreachable:
        return None, "The warehouse does not answer."


def _personal() -> bool:
    return may(g.session.role, Power.WATCH)


def _impersonal(alarm: Alarm) -> Alarm:
    """Without what people wrote. The headline is the pipeline's: sensors and rooms, no names."""
    return alarm.model_copy(update={"close_note": "", "claim": None})
