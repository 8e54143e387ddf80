"""The page and what it asks of an alarm."""

from __future__ import annotations

from typing import Annotated, Any, Final

from flask import Blueprint, current_app, g, jsonify, render_template
from pydantic import Field

from schemas.alarms import CONSOLE_FIELDS, Alarm, CloseOutCode, Service, case_number
from schemas.events import HANDLING_LIMIT_S
from webapp.asked import Body, alarms, body_of, now_us
from webapp.on_test import MAX_MINUTES
from webapp.page import frame
from webapp.permissions import Power, needs
from webapp.procedures import procedure
from webapp.series import merge_series

blueprint = Blueprint("console", __name__)

CLOSE_OUT_WORDS: Final = {
    CloseOutCode.REAL: "Real alarm",
    CloseOutCode.FALSE_USER: "User's mistake",
    CloseOutCode.FALSE_PET: "Pet",
    CloseOutCode.FALSE_COOKING: "Cooking",
    CloseOutCode.FALSE_SENSOR: "Sensor fault",
    CloseOutCode.TEST: "Test",
    CloseOutCode.UNKNOWN: "Cause not found",
}
SERVICE_WORDS: Final = {
    Service.FIRE_BRIGADE: "Fire brigade",
    Service.POLICE: "Police",
    Service.AMBULANCE: "Ambulance",
    Service.GUARD: "Guard",
    Service.KEY_HOLDER: "Key holder",
}
TEST_MINUTES: Final = {30: "30 min", 60: "1 h", 120: "2 h", 240: "4 h", MAX_MINUTES: "8 h"}
EARLIER_US: Final = 30 * 24 * 3_600_000_000
MAX_EARLIER: Final = 8
AlarmId = Annotated[str, Field(min_length=1, max_length=128)]


class _Seen(Body):
    alarm_ids: Annotated[list[AlarmId], Field(max_length=200)]


@blueprint.get("/")
@needs(Power.WATCH, fresh=False)
def page() -> Any:
    """The console. Alarms come by the stream."""
    web = current_app.extensions["web_config"]
    settings = {
        "user": g.session.user,
        "role": g.session.role,
        "limits_s": {category.value: seconds for category, seconds in HANDLING_LIMIT_S.items()},
        "path_limit_s": web.path_limit_s,
        "lease_s": web.lease_s,
        "softphone": web.softphone,
        "console_fields": sorted(CONSOLE_FIELDS),
    }
    return render_template(
        "console.html",
        settings=settings,
        codes=CLOSE_OUT_WORDS,
        services=SERVICE_WORDS,
        test_minutes=TEST_MINUTES,
        **frame(),
    )


@blueprint.get("/alarms/<alarm_id>")
@needs(Power.WATCH, fresh=False)
def card(alarm_id: str) -> Any:
    """What the card shows beyond its row: evidence, curves, history, whom to call."""
    alarm = alarms().alarm(alarm_id)
    evidence = alarms().evidence(alarm_id)
    entry = alarms().directory([alarm.home_id]).get(alarm.home_id)
    return jsonify(
        alarm=alarm.document(),
        evidence=[e.model_dump(mode="json", exclude={"series"}) for e in evidence],
        series=[s.model_dump(mode="json") for s in merge_series(evidence)],
        history=alarms().history(alarm_id),
        home=entry.document() if entry else None,
        case=case_number(alarm.alarm_id, alarm.opened_us),
        procedure=procedure(entry, alarm.kind),
        earlier=[earlier.document() for earlier in _earlier(alarm)],
    )


def _earlier(alarm: Alarm) -> list[Alarm]:
    """The home's other alarms of the last weeks, newest first: what came of them tells what this may be."""
    since_us = alarm.opened_us - EARLIER_US
    others = (a for a in alarms().alarms_of(alarm.home_id) if a.alarm_id != alarm.alarm_id)
    return [a for a in others if a.opened_us >= since_us][:MAX_EARLIER]


@blueprint.post("/alarms/presented")
@needs(Power.WATCH, fresh=False)
def presented() -> Any:
    """These rows were painted on a dispatcher's screen."""
    queue = current_app.extensions["live"]
    alarms().presented(queue.first_shown(body_of(_Seen).alarm_ids), now_us())
    return "", 204
