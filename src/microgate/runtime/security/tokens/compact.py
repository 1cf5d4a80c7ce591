"""Reading a JSON Web Token in compact form (RFC 7515 §7.1, RFC 7519): strictly, bounded, and without believing it.

What comes out is well formed, no more; `issuers.py` decides whether it is true. Anything that two readers could read
differently is refused: padding, stray bits, duplicate members, other encodings than UTF-8.
"""

from __future__ import annotations

import binascii
import json
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import msgspec

from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError

MAX_TOKEN_BYTES = 16_384
MAX_HEADER_BYTES = 4_096  # of its text form; real ones have about 100

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# To the alphabet that `binascii` reads; what is in none becomes the foreigner.
_FOREIGNER = b"!"
_TO_STANDARD = bytes(byte if byte in _ALPHABET else _FOREIGNER[0] for byte in range(256)).translate(
    bytes.maketrans(b"-_", b"+/")
)
# By length modulo 4: the characters that may come last (all others have bits that decode to nothing), and the padding.
_ENDINGS = {0: (_ALPHABET, b""), 2: (b"AQgw", b"=="), 3: (b"AEIMQUYcgkosw048", b"=")}
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})


class Header(NamedTuple):
    """What the token says of its signature: claims of a stranger, to be held against our own keys."""

    algorithm: str
    key_id: str | None
    kind: str = "jwt"  # `typ` in lower case


class Token(NamedTuple):
    """A well-formed token; `signed` is the text that the signature covers."""

    header: Header
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def parse(token: bytes) -> Token:
    """The parts of a token; raises TokenError with the reason for anything but a well-formed one."""
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError(refusals.SIZE)
    parts = token.split(b".")
    if len(parts) != 3:
        raise TokenError(refusals.MALFORMED)
    head, payload, signature = parts
    if len(head) > MAX_HEADER_BYTES:
        raise TokenError(refusals.SIZE)
    header = _read_header(head)
    return Token(header, read_object(payload), token[: len(head) + 1 + len(payload)], decode_base64url(signature))


# Tokens of one issuer share their header, byte for byte: 64 of at most 4 KiB are kept.
@lru_cache(maxsize=64)
def _read_header(part: bytes) -> Header:
    """Keys and addresses that a header brings along (`jwk`, `jku`, `x5c`, `x5u`) are not even looked at."""
    header = read_object(part)
    if "crit" in header or "b64" in header:
        raise TokenError(refusals.CRITICAL)
    algorithm = header.get("alg")
    key_id = header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None):
        raise TokenError(refusals.MALFORMED)
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenError(refusals.TYPE)
    return Header(algorithm, key_id, kind.lower())


def decode_base64url(text: bytes) -> bytes:
    """RFC 4648 §5 without padding, in the one canonical spelling; raises TokenError on any other."""
    ending = _ENDINGS.get(len(text) % 4)
    standard = text.translate(_TO_STANDARD)
    if not text or ending is None or text[-1] not in ending[0] or _FOREIGNER in standard:
        raise TokenError(refusals.MALFORMED)
    return binascii.a2b_base64(standard + ending[1])


def read_object(part: bytes) -> dict[str, Any]:
    """The members of a part; raises TokenError for what is no JSON object, or one that two readers could read differently."""
    data = decode_base64url(part)
    value = read_plain(data)
    return read_closely(data) if value is None else value


def read_plain(data: bytes) -> dict[str, Any] | None:
    """An object that is written as msgspec would write it, blanks aside; None for all that needs a closer look.

    Text that comes out again as it went in has lost nothing: had a member stood twice, the text would be shorter by one. Nor has
    it escapes that were resolved, or numbers that were rounded. Blanks neither part nor join anything in what is JSON.
    """
    try:
        value = _decode(data)
        same = _encode(value).translate(None, b" ") == data.translate(None, b" ")
    except (ValueError, RecursionError):
        return None
    return value if same and type(value) is dict else None


def read_closely(data: bytes) -> dict[str, Any]:
    value: object
    try:
        text = data.decode()
        value = _decoder.decode(text)
        if b"\\u" in data:
            # An escaped half of a surrogate pair is no text: it could be neither logged nor sent on.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise TokenError(refusals.MALFORMED) from None
    if type(value) is not dict:
        raise TokenError(refusals.MALFORMED)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
