"""What a dispatcher does to an alarm. Every refusal says why, and is kept in the audit trail."""

from __future__ import annotations

from typing import Annotated, Any

from flask import Blueprint, current_app, jsonify
from pydantic import Field

from webapp import handling, lifecycle, safe_word
from webapp.asked import Body, alarms, body_of, now_us
from webapp.errors import Refused
from webapp.lifecycle import Actor, Rule
from webapp.permissions import Power, needs, record_denial
from webapp.safe_word import MAX_WORD_CHARS
from webapp.security import actor

blueprint = Blueprint("actions", __name__, url_prefix="/alarms/<alarm_id>")


class _Held(Body):
    fence: int


class _Call(_Held):
    contact: int
    outcome: str


class _Tick(_Held):
    step: int
    done: bool


class _Dispatch(_Held):
    service: str


class _CloseOut(_Held):
    code: str
    note: str = ""


class _Cancel(_CloseOut):
    word: Annotated[str, Field(max_length=MAX_WORD_CHARS, repr=False)]


class _Text(Body):
    text: str


@blueprint.post("/claim")
@needs(Power.HANDLE)
def claim(alarm_id: str) -> Any:
    """Take it."""
    who, at_us = actor(), now_us()
    return _do(alarm_id, who, lambda a: lifecycle.claim(a, who, at_us, _lease_s()))


@blueprint.post("/take-over")
@needs(Power.TAKE_OVER)
def take_over(alarm_id: str) -> Any:
    """Take it from whoever has it."""
    who, at_us, text = actor(), now_us(), body_of(_Text).text
    return _do(alarm_id, who, lambda a: lifecycle.take_over(a, who, text, at_us, _lease_s()))


@blueprint.post("/renew")
@needs(Power.HANDLE)
def renew(alarm_id: str) -> Any:
    """The holder's page is still there."""
    who, at_us, fence = actor(), now_us(), body_of(_Held).fence
    return _do(alarm_id, who, lambda a: lifecycle.renew(a, who, fence, at_us, _lease_s()))


@blueprint.post("/release")
@needs(Power.HANDLE)
def release(alarm_id: str) -> Any:
    """Give it back."""
    who, at_us, fence = actor(), now_us(), body_of(_Held).fence
    return _do(alarm_id, who, lambda a: lifecycle.release(a, who, fence, at_us))


@blueprint.post("/call")
@needs(Power.HANDLE)
def call(alarm_id: str) -> Any:
    """How a call to a contact ended."""
    who, at_us, body = actor(), now_us(), body_of(_Call)
    return _do(alarm_id, who, lambda a: handling.call(a, who, body.fence, body.contact, body.outcome, at_us))


@blueprint.post("/step")
@needs(Power.HANDLE)
def step(alarm_id: str) -> Any:
    """Tick a step of the procedure, or take the tick back."""
    who, at_us, body = actor(), now_us(), body_of(_Tick)
    return _do(alarm_id, who, lambda a: handling.tick(a, who, body.fence, body.step, body.done, at_us))


@blueprint.post("/dispatch")
@needs(Power.HANDLE)
def dispatch(alarm_id: str) -> Any:
    """Help was sent."""
    who, at_us, body = actor(), now_us(), body_of(_Dispatch)
    return _do(alarm_id, who, lambda a: handling.dispatch(a, who, body.fence, body.service, at_us))


@blueprint.post("/on-scene")
@needs(Power.HANDLE)
def on_scene(alarm_id: str) -> Any:
    """Help arrived."""
    who, at_us, fence = actor(), now_us(), body_of(_Held).fence
    return _do(alarm_id, who, lambda a: handling.on_scene(a, who, fence, at_us))


@blueprint.post("/note")
@needs(Power.HANDLE)
def note(alarm_id: str) -> Any:
    """Something to remember."""
    who, at_us, text = actor(), now_us(), body_of(_Text).text
    return _do(alarm_id, who, lambda a: handling.note(a, who, text, at_us))


@blueprint.post("/cancel")
@needs(Power.HANDLE)
def cancel(alarm_id: str) -> Any:
    """Somebody at home gave the safe word. A wrong one is counted and refused."""
    who, at_us, body = actor(), now_us(), body_of(_Cancel)
    stored = alarms().safe_word(alarms().alarm(alarm_id).home_id)
    if stored is None:
        raise _refused(Refused("No safe word is on file for this home.", "no safe word"))
    right = safe_word.matches(stored, body.word)
    text = body.note.strip()
    answer = _do(alarm_id, who, lambda a: handling.cancel(a, who, body.fence, body.code, text, right, at_us))
    if not right:
        raise _refused(Refused("This is not the home's safe word.", "safe word"))
    return answer


@blueprint.post("/close")
@needs(Power.HANDLE)
def close(alarm_id: str) -> Any:
    """End it."""
    who, at_us, body = actor(), now_us(), body_of(_CloseOut)
    text = body.note.strip()
    return _do(alarm_id, who, lambda a: handling.close(a, who, body.fence, body.code, text, at_us))


@blueprint.post("/reopen")
@needs(Power.HANDLE)
def reopen(alarm_id: str) -> Any:
    """It was not over."""
    who, at_us, text = actor(), now_us(), body_of(_Text).text
    return _do(alarm_id, who, lambda a: handling.reopen(a, who, text, at_us))


def _do(alarm_id: str, who: Actor, rule: Rule) -> Any:
    try:
        return jsonify(alarms().apply(alarm_id, who, rule).document())
    except Refused as error:
        raise _refused(error) from error


def _refused(error: Refused) -> Refused:
    record_denial(error.reason)
    return error


def _lease_s() -> int:
    found: int = current_app.extensions["web_config"].lease_s
    return found
