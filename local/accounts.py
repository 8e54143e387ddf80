"""Who may sign in to a local run: accounts made anew with every run, known to this machine only."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from local.config import Settings
from webapp.accounts import ensure_owner, ensure_user

DISPATCHER: Final = "dispatcher@hearthwatch.example"
OWNER: Final = "owner@hearthwatch.example"
OWNED: Final = ("home-0007", "home-0001")  # of the demo's twenty homes the kitchen fire's, and a quiet one


class Login(NamedTuple):
    """What a person types on the sign-in page."""

    email: str
    password: str


def create(settings: Settings) -> None:
    """Make the accounts in the Auth emulator, which must be up, and keep the logins in the run folder."""
    # firebase-admin finds the emulator by this variable, in this very process.
    os.environ["FIREBASE_AUTH_EMULATOR_HOST"] = settings.address(settings.auth_port)
    ensure_user(settings.project, *_keep(settings, "dispatcher", DISPATCHER), "dispatcher", "A. Dispatcher")
    ensure_owner(settings.project, *_keep(settings, "owner", OWNER), OWNED)


def dispatcher(settings: Settings) -> Login | None:
    """The dispatcher's login of the run that is up, None if there is none."""
    return _login(settings, "dispatcher")


def owner(settings: Settings) -> Login | None:
    """The login of the owner of `OWNED` homes."""
    return _login(settings, "owner")


def _keep(settings: Settings, name: str, email: str) -> Login:
    login = Login(email, secrets.token_urlsafe(9))
    with open(os.open(_file(settings, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(login._asdict(), output)
    return login


def _login(settings: Settings, name: str) -> Login | None:
    file = _file(settings, name)
    return Login(**json.loads(file.read_text())) if file.exists() else None


def _file(settings: Settings, name: str) -> Path:
    return settings.run / f"{name}.json"
