"""Passwords against what is stored of them, and what is to be stored of a new one. Everything here computes at once and on the
spot: `hash_bench.py` takes the slow forms to a thread. The command line hashes with it too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any

from microgate.errors import SettingsError
from microgate.runtime.security.passwords import apr1

if TYPE_CHECKING:
    from microgate.settings.stored_passwords import Stored

MAX_PASSWORD_BYTES = 1_024
BCRYPT_BYTES = 72  # of a password; bcrypt never looked further

# OWASP's advice: 19 MiB and two passes, and costs of the like for the others.
ARGON2ID_COSTS = (19_456, 2, 1)
SCRYPT_COSTS = (15, 8, 3)
BCRYPT_COST = 12
ALGORITHMS = ("argon2id", "scrypt", "bcrypt", "sha256")


def matches(stored: Stored, password: bytes) -> bool:
    """Whether this is the password, compared in constant time."""
    if stored.algorithm == "bcrypt":
        return bool(bcrypt().checkpw(password[:BCRYPT_BYTES], stored.text.encode()))
    return hmac.compare_digest(_digest(stored, password), stored.digest)


def _digest(stored: Stored, password: bytes) -> bytes:
    match stored.algorithm:
        case "argon2id":
            return _argon2id(password, stored.salt, stored.costs, len(stored.digest))
        case "scrypt":
            return _scrypt(password, stored.salt, stored.costs, len(stored.digest))
        case "apr1":
            return apr1.digest(password, stored.salt)
        case algorithm:
            return hashlib.new(algorithm, password).digest()


def make_stored(algorithm: str, password: bytes) -> str:
    """The text to store for a new password; raises SettingsError where the package for it is missing."""
    salt = secrets.token_bytes(16)
    if algorithm == "argon2id":
        memory, passes, lanes = ARGON2ID_COSTS
        digest = _argon2id(password, salt, ARGON2ID_COSTS, 32)
        return f"$argon2id$v=19$m={memory},t={passes},p={lanes}${_base64(salt)}${_base64(digest)}"
    if algorithm == "scrypt":
        logarithm, blocks, lanes = SCRYPT_COSTS
        digest = _scrypt(password, salt, SCRYPT_COSTS, 32)
        return f"$scrypt$ln={logarithm},r={blocks},p={lanes}${_base64(salt)}${_base64(digest)}"
    if algorithm == "bcrypt":
        library = bcrypt()
        text: bytes = library.hashpw(password[:BCRYPT_BYTES], library.gensalt(BCRYPT_COST))
        return text.decode()
    return f"@sha256:{{{hashlib.sha256(password).hexdigest()}}}"


def bcrypt() -> Any:
    """The package for bcrypt; raises SettingsError where it is not installed."""
    try:
        import bcrypt as library
    except ImportError:
        raise SettingsError(
            "a password is stored with bcrypt, and the package for it is not installed", "pip install microgate[bcrypt]"
        ) from None
    return library


def _argon2id(password: bytes, salt: bytes, costs: tuple[int, ...], length: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    memory, passes, lanes = costs
    return Argon2id(salt=salt, length=length, iterations=passes, lanes=lanes, memory_cost=memory).derive(password)


def _scrypt(password: bytes, salt: bytes, costs: tuple[int, ...], length: int) -> bytes:
    logarithm, blocks, lanes = costs
    return hashlib.scrypt(
        password,
        salt=salt,
        n=1 << logarithm,
        r=blocks,
        p=lanes,
        dklen=length,
        maxmem=(128 * blocks << logarithm) + (1 << 20),
    )


def _base64(value: bytes) -> str:
    return base64.b64encode(value).rstrip(b"=").decode()
