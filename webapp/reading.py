"""Firestore documents → models. What this version cannot read is shown as far as it can, never hidden."""

from __future__ import annotations

import logging
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.alarms import Alarm
from schemas.events import AlarmKind, Category

log = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)

# What stands in for a field that this version cannot read: an alarm is shown, never hidden.
_UNREADABLE: Final[dict[str, Any]] = {
    "home_id": "unknown home",
    "kind": AlarmKind.UNKNOWN,
    "category": Category.TROUBLE,
    "code": 0,
    "title": "Alarm that this console cannot read in full",
    "headline": "",
    "avs_level": 0,
    "occurred_us": 0,
    "opened_us": 0,
    "updated_us": 0,
}


def read_alarm(alarm_id: str, document: dict[str, Any]) -> Alarm:
    """Document → alarm; fields that this version cannot read fall back, so that it is still shown."""
    document = {**document, "alarm_id": alarm_id}
    try:
        return Alarm.model_validate(document)
    except ValidationError as error:
        unreadable = {str(fault["loc"][0]) for fault in error.errors()}
    kept = {k: v for k, v in document.items() if k not in unreadable}
    return Alarm.model_validate({**_UNREADABLE, **kept})


def readable(model: type[M], document: Any) -> M | None:
    """Document → model; None, and a line in the log, if this version cannot read it.

    One bad document must not take the others, or the listener, with it. The log names the fields only.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields = sorted({".".join(map(str, fault["loc"])) for fault in error.errors()})
        log.warning("unreadable %s: %s", model.__name__, fields)
        return None
