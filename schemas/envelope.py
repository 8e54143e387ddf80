"""Seal a batch into the bytes that cross the wire, and open them again without trusting them.

An envelope is made once, on the gateway, and kept byte for byte through outbox, Pub/Sub and
archive: a retry is the same bytes, and the signature can be checked years later.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import DecodeError

from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from schemas.packing import pack, unpack
from schemas.payloads import MAX_ID_CHARS

SCHEMA_VERSION: Final = 1
MAX_ENVELOPE_BYTES: Final = 1 << 20  # ten sensors of 10 kB compress to about 40 kB; Pub/Sub takes 10 MB
MAX_BODY_BYTES: Final = 4 << 20  # refuses a decompression bomb before it unfolds
ZSTD_LEVEL: Final = 3
_DOMAIN: Final = b"hearthwatch.v1.envelope\x00"


class BatchId(NamedTuple):
    """Identity of a batch: unique over the life of the fleet.

    Attributes:
        gateway_id: As bound by the certificate.
        epoch: 16 bytes, in hex.
        seq: Rises by one over all lanes, from 1.
    """

    gateway_id: str
    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.gateway_id}.{self.epoch}.{self.seq}"


def batch_id(header: pb.Header) -> BatchId:
    """Header → the identity it carries."""
    return BatchId(header.gateway_id, header.epoch.hex(), header.seq)


def signed_bytes(header: bytes, body: bytes) -> bytes:
    """The bytes a signature covers: domain, header's length, header, body.

    The length keeps a byte from moving between header and body; the domain keeps a signature made
    for anything else from passing here.
    """
    return _DOMAIN + len(header).to_bytes(4, "big") + header + body


def seal(
    header: pb.Header, body: pb.Body, key: Ed25519PrivateKey, certificate: bytes, *, dictionary_id: int = 0
) -> bytes:
    """Header and body → serialized, compressed, signed Envelope.

    Fills in `schema_version`, `codec`, `body_size` and `dictionary_id` of `header`.

    Args:
        certificate: X.509 in DER.
        dictionary_id: Not 0: all of it is packed as one with this dictionary, for small bodies, of
            which header and certificate would be the larger part.
    """
    envelope = plain_envelope(header, body, key, certificate, dictionary_id)
    if dictionary_id:
        envelope = pb.Envelope(packed=pack(envelope.SerializeToString(deterministic=True), dictionary_id))
    return envelope.SerializeToString(deterministic=True)


def plain_envelope(
    header: pb.Header, body: pb.Body, key: Ed25519PrivateKey, certificate: bytes, dictionary_id: int
) -> pb.Envelope:
    """As `seal`, before it is packed; also what a dictionary is trained on."""
    raw = body.SerializeToString(deterministic=True)
    header.schema_version = SCHEMA_VERSION
    header.codec = pb.CODEC_NONE if dictionary_id else pb.CODEC_ZSTD
    header.body_size = len(raw)
    header.dictionary_id = dictionary_id
    kept = raw if dictionary_id else zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(raw)
    head = header.SerializeToString(deterministic=True)
    return pb.Envelope(
        header=head,
        body=kept,
        signature=key.sign(signed_bytes(head, kept)),
        certificate=certificate,
    )


def read_envelope(data: bytes) -> tuple[pb.Envelope, pb.Header]:
    """Bytes from anywhere → envelope (unpacked if it was packed) and header, neither checked nor verified.

    Raises:
        BadInput: Oversize, or not an envelope.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise BadInput(f"envelope is {len(data)} bytes, limit {MAX_ENVELOPE_BYTES}")
    try:
        envelope = pb.Envelope.FromString(data)
        if envelope.packed:
            envelope = pb.Envelope.FromString(unpack(envelope.packed, MAX_ENVELOPE_BYTES))
        return envelope, pb.Header.FromString(envelope.header)
    except DecodeError as error:
        raise BadInput(f"not an envelope: {error}") from error


def parse_envelope(data: bytes) -> tuple[pb.Envelope, pb.Header]:
    """Bytes from anywhere → envelope and header. Nothing is verified yet.

    Raises:
        BadInput: Oversize, not an envelope, unknown schema version, or a malformed identity.
    """
    envelope, header = read_envelope(data)
    if header.schema_version != SCHEMA_VERSION:
        raise BadInput(f"schema_version is {header.schema_version}, known versions: {SCHEMA_VERSION}")
    for field in ("home_id", "gateway_id"):
        length = len(getattr(header, field))
        if not 1 <= length <= MAX_ID_CHARS:
            raise BadInput(f"{field} has {length} characters, limits 1 to {MAX_ID_CHARS}")
    if len(header.epoch) != 16:
        raise BadInput(f"epoch is {len(header.epoch)} bytes, limit exactly 16")
    if header.seq < 1:
        raise BadInput(f"seq is {header.seq}, limit: at least 1")
    return envelope, header


def verify_signature(envelope: pb.Envelope, key: Ed25519PublicKey) -> None:
    """Check the gateway's signature.

    Raises:
        BadInput: The signature is not this key's over these bytes.
    """
    try:
        key.verify(envelope.signature, signed_bytes(envelope.header, envelope.body))
    except InvalidSignature as error:
        raise BadInput("signature does not match header and body under the certificate's key") from error


def open_body(envelope: pb.Envelope, header: pb.Header) -> pb.Body:
    """Decompress and parse the body of an envelope whose signature was checked.

    Raises:
        BadInput: Unknown codec, a size that differs from the header's or exceeds the limit, or
            bytes that are not a Body.
    """
    if header.body_size > MAX_BODY_BYTES:
        raise BadInput(f"body is {header.body_size} bytes, limit {MAX_BODY_BYTES}")
    if header.codec == pb.CODEC_NONE:
        raw = envelope.body
    elif header.codec == pb.CODEC_ZSTD:
        try:
            # The frame's own size wins over max_output_size: a bomb must be stopped here.
            declared = zstandard.frame_content_size(envelope.body)
            if declared not in (-1, header.body_size):
                raise BadInput(f"body unfolds to {declared} bytes, its header says {header.body_size}")
            raw = zstandard.ZstdDecompressor().decompress(
                envelope.body, max_output_size=header.body_size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise BadInput(f"body does not decompress to {header.body_size} bytes: {error}") from error
    else:
        raise BadInput(f"codec is {header.codec}, known codecs: {pb.CODEC_NONE}, {pb.CODEC_ZSTD}")
    if len(raw) != header.body_size:
        raise BadInput(f"body is {len(raw)} bytes, its header says {header.body_size}")
    try:
        return pb.Body.FromString(raw)
    except DecodeError as error:
        raise BadInput(f"not a body: {error}") from error
