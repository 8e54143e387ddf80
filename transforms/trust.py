"""Whom the pipeline believes: certificates of the fleet CA, less those on the revocation list.

No look-up over a network stands between a batch and its verification: certificates arrive with the
batch and are cached by their bytes, and the revocation list is read in the background.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from cryptography import x509

from schemas import hearthwatch_v1_pb2 as pb
from schemas.envelope import parse_envelope, verify_signature
from schemas.errors import BadInput
from schemas.identity import GatewayIdentity, read_certificate

_LOG: Final = logging.getLogger(__name__)
# About 2 kB each. One worker sees the gateways whose batches it happens to read: any of the fleet.
MAX_CACHED_CERTIFICATES: Final = 16_384
REFRESH_S: Final = 30.0


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


class RevocationList:
    """Serial numbers from a file that is read again when it changes; the last good copy stays.

    Args:
        path: Local path or gs://. It must be readable at the start: a worker that never saw the list
            would trust what was revoked.
        clock_s: Seconds, rising; measures `age_s`.
    """

    def __init__(self, path: str, clock_s: Callable[[], float]) -> None:
        self._path = path
        self._clock_s = clock_s
        self._stamp: float | None = None
        self._serials: frozenset[int] = frozenset()
        self._stop = threading.Event()
        self._read()

    def serials(self) -> frozenset[int]:
        """As of the last good copy."""
        return self._serials

    @property
    def age_s(self) -> float:
        """Seconds since the file was last seen to be what we hold. Its growth is an alarm."""
        return self._clock_s() - self._seen_s

    def refresh(self) -> bool:
        """Read the file if it changed; False, and the last good copy stays, if that fails."""
        try:
            self._read()
        except (OSError, BeamIOError, ValueError) as error:
            _LOG.warning("revocation list %s not read, copy is %.0f s old: %s", self._path, self.age_s, error)
            return False
        return True

    def start(self, every_s: float = REFRESH_S) -> None:
        """Refresh in the background until `stop`."""
        threading.Thread(target=self._run, args=(every_s,), name="revocations", daemon=True).start()

    def stop(self) -> None:
        """End the background thread."""
        self._stop.set()

    def _run(self, every_s: float) -> None:
        while not self._stop.wait(every_s):
            self.refresh()

    def _read(self) -> None:
        stamp = FileSystems.last_updated(self._path)
        if stamp != self._stamp:
            with FileSystems.open(self._path) as file:
                self._serials = parse_revoked(file.read().decode())
            self._stamp = stamp
        self._seen_s = self._clock_s()
