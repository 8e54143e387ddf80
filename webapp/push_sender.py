"""Firebase Cloud Messaging by `firebase-admin`: one push to one phone → what became of it."""

from __future__ import annotations

import hashlib
import logging
from enum import StrEnum
from typing import Final, NamedTuple

import firebase_admin
from firebase_admin import credentials, exceptions, messaging
from google.auth.exceptions import GoogleAuthError
from requests.adapters import HTTPAdapter

log = logging.getLogger(__name__)
TIMEOUT_S: Final = 10
CONNECTIONS: Final = 32  # as many as there are senders
KEEP_S: Final = 3600  # FCM holds it so long for a phone that is off


class Fate(StrEnum):
    """What became of a push."""

    TAKEN = "taken"  # FCM has it
    GONE = "gone"  # the app is not there any more: forget the phone
    REFUSED = "refused"  # our mistake, and it would be the same again
    LATER = "later"  # try again


class Outcome(NamedTuple):
    """`wait_s`: what FCM asked us to wait, 0 for nothing. `reason`: why it was refused."""

    fate: Fate
    wait_s: float = 0.0
    reason: str = ""


class FcmSender:
    """Sends by a project's Firebase app.

    Args:
        url: Of the endpoint with {0} for the project; "" for Google's. firebase-admin has no setting for it.
    """

    def __init__(self, project_id: str, url: str = "") -> None:
        if url:
            messaging._MessagingService.FCM_URL = url
        options = {"projectId": project_id, "httpTimeout": TIMEOUT_S}
        name = f"notifier-{project_id}"
        self._app = firebase_admin.initialize_app(credentials.ApplicationDefault(), options, name=name)
        # firebase-admin tries again by itself and sleeps as long as FCM asks it to: a sender would be held up
        # for minutes. The outbox does that.
        session = messaging._get_messaging_service(self._app)._client.session
        for scheme in ("https://fcm.googleapis.com", "https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0))

    def send(self, token: str, data: dict[str, str], collapse: str) -> Outcome:
        """Hand one push over. Of several with one `collapse` a phone that was off gets the newest."""
        key = hashlib.sha256(collapse.encode()).hexdigest()[:32]
        message = messaging.Message(
            token=token,
            data=data,
            android=messaging.AndroidConfig(priority="high", collapse_key=key, ttl=KEEP_S),
            webpush=messaging.WebpushConfig(headers={"Urgency": "high", "TTL": str(KEEP_S), "Topic": key}),
        )
        try:
            messaging.send(message, app=self._app)
        except (messaging.UnregisteredError, messaging.SenderIdMismatchError):
            return Outcome(Fate.GONE)
        except (exceptions.InvalidArgumentError, ValueError) as error:
            log.error("FCM refused a push: %s", type(error).__name__)
            return Outcome(Fate.REFUSED, reason=f"refused: {type(error).__name__}")
        except exceptions.FirebaseError as error:
            log.warning("FCM: %s", error.code)
            return Outcome(Fate.LATER, _asked_to_wait_s(error))
        except (GoogleAuthError, OSError) as error:
            log.warning("FCM: %s", type(error).__name__)
            return Outcome(Fate.LATER)
        return Outcome(Fate.TAKEN)


def _asked_to_wait_s(error: exceptions.FirebaseError) -> float:
    headers = getattr(error.http_response, "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", 0)))
    except ValueError:  # a date: rare, and our own pause will do
        return 0.0
