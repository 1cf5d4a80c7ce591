"""An opaque API key and what is known of it: how one is made, told from garbage, and what its record says.

`key_book.py` keeps records in a store.
"""

from __future__ import annotations

import secrets
import zlib
from hashlib import sha256

import msgspec

PREFIX = b"mgk_"
SECRET_CHARACTERS = 40  # of 62 kinds: 238 bits, so a plain digest of a key tells nothing
CHECK_CHARACTERS = 6
KEPT_DEAD_SECONDS = 30 * 86_400  # so long a revoked or expired key is still listed
MAX_KEYS = 100_000  # of one store; every worker holds their records

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = len(PREFIX) + SECRET_CHARACTERS + CHECK_CHARACTERS


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a key is good for. Times are seconds since 1970, 0 for never; an empty list of APIs, addresses or pages is all."""

    id: str
    consumer: str
    created: int
    application: str = ""
    scopes: tuple[str, ...] = ()
    tier: str = ""
    key_type: str = "PRODUCTION"
    apis: tuple[tuple[str, str], ...] = ()  # name, version or "*"
    addresses: tuple[str, ...] = ()
    referers: tuple[str, ...] = ()
    expires: int = 0
    revoked: int = 0

    def state(self, now: float) -> str:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and now >= self.expires else "active"

    @property
    def ends(self) -> float:
        """When it is no good any more."""
        return min((moment for moment in (self.revoked, self.expires) if moment), default=float("inf"))


def new_key() -> str:
    """A key that nobody can guess, with a checksum, so that most garbage needs no search."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))
    return PREFIX.decode() + secret + _checksum(secret.encode())


def is_well_formed(key: bytes) -> bool:
    """Whether it has the form of a key and its checksum is right."""
    secret, check = key[len(PREFIX) : -CHECK_CHARACTERS], key[-CHECK_CHARACTERS:]
    return len(key) == _LENGTH and key.startswith(PREFIX) and _checksum(secret).encode() == check


def digest_of(key: bytes) -> bytes:
    return sha256(key).digest()


def _checksum(secret: bytes) -> str:
    number, text = zlib.crc32(secret), ""
    for _ in range(CHECK_CHARACTERS):
        number, position = divmod(number, len(_ALPHABET))
        text = _ALPHABET[position] + text
    return text
