"""The dispatcher who may sign in to a local run: made anew with every run, known to this machine only."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from local.config import Settings
from webapp.accounts import ensure_user

EMAIL: Final = "dispatcher@hearthwatch.example"


class Login(NamedTuple):
    """What a person types on the sign-in page."""

    email: str
    password: str


def create_dispatcher(settings: Settings) -> Login:
    """Make the account in the Auth emulator, which must be up, and keep the login in the run folder."""
    login = Login(EMAIL, secrets.token_urlsafe(9))
    # firebase-admin finds the emulator by this variable, in this very process.
    os.environ["FIREBASE_AUTH_EMULATOR_HOST"] = settings.address(settings.auth_port)
    ensure_user(settings.project, *login, "dispatcher", "A. Dispatcher")
    with open(os.open(_file(settings), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(login._asdict(), output)
    return login


def dispatcher(settings: Settings) -> Login | None:
    """The login of the run that is up, None if there is none."""
    file = _file(settings)
    return Login(**json.loads(file.read_text())) if file.exists() else None


def _file(settings: Settings) -> Path:
    return settings.run / "dispatcher.json"
