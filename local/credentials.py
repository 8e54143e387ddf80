"""A throw-away service account: without any, Google's clients look for one for 17 to 26 s."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.config import HOST, Settings


def write(settings: Settings) -> Path:
    """Make the file in the run folder, readable by its owner only; keep one that is there.

    It opens nothing: its key is random, its token endpoint is a closed port of this machine.
    """
    file = settings.run / "credentials.json"
    if file.exists():
        return file
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": settings.project,
        "private_key_id": "throw-away",
        "private_key": key.decode(),
        "client_email": f"local@{settings.project}.invalid",
        "client_id": "0",
        "token_uri": f"http://{HOST}:9/token",
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(account, output)
    return file
