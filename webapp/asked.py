"""What every blueprint needs of a request and its app."""

from __future__ import annotations

from typing import TypeVar

from flask import current_app, request
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import BadInput
from webapp.repository import AlarmRepository


class Body(BaseModel):
    """A request's JSON: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


_T = TypeVar("_T", bound=Body)


def body_of(model: type[_T]) -> _T:
    """
    Raises:
        BadInput: Not what the route wants; names the first field at fault, never its value.
    """
    try:
        return model.model_validate(request.get_json(silent=True))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "body"
        raise BadInput(f"{place}: {fault['msg']}") from error


def alarms() -> AlarmRepository:
    """The app's repository."""
    found: AlarmRepository = current_app.extensions["alarms"]
    return found


def now_us() -> int:
    """The app's clock."""
    found: int = current_app.extensions["clock"]()
    return found
