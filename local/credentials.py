"""Throw-away credentials: without any, Google's clients look for some for 17 to 26 s.

A token that does not expire for a long time, not a service account: a client that does not know that
it talks to a stand-in (Beam's object storage) would ask a service account's token endpoint for one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local import fcm
from local.config import Settings


def write(settings: Settings) -> Path:
    """Make the file in the run folder, readable by its owner only. It opens nothing."""
    file = settings.run / "credentials.json"
    nothing = dict.fromkeys(("client_id", "client_secret", "refresh_token", "token"), "throw-away")
    file.parent.mkdir(parents=True, exist_ok=True)
    _write_private(file, {"type": "authorized_user", "expiry": "2100-01-01T00:00:00Z", **nothing})
    return file


def write_notifier(settings: Settings) -> Path:
    """A throw-away service account, as `firebase-admin` wants one to push; its tokens come from loopback."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = notifier_file(settings)
    _write_private(file, fcm.credentials_document(settings.fcm_port, key.decode()))
    return file


def notifier_file(settings: Settings) -> Path:
    """Where `write_notifier` writes."""
    return settings.run / "notifier.json"


def _write_private(file: Path, document: dict[str, str]) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(document, output)
