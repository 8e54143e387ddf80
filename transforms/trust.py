"""Whom the pipeline believes: certificates of the fleet CA, less those on the revocation list.

No look-up over a network stands between a batch and its verification: certificates arrive with the
batch and are cached by their bytes, and the revocation list is read in the background.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from apache_beam.io.filesystems import FileSystems
from cryptography import x509

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import parse_envelope, verify_signature
from schemas.errors import BadInput
from schemas.identity import GatewayIdentity, read_certificate
from transforms.refreshed_file import RefreshedFile

# About 2 kB each. One worker sees the gateways whose batches it happens to read: any of the fleet.
MAX_CACHED_CERTIFICATES: Final = 16_384


class Trust:
    """Certificate → verified identity, and whether it has been revoked.

    Args:
        ca: The fleet CA.
        revoked: Says which serial numbers are revoked now.
        capacity: Certificates remembered; the least recently used goes first.
    """

    def __init__(
        self,
        ca: x509.Certificate,
        revoked: Callable[[], frozenset[int]] = frozenset,
        capacity: int = MAX_CACHED_CERTIFICATES,
    ) -> None:
        self._ca = ca
        self._revoked = revoked
        self._capacity = capacity
        self._known: OrderedDict[bytes, GatewayIdentity] = OrderedDict()

    def identity(self, certificate: bytes) -> GatewayIdentity:
        """DER → identity. Only good certificates are remembered: forgeries cannot push them out.

        Raises:
            BadInput: Not a certificate that the fleet CA issued to one gateway.
        """
        known = self._known.get(certificate)
        if known is not None:
            self._known.move_to_end(certificate)
            return known
        identity = read_certificate(certificate, self._ca)
        self._known[certificate] = identity
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return identity

    def check_not_revoked(self, identity: GatewayIdentity) -> None:
        """
        Raises:
            BadInput: Its serial number is on the revocation list.
        """
        if identity.serial in self._revoked():
            raise BadInput(f"certificate {identity.serial:x} of {identity.gateway_id} is revoked")


def check_tenant(header: pb.Header, identity: GatewayIdentity) -> None:
    """
    Raises:
        BadInput: The header speaks for another home or gateway than its certificate is bound to.
    """
    claimed, bound = (header.home_id, header.gateway_id), (identity.home_id, identity.gateway_id)
    if claimed != bound:
        raise BadInput(f"header speaks for {claimed}, its certificate for {bound}")


def open_verified(payload: bytes, trust: Trust) -> tuple[pb.Envelope, pb.Header]:
    """Bytes from the archive → envelope and header of a gateway that is trusted.

    Raises:
        BadInput: Not an envelope, or its certificate, signature or tenant does not hold.
    """
    envelope, header = parse_envelope(payload)
    identity = trust.identity(envelope.certificate)
    trust.check_not_revoked(identity)
    verify_signature(envelope, identity.key)
    check_tenant(header, identity)
    return envelope, header


def load_ca(source: str | bytes) -> x509.Certificate:
    """PEM, or the path of a PEM file (local or gs://) → the fleet CA's certificate."""
    if isinstance(source, str):
        with FileSystems.open(source) as file:
            source = file.read()
    return x509.load_pem_x509_certificate(source)


def parse_revoked(text: str) -> frozenset[int]:
    """Revocation list → serial numbers: one in hex a line; `#` begins a comment.

    Raises:
        ValueError: A line is not a hexadecimal number: half a list would let a thief back in.

    >>> sorted(parse_revoked("0a  # stolen\\n\\nff\\n"))
    [10, 255]
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(int(line, 16) for line in lines if line)


class RevocationList(RefreshedFile[frozenset[int]]):
    """Serial numbers from a file that is read again when it changes; the last good copy stays.

    Args:
        path: Local path or gs://. It must be readable at the start: a worker that never saw the list
            would trust what was revoked.
        clock_s: Seconds, rising; measures `age_s`.
    """

    def __init__(self, path: str, clock_s: Callable[[], float]) -> None:
        super().__init__(path, parse_revoked, clock_s)

    def serials(self) -> frozenset[int]:
        """As of the last good copy."""
        return self.content


def revoked_serials(path: str) -> Callable[[], frozenset[int]]:
    """The revocation list of a batch job: read once, "" for none."""
    return RevocationList(path, lambda: 0.0).serials if path else frozenset
