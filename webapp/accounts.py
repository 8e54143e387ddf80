"""Firebase Auth: accounts, roles in custom claims, and the check of a sign-in's token."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import firebase_admin
import google.auth.credentials
from firebase_admin import auth, credentials
from firebase_admin.exceptions import FirebaseError

from webapp.errors import SignInRefused, Unreachable

ROLES: Final = frozenset({"dispatcher", "supervisor", "engineer"})
OWNER: Final = "owner"  # of homes; the console has no place for it
# A token older than this was not made by a sign-in just now: it may have been taken from elsewhere.
MAX_SIGN_IN_AGE_S: Final = 300


class Account(NamedTuple):
    """Somebody who may use the console. `name` is shown to colleagues."""

    user: str
    name: str
    role: str


class Owner(NamedTuple):
    """Whose app asks. `homes`: none if the account is no owner's."""

    user: str
    homes: frozenset[str]


class Accounts(Protocol):
    """Checks an ID token that the browser got from Firebase, and later whether the account still stands."""

    def verify(self, id_token: str, now_us: int) -> Account: ...

    def role_now(self, user: str, since_us: int) -> str: ...

    def owner(self, id_token: str) -> Owner: ...


class _EmulatorCredential(credentials.Base):
    """The emulator wants no secret; without any credential the client looks for one for 20 s."""

    def get_credential(self) -> google.auth.credentials.Credentials:
        return google.auth.credentials.AnonymousCredentials()


def firebase_app(project_id: str) -> firebase_admin.App:
    """The process's Firebase app of a project; the emulator if FIREBASE_AUTH_EMULATOR_HOST is set."""
    name = f"console-{project_id}"
    try:
        return firebase_admin.get_app(name)
    except ValueError:
        emulated = bool(os.environ.get("FIREBASE_AUTH_EMULATOR_HOST"))
        credential = _EmulatorCredential() if emulated else credentials.ApplicationDefault()
        options = {"projectId": project_id, "httpTimeout": 10}
        return firebase_admin.initialize_app(credential, options, name=name)


class FirebaseAccounts:
    """Accounts of a Firebase project."""

    def __init__(self, project_id: str) -> None:
        self._app = firebase_app(project_id)

    def verify(self, id_token: str, now_us: int) -> Account:
        """ID token → account.

        Raises:
            SignInRefused: Forged, expired, revoked, disabled, too old, or without a role.
            Unreachable: Firebase Auth does not answer.
        """
        return account_of(self._claims(id_token), now_us)

    def owner(self, id_token: str) -> Owner:
        """ID token of the owner's app → its account.

        Raises:
            SignInRefused: Forged, expired, revoked or disabled.
            Unreachable: Firebase Auth does not answer.
        """
        claims = self._claims(id_token)
        homes = claims.get("homes", ()) if claims.get("role") == OWNER else ()
        return Owner(str(claims["uid"]), frozenset(map(str, homes)))

    def _claims(self, id_token: str) -> dict[str, Any]:
        try:
            # check_revoked asks the service: a disabled account is out at once.
            claims: dict[str, Any] = auth.verify_id_token(id_token, app=self._app, check_revoked=True)
        except (
            ValueError,
            auth.InvalidIdTokenError,
            auth.UserDisabledError,
            auth.UserNotFoundError,
        ) as error:
            raise SignInRefused("This sign-in is not valid. Please sign in again.") from error
        except (FirebaseError, auth.CertificateFetchError) as error:
            raise Unreachable(f"Firebase Auth: {type(error).__name__}") from error
        return claims

    def role_now(self, user: str, since_us: int) -> str:
        """The account's role as it is now, for a session that began at `since_us`.

        Raises:
            SignInRefused: Disabled, deleted, signed out everywhere since, or without a role.
            Unreachable: Firebase Auth does not answer.
        """
        try:
            record = auth.get_user(user, app=self._app)
        except (ValueError, auth.UserNotFoundError) as error:
            raise SignInRefused("This account is no longer known.") from error
        except FirebaseError as error:
            raise Unreachable(f"Firebase Auth: {type(error).__name__}") from error
        if record.disabled or record.tokens_valid_after_timestamp * 1000 > since_us:
            raise SignInRefused("This account was signed out. Please sign in again.")
        role = (record.custom_claims or {}).get("role")
        if not isinstance(role, str) or role not in ROLES:
            raise SignInRefused("This account has no access to the dispatcher's console any more.")
        return role


def account_of(claims: dict[str, Any], now_us: int) -> Account:
    """Verified claims → account.

    Raises:
        SignInRefused: No role for this console, or signed in too long ago.
    """
    age_s = now_us / 1e6 - float(claims.get("auth_time", 0))
    if age_s > MAX_SIGN_IN_AGE_S:
        raise SignInRefused("This sign-in is too old. Please sign in again.")
    role = claims.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise SignInRefused("This account has no access to the dispatcher's console.")
    name = claims.get("name") or str(claims.get("email", "")).split("@")[0] or "Dispatcher"
    return Account(str(claims["uid"]), str(name)[:60], str(role))


def ensure_user(project_id: str, email: str, password: str, role: str, name: str = "") -> str:
    """Create the account or bring it to this password and role; returns its id. For demo and tests.

    Raises:
        ValueError: Unknown role.
    """
    if role not in ROLES:
        raise ValueError(f"role is {role!r}, known roles {sorted(ROLES)}")
    return _ensure(project_id, email, password, name, {"role": role})


def ensure_owner(project_id: str, email: str, password: str, homes: Sequence[str]) -> str:
    """The same for an owner of homes, who signs in to the owner's app and never to the console."""
    return _ensure(project_id, email, password, "", {"role": OWNER, "homes": list(homes)})


def _ensure(project_id: str, email: str, password: str, name: str, claims: dict[str, Any]) -> str:
    app = firebase_app(project_id)
    wanted = {"password": password, "display_name": name or email.split("@")[0], "disabled": False}
    try:
        user = auth.update_user(auth.get_user_by_email(email, app=app).uid, app=app, **wanted)
    except auth.UserNotFoundError:
        user = auth.create_user(email=email, app=app, **wanted)
    auth.set_custom_user_claims(user.uid, claims, app=app)
    return str(user.uid)
