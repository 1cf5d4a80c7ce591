"""The forms in which passwords are stored, as text in settings, files and databases (WSO2 §6.4, PHC strings, htpasswd).

Read once, with bounds on what a form may cost: a stored password that asks for gigabytes is refused where it is read. The
runtime verifies with what is read here; this file hashes nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

MAX_MEMORY_KIB = 256 << 10
MAX_BCRYPT_COST = 15

_DIGEST_BYTES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
_HEX_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_WSO2 = re.compile(r"@(sha256|sha384|sha512):\{([0-9a-fA-F]+)\}")
_ARGON2ID = re.compile(r"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,3})\$([^$]+)\$([^$]+)")
_SCRYPT = re.compile(r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})\$([^$]+)\$([^$]+)")
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_APR1 = re.compile(r"\$apr1\$([./A-Za-z0-9]{1,8})\$([./A-Za-z0-9]{22})")


class UnknownFormError(Exception):
    """A text is no stored password; the message says why and repeats nothing of it."""


class Stored(NamedTuple):
    """One stored password. `costs` are the parameters in the form's own order; `text` is the whole where a library reads it."""

    algorithm: str  # sha1, sha256, sha384, sha512, argon2id, scrypt, bcrypt, apr1
    digest: bytes = b""
    salt: bytes = b""
    costs: tuple[int, ...] = ()
    text: str = ""

    @property
    def is_slow(self) -> bool:
        """Whether verifying it takes longer than an event loop may be held up."""
        return self.algorithm not in _DIGEST_BYTES


def read_stored(text: str) -> Stored:
    """The stored password that a text is; raises UnknownFormError."""
    if _HEX_SHA1.fullmatch(text):
        return Stored("sha1", bytes.fromhex(text))
    if found := _WSO2.fullmatch(text):
        algorithm, digits = found.groups()
        if len(digits) != 2 * _DIGEST_BYTES[algorithm]:
            raise UnknownFormError(f"its digest has not the length of {algorithm}")
        return Stored(algorithm, bytes.fromhex(digits))
    if text.startswith("{SHA}"):
        return Stored("sha1", _exactly(_base64(text[5:]), 20))
    if text.startswith("$"):
        return _modular(text)
    raise UnknownFormError("it is no hash that is known, and clear text is never accepted")


def _modular(text: str) -> Stored:
    if found := _ARGON2ID.fullmatch(text):
        return _argon2id(*found.groups())
    if found := _SCRYPT.fullmatch(text):
        return _scrypt(*found.groups())
    if found := _BCRYPT.fullmatch(text):
        cost = int(found[1])
        if not 4 <= cost <= MAX_BCRYPT_COST:
            raise UnknownFormError(f"its cost is not between 4 and {MAX_BCRYPT_COST}")
        return Stored("bcrypt", costs=(cost,), text=text)
    if found := _APR1.fullmatch(text):
        return Stored("apr1", digest=found[2].encode(), salt=found[1].encode())
    name = text[1:].partition("$")[0]
    if name in {"argon2id", "scrypt", "apr1", "2a", "2b", "2y"}:
        raise UnknownFormError(f"it begins like {name} and is malformed")
    raise UnknownFormError("its algorithm is not known")


def _argon2id(memory: str, passes: str, lanes: str, salt: str, digest: str) -> Stored:
    costs = (int(memory), int(passes), int(lanes))
    if not (8 * costs[2] <= costs[0] <= MAX_MEMORY_KIB and 1 <= costs[1] <= 32 and 1 <= costs[2] <= 16):
        raise UnknownFormError("its costs are out of bounds (256 MiB, 32 passes, 16 lanes)")
    return Stored("argon2id", _digest(digest), _salt(salt), costs)


def _scrypt(logarithm: str, blocks: str, lanes: str, salt: str, digest: str) -> Stored:
    costs = (int(logarithm), int(blocks), int(lanes))
    if not (1 <= costs[0] <= 20 and 1 <= costs[1] <= 32 and 1 <= costs[2] <= 16):
        raise UnknownFormError("its costs are out of bounds")
    if costs[1] << costs[0] > MAX_MEMORY_KIB << 3:  # 128 bytes a block
        raise UnknownFormError("its costs are out of bounds (256 MiB)")
    return Stored("scrypt", _digest(digest), _salt(salt), costs)


def _digest(text: str) -> bytes:
    return _between(_base64(text), 16, 64)


def _salt(text: str) -> bytes:
    return _between(_base64(text), 8, 64)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise UnknownFormError("a part of it is no base64") from None


def _exactly(value: bytes, size: int) -> bytes:
    return _between(value, size, size)


def _between(value: bytes, low: int, high: int) -> bytes:
    if not low <= len(value) <= high:
        raise UnknownFormError("a part of it has a wrong length")
    return value
