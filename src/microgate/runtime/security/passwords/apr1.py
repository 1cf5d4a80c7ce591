"""Apache's variant of the MD5 crypt, the old default of htpasswd files: kept so that such files can be used as they are. Nothing
writes it. Source: `apr_md5_encode` of the Apache Portable Runtime.
"""

from __future__ import annotations

from hashlib import md5

_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
_ROUNDS = 1_000


def digest(password: bytes, salt: bytes) -> bytes:
    """The 22 characters that stand behind the salt."""
    first = md5(password + salt + password, usedforsecurity=False).digest()
    start = password + b"$apr1$" + salt + (first * (len(password) // 16 + 1))[: len(password)]
    length = len(password)
    while length:
        start += b"\0" if length & 1 else password[:1]
        length >>= 1
    state = md5(start, usedforsecurity=False).digest()
    for number in range(_ROUNDS):
        parts = password if number & 1 else state
        parts += salt if number % 3 else b""
        parts += password if number % 7 else b""
        parts += state if number & 1 else password
        state = md5(parts, usedforsecurity=False).digest()
    letters = b"".join(_letters(state[a] << 16 | state[b] << 8 | state[c], 4) for a, b, c in _ORDER)
    return letters + _letters(state[11], 2)


def _letters(value: int, count: int) -> bytes:
    return bytes(_ALPHABET[value >> 6 * position & 63] for position in range(count))
