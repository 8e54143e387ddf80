"""Ed25519 signatures of what the registry holds: who may publish and promote, and proof that they did.

Private keys live outside the repository and the registry (locally in the run folder, in production in a
key service that signs); a worker holds the public keys alone, as a PEM file that is deployed with it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict

from serving.cards import ModelRefused

Purpose = Literal["model", "channel"]
_PUBLIC_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class BadKey(Exception):
    """A key file is missing or holds no Ed25519 key; the message names it."""


class Signature(BaseModel):
    """A signature as JSON. `key_id`: of the public key; `value`: base64 of 64 bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key_id: str
    value: str


class Signer:
    """Signs with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path) -> Signer:
        """A PEM file → signer.

        Raises:
            BadKey: Missing, encrypted, or no Ed25519 key.
        """
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise BadKey(f"{path}: no private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"{path}: a key of {type(key).__name__}, wanted Ed25519")
        return cls(key)

    @property
    def public_pem(self) -> bytes:
        """What a worker needs to know of it."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, purpose: Purpose, data: bytes) -> Signature:
        """`data`, for one purpose only."""
        value = self._key.sign(_statement(purpose, data))
        return Signature(key_id=_key_id(self._key.public_key()), value=base64.b64encode(value).decode())


class TrustedKeys:
    """The public keys whose signatures count."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {_key_id(key): key for key in keys}

    @classmethod
    def parse(cls, pem: bytes) -> TrustedKeys:
        """One or several public keys in PEM.

        Raises:
            BadKey: None, or another kind of key.
        """
        keys = []
        for block in _PUBLIC_PEM.findall(pem):
            try:
                key = load_pem_public_key(block)
            except (ValueError, UnsupportedAlgorithm) as error:
                raise BadKey(f"no public key: {error}") from error
            if not isinstance(key, Ed25519PublicKey):
                raise BadKey(f"a public key of {type(key).__name__}, wanted Ed25519")
            keys.append(key)
        if not keys:
            raise BadKey("no public key in PEM")
        return cls(keys)

    @classmethod
    def read(cls, path: Path) -> TrustedKeys:
        """As `parse`, of a file.

        Raises:
            BadKey: Also if it is missing.
        """
        try:
            return cls.parse(path.read_bytes())
        except (OSError, BadKey) as error:
            raise BadKey(f"{path}: {error}") from error

    def verify(self, name: str, purpose: Purpose, data: bytes, signature: Signature) -> None:
        """Check that one of the keys signed `data` for this purpose.

        Args:
            name: Of what was signed, for the message.

        Raises:
            ModelRefused: Another key, another purpose, or other data.
        """
        key = self._keys.get(signature.key_id)
        if key is None:
            raise ModelRefused(
                f"{name} is signed by key {signature.key_id}, known keys: {sorted(self._keys)}"
            )
        try:
            key.verify(base64.b64decode(signature.value, validate=True), _statement(purpose, data))
        except (InvalidSignature, ValueError) as error:
            raise ModelRefused(f"{name} does not bear a signature of key {signature.key_id}") from error


def make_key(path: Path) -> Signer:
    """A new private key in `path`, readable by its owner only; its public key in `path` with .pub.

    Raises:
        FileExistsError: There is one already: it is never replaced.
    """
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    signer = Signer(key)
    path.with_suffix(".pub").write_bytes(signer.public_pem)
    return signer


def _statement(purpose: Purpose, data: bytes) -> bytes:
    return f"hearthwatch {purpose} 1\n".encode() + data


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
