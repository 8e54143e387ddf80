"""Seal and open: what was sealed opens, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas import envelope
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def _header(**changes: object) -> pb.Header:
    fields = {"home_id": "h", "gateway_id": "g", "epoch": bytes(16), "seq": 1, "lane": pb.LANE_URGENT}
    return pb.Header(**{**fields, **changes})


def _sealed(header: pb.Header | None = None, body: pb.Body | None = None) -> bytes:
    return envelope.seal(header or _header(), body or pb.Body(), KEY, b"certificate")


@given(seq=st.integers(1, 2**63), text=st.text(max_size=50), rows=st.integers(0, 5))
def test_what_was_sealed_opens_to_the_same(seq: int, text: str, rows: int) -> None:
    body = pb.Body(events=[pb.Event(code=110 + row, room=text) for row in range(rows)])
    parsed, header = envelope.parse_envelope(_sealed(_header(seq=seq), body))
    envelope.verify_signature(parsed, KEY.public_key())
    assert envelope.open_body(parsed, header) == body
    assert envelope.batch_id(header) == ("g", "00" * 16, seq)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_accepted(position: int, bit: int) -> None:
    sealed = bytearray(_sealed(body=pb.Body(events=[pb.Event(code=110, room="kitchen")])))
    sealed[position % len(sealed)] ^= 1 << bit
    try:
        parsed, _ = envelope.parse_envelope(bytes(sealed))
        envelope.verify_signature(parsed, KEY.public_key())
    except BadInput:
        return
    original = pb.Envelope.FromString(_sealed(body=pb.Body(events=[pb.Event(code=110, room="kitchen")])))
    # Only what the signature does not cover may differ: the certificate, which is checked by itself.
    assert (parsed.header, parsed.body) == (original.header, original.body)


@given(data=st.binary(max_size=400))
def test_random_bytes_are_bad_input_and_nothing_else(data: bytes) -> None:
    with pytest.raises(BadInput):
        envelope.parse_envelope(data)


def test_an_oversize_envelope_says_value_and_limit() -> None:
    with pytest.raises(
        BadInput, match=f"{envelope.MAX_ENVELOPE_BYTES + 1} bytes, limit {envelope.MAX_ENVELOPE_BYTES}"
    ):
        envelope.parse_envelope(bytes(envelope.MAX_ENVELOPE_BYTES + 1))


def test_a_decompression_bomb_is_refused_before_it_unfolds() -> None:
    bomb = zstandard.ZstdCompressor().compress(np.zeros(64 << 20, np.uint8).tobytes())
    header = _header(codec=pb.CODEC_ZSTD, body_size=64 << 20)
    with pytest.raises(BadInput, match="limit"):
        envelope.open_body(pb.Envelope(body=bomb), header)
    with pytest.raises(BadInput, match="unfolds to 67108864 bytes, its header says 1000"):
        envelope.open_body(pb.Envelope(body=bomb), _header(codec=pb.CODEC_ZSTD, body_size=1_000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"home_id": ""}, "home_id has 0 characters"),
        ({"gateway_id": "x" * 65}, "gateway_id has 65 characters"),
        ({"epoch": b"short"}, "epoch is 5 bytes"),
        ({"seq": 0}, "seq is 0"),
    ],
    ids=["no home", "long gateway", "short epoch", "no seq"],
)
def test_a_malformed_identity_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        envelope.parse_envelope(_sealed(_header(**changes)))
