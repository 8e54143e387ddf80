"""Who a gateway is: the X.509 certificate that binds gateway and home (design.md, "Batch")."""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.errors import BadInput

_SCHEME: Final = "hearthwatch"


class GatewayIdentity(NamedTuple):
    """What a fleet certificate says.

    Attributes:
        home_id: The tenant the gateway speaks for.
        gateway_id: The gateway.
        key: Its public key.
        serial: Certificate serial number, for revocation.
        not_before_us, not_after_us: Validity, µs since 1970 UTC.
    """

    home_id: str
    gateway_id: str
    key: Ed25519PublicKey
    serial: int
    not_before_us: int
    not_after_us: int


def identity_uri(home_id: str, gateway_id: str) -> str:
    """The SAN URI of a gateway's certificate.

    >>> identity_uri("home-7", "gw-7")
    'hearthwatch://home-7/gw-7'
    """
    return f"{_SCHEME}://{home_id}/{gateway_id}"


def read_certificate(der: bytes, ca: x509.Certificate) -> GatewayIdentity:
    """DER → the identity that the fleet CA vouches for. Validity in time is the caller's question.

    Raises:
        BadInput: Not a certificate, not issued by `ca`, not Ed25519, or without exactly one
            hearthwatch SAN URI.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(ca)
        key = certificate.public_key()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise BadInput(f"certificate is not one of this fleet: {error or type(error).__name__}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(f"certificate's key is {type(key).__name__}, limit: Ed25519")
    parts = [urlsplit(uri) for uri in uris if uri.startswith(f"{_SCHEME}://")]
    if len(parts) != 1 or not parts[0].netloc or not parts[0].path.strip("/"):
        raise BadInput(f"certificate names {len(parts)} gateways ({uris}), limit exactly 1")
    return GatewayIdentity(
        home_id=parts[0].netloc,
        gateway_id=parts[0].path.strip("/"),
        key=key,
        serial=certificate.serial_number,
        not_before_us=_us(certificate.not_valid_before_utc),
        not_after_us=_us(certificate.not_valid_after_utc),
    )


def issue_certificate(
    ca: x509.Certificate,
    ca_key: Ed25519PrivateKey,
    public_key: Ed25519PublicKey,
    *,
    home_id: str,
    gateway_id: str,
    not_before: dt.datetime,
    not_after: dt.datetime,
) -> bytes:
    """Bind a gateway's public key to gateway and home → certificate in DER."""
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity_uri(home_id, gateway_id))])
    builder = _builder(public_key, gateway_id, ca.subject, not_before, not_after)
    certificate = (
        builder.add_extension(san, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(ca_key, algorithm=None)
    )
    return certificate.public_bytes(Encoding.DER)


def issue_fleet_ca(
    key: Ed25519PrivateKey, *, not_before: dt.datetime, not_after: dt.datetime
) -> x509.Certificate:
    """A self-signed fleet CA. Production keeps its key in a KMS; the demo and tests make their own."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Hearthwatch fleet CA")])
    builder = _builder(key.public_key(), "Hearthwatch fleet CA", name, not_before, not_after)
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True).sign(
        key, algorithm=None
    )


def _builder(
    public_key: Ed25519PublicKey,
    common_name: str,
    issuer: x509.Name,
    not_before: dt.datetime,
    not_after: dt.datetime,
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _us(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
