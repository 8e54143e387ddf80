"""Keypad codes: kept as salted hashes, compared without leaking where they differ."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from schemas.errors import BadInput

# A code has four to eight digits, so no hash makes guessing hard for who holds the file; scrypt
# at 4 MB and about 10 ms keeps it from being read at a glance and fits a gateway.
_N, _R, _P = 1 << 12, 8, 1
_PREFIX: Final = "scrypt"


def hash_code(code: str, salt: bytes) -> str:
    """Keypad code → text for the configuration file.

    Args:
        code: 4 to 8 digits.
        salt: 8 bytes or more, random for each user.

    Raises:
        BadInput: The code is not 4 to 8 digits.

    >>> matches(hash_code("1234", b"saltsalt"), "1234")
    True
    >>> matches(hash_code("1234", b"saltsalt"), "1235")
    False
    """
    if not (code.isascii() and code.isdigit() and 4 <= len(code) <= 8):
        raise BadInput(f"code has {len(code)} characters, limits: 4 to 8 digits")
    return f"{_PREFIX}${salt.hex()}${_digest(code, salt).hex()}"


def parse_hash(text: str) -> tuple[bytes, bytes]:
    """Configured hash → (salt, digest).

    Raises:
        BadInput: Not made by `hash_code`.
    """
    parts = text.split("$")
    try:
        if len(parts) != 3 or parts[0] != _PREFIX:
            raise ValueError
        salt, digest = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
    except ValueError as error:
        raise BadInput(f"code hash is {len(parts)} parts, limit: 'scrypt$SALT$DIGEST' in hex") from error
    if len(digest) != 32 or len(salt) < 8:
        raise BadInput(f"salt is {len(salt)} bytes, digest {len(digest)}; limits at least 8, exactly 32")
    return salt, digest


def matches(text: str, code: str) -> bool:
    """Is this the code whose hash was configured?"""
    salt, digest = parse_hash(text)
    return hmac.compare_digest(_digest(code, salt), digest)


def _digest(code: str, salt: bytes) -> bytes:
    return hashlib.scrypt(code.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)
