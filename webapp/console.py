"""The page and what it asks of an alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from flask import Blueprint, current_app, g, jsonify, render_template, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.alarms import CloseOutCode
from schemas.errors import BadInput
from schemas.events import HANDLING_LIMIT_S
from webapp.repository import AlarmRepository
from webapp.security import actor
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
AlarmId = Annotated[str, Field(min_length=1, max_length=128)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Held(_Body):
    fence: int


class _CloseOut(_Held):
    code: str
    note: str = ""


class _Seen(_Body):
    alarm_ids: Annotated[list[AlarmId], Field(max_length=200)]


_T = TypeVar("_T", bound=_Body)


@blueprint.get("/")
def page() -> Any:
    """The console. Alarms come by the stream."""
    web = current_app.extensions["web_config"]
    settings = {
        "user": g.session.user,
        "limits_s": {category.value: seconds for category, seconds in HANDLING_LIMIT_S.items()},
        "path_limit_s": web.path_limit_s,
        "lease_s": web.lease_s,
    }
    theme = "light" if request.cookies.get("theme") == "light" else "dark"
    return render_template(
        "console.html", settings=settings, codes=CLOSE_OUT_WORDS, name=g.session.name, theme=theme
    )


@blueprint.get("/alarms/<alarm_id>")
def card(alarm_id: str) -> Any:
    """What the card shows beyond its row: evidence, curves, history, whom to call."""
    alarm = _alarms().alarm(alarm_id)
    evidence = _alarms().evidence(alarm_id)
    entry = _alarms().directory([alarm.home_id]).get(alarm.home_id)
    return jsonify(
        alarm=alarm.document(),
        evidence=[e.model_dump(mode="json", exclude={"series"}) for e in evidence],
        series=[s.model_dump(mode="json") for s in merge_series(evidence)],
        history=_alarms().history(alarm_id),
        home=entry.document() if entry else None,
    )


@blueprint.post("/alarms/<alarm_id>/claim")
def claim(alarm_id: str) -> Any:
    """Take it."""
    return jsonify(_alarms().claim(alarm_id, actor(), _clock()()).document())


@blueprint.post("/alarms/<alarm_id>/renew")
def renew(alarm_id: str) -> Any:
    """The holder's page is still there."""
    return jsonify(_alarms().renew(alarm_id, actor(), _body(_Held).fence, _clock()()).document())


@blueprint.post("/alarms/<alarm_id>/release")
def release(alarm_id: str) -> Any:
    """Give it back."""
    return jsonify(_alarms().release(alarm_id, actor(), _body(_Held).fence, _clock()()).document())


@blueprint.post("/alarms/<alarm_id>/close")
def close(alarm_id: str) -> Any:
    """End it."""
    body = _body(_CloseOut)
    closed = _alarms().close(alarm_id, actor(), body.fence, body.code, body.note.strip(), _clock()())
    return jsonify(closed.document())


@blueprint.post("/alarms/presented")
def presented() -> Any:
    """These rows were painted on a dispatcher's screen."""
    _alarms().presented(_body(_Seen).alarm_ids, _clock()())
    return "", 204


def _alarms() -> AlarmRepository:
    found: AlarmRepository = current_app.extensions["alarms"]
    return found


def _clock() -> Callable[[], int]:
    found: Callable[[], int] = current_app.extensions["clock"]
    return found


def _body(model: type[_T]) -> _T:
    try:
        return model.model_validate(request.get_json(silent=True))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "body"
        raise BadInput(f"{place}: {fault['msg']}") from error
