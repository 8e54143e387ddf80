"""Who this gateway is: its private key and the certificate that the fleet CA issued for it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from schemas.errors import BadInput
from schemas.identity import identity_uri


class Identity(NamedTuple):
    """What a batch is signed with.

    Attributes:
        certificate: X.509 in DER, as the envelope carries it.
    """

    home_id: str
    gateway_id: str
    key: Ed25519PrivateKey
    certificate: bytes


def load_identity(key_path: Path, certificate_path: Path, *, home_id: str, gateway_id: str) -> Identity:
    """Files → identity, checked against each other and against the configured ids.

    Raises:
        BadInput: A file cannot be read or parsed, the certificate is for another key, or it names
            another home or gateway.
    """
    key = _load_key(key_path)
    certificate = _load_certificate(certificate_path)
    if certificate.public_key() != key.public_key():
        raise BadInput(f"certificate_path: {certificate_path} is not for the key in {key_path}")
    expected = identity_uri(home_id, gateway_id)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise BadInput(f"certificate_path: {certificate_path} names no gateway, limit: {expected}") from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if expected not in uris:
        raise BadInput(
            f"certificate_path: {certificate_path} is for {uris}, home_id and gateway_id say {expected}"
        )
    return Identity(home_id, gateway_id, key, certificate.public_bytes(Encoding.DER))


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadInput(f"key_path: {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(f"key_path: {path} is not a PEM private key without password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"key_path: {path} holds {type(key).__name__}, limit: Ed25519")
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"certificate_path: {path} cannot be read: {error.strerror}") from error
    try:
        if data.startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise BadInput(f"certificate_path: {path} is not an X.509 certificate") from error
