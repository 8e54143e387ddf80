"""The word by which a home cancels an alarm: kept as a salted hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from typing import Final

from schemas.homes import SafeWord

MAX_WORD_CHARS: Final = 100
# About 16 MB and 30 ms: words are short, and somebody who reads the database must not guess them cheaply.
SCRYPT_N: Final = 1 << 14
SCRYPT_R: Final = 8


def make(home_id: str, word: str, salt: bytes | None = None) -> SafeWord:
    """A home's word → what is stored."""
    salt = salt or secrets.token_bytes(16)
    return SafeWord(home_id=home_id, salt=salt.hex(), digest=_digest(word, salt).hex())


def matches(stored: SafeWord, word: str) -> bool:
    """Whether this is the word. Case and spaces do not count."""
    return hmac.compare_digest(_digest(word, bytes.fromhex(stored.salt)), bytes.fromhex(stored.digest))


def _digest(word: str, salt: bytes) -> bytes:
    spoken = " ".join(unicodedata.normalize("NFKC", word).casefold().split())
    return hashlib.scrypt(spoken.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=1)
