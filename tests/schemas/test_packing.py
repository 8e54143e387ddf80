"""Envelopes packed with a dictionary: the same envelope, a tenth of the bytes, and no bomb."""

from __future__ import annotations

import hashlib

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas import envelope, packing
from schemas import hearthwatch_v1_pb2 as pb
from schemas.errors import BadInput
from tests.schemas import pin

KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
# A dictionary that gateways use is never changed: what they sent could not be read any more.
SHA256 = {1: "29b75b2b4aaaec2d6eaa01401bd7c2b1bd2adebe432c5e34635f4a506cac4933"}


@given(room=st.text(max_size=64), count=st.integers(0, 12))
def test_a_packed_envelope_opens_to_the_same_and_is_signed(room: str, count: int) -> None:
    body = pb.Body(features=[pb.Features(sensor_id="s", room=room, steps=[n]) for n in range(count)])
    sealed = envelope.seal(pin.header(), body, KEY, b"certificate", dictionary_id=1)
    parsed, header = envelope.parse_envelope(sealed)
    envelope.verify_signature(parsed, KEY.public_key())
    assert envelope.open_body(parsed, header) == body
    assert (header.dictionary_id, header.codec, parsed.certificate) == (1, pb.CODEC_NONE, b"certificate")


def test_a_packed_envelope_of_version_1_still_opens() -> None:
    parsed, header = envelope.parse_envelope(pin.PACKED.read_bytes())
    envelope.verify_signature(parsed, KEY.public_key())
    assert envelope.open_body(parsed, header) == pin.live_body()


@pytest.mark.parametrize("number", sorted(SHA256))
def test_dictionaries_are_the_ones_that_gateways_use(number: int) -> None:
    data = (packing.FOLDER / f"live_{number}.dict").read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256[number]


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_accepted(position: int, bit: int) -> None:
    sealed = bytearray(pin.PACKED.read_bytes())
    sealed[position % len(sealed)] ^= 1 << bit
    try:
        parsed, header = envelope.parse_envelope(bytes(sealed))
        envelope.verify_signature(parsed, KEY.public_key())
    except BadInput:
        return
    assert envelope.open_body(parsed, header) == pin.live_body()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (zstandard.ZstdCompressor().compress(bytes(64 << 20)), "unfolds to 67108864 bytes, limit 1048576"),
        (zstandard.ZstdCompressor().compress(b"x"), "dictionary_id is 0, known dictionaries"),
        (b"garbage", "does not unfold"),
    ],
    ids=["bomb", "no dictionary", "garbage"],
)
def test_what_is_no_packed_envelope_is_refused_with_its_reason(frame: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        envelope.parse_envelope(pb.Envelope(packed=frame).SerializeToString())


def test_an_unknown_dictionary_is_named() -> None:
    with pytest.raises(BadInput, match="dictionary_id is 99, known dictionaries: "):
        packing.pack(b"", 99)
