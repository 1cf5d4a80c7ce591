"""Opening tokens that were encrypted for the gateway (JWE, RFC 7516) and hold a signed token (RFC 7519 §5.2).

Only what is named here is opened: RSA-OAEP-256 and ECDH-ES, with AES in GCM; nothing is ever decompressed. What is inside is
verified like any other token by `issuers.py`, which imports this where the settings have a private key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from microgate.errors import KeyMaterialError
from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.tokens.compact import MAX_HEADER_BYTES, MAX_TOKEN_BYTES, decode_base64url, read_object
from microgate.runtime.security.tokens.signatures import UnusableKeyError, from_jwk

if TYPE_CHECKING:
    from collections.abc import Iterator

ENCRYPTION = Reason("auth.jwt.encryption", "the access token is not encrypted for this gateway")

RSA_BITS = range(2048, 4097)  # the upper bound is on what opening one token costs
MAX_ALIKE = 2  # the one in use and the one that is leaving: each is tried, also on what is made up
IV_BYTES = 12
TAG_BYTES = 16
_KEY_BYTES = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}
_POINT = ("crv", "x", "y")
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class _Parts(NamedTuple):
    """A token taken apart; `head` is its text, which is authenticated as it came."""

    head: bytes
    header: dict[str, Any]
    key: bytes
    iv: bytes
    text: bytes
    tag: bytes


class Decrypter:
    """The gateway's private keys. Made of `(file, PEM)` pairs; raises KeyMaterialError."""

    def __init__(self, files: list[tuple[str, bytes]]) -> None:
        self._rsa: list[rsa.RSAPrivateKey] = []
        self._ec: list[ec.EllipticCurvePrivateKey] = []
        for file, pem in files:
            key = _load(file, pem)
            if isinstance(key, rsa.RSAPrivateKey):
                self._rsa.append(key)
            else:
                self._ec.append(key)
        curves = [key.curve.name for key in self._ec]
        if len(self._rsa) > MAX_ALIKE or any(curves.count(name) > MAX_ALIKE for name in curves):
            raise KeyMaterialError(
                f"`encryptedTokenConfig.privateKeyFiles` has more than {MAX_ALIKE} keys of one kind",
                hint="each of a kind is tried on each token; keep the newest ones",
            )

    def open(self, token: bytes) -> bytes:
        """The signed token inside; raises TokenError. Every key that might open it is tried."""
        parts = _take_apart(token)
        method = parts.header["alg"]
        size = _KEY_BYTES[parts.header["enc"]]
        agreed = method == "ECDH-ES"
        keys = _agree(self._ec, parts, size) if agreed else (_unwrap(key, parts.key, size) for key in self._rsa)
        for key in keys:
            try:
                return AESGCM(key).decrypt(parts.iv, parts.text + parts.tag, parts.head)
            except InvalidTag:
                continue
        raise TokenError(ENCRYPTION)


def _load(file: str, pem: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyMaterialError(
            f"`{file}` is no PEM private key without a password",
            hint="make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        ) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size in RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        return key
    raise KeyMaterialError(
        f"tokens cannot be encrypted for the key in `{file}`",
        hint=f"RSA of {RSA_BITS.start} to {RSA_BITS.stop - 1} bits, or EC on P-256, P-384 or P-521",
    )


def _take_apart(token: bytes) -> _Parts:
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError(refusals.SIZE)
    head, key, iv, text, tag = token.split(b".")
    if len(head) > MAX_HEADER_BYTES:
        raise TokenError(refusals.SIZE)
    header = read_object(head)
    if "crit" in header or "zip" in header:
        raise TokenError(refusals.CRITICAL)
    method, encryption, content = header.get("alg"), header.get("enc"), header.get("cty", "JWT")
    if not (isinstance(method, str) and isinstance(encryption, str) and isinstance(content, str)):
        raise TokenError(refusals.MALFORMED)
    if method not in {"RSA-OAEP-256", "ECDH-ES"} or encryption not in _KEY_BYTES:
        raise TokenError(refusals.ALGORITHM)
    if content.lower().removeprefix("application/") not in {"jwt", "at+jwt"}:
        raise TokenError(refusals.TYPE)
    # An agreed key is not sent (RFC 7518 §4.6).
    if bool(key) == (method == "ECDH-ES"):
        raise TokenError(refusals.MALFORMED)
    parts = _Parts(
        head,
        header,
        decode_base64url(key) if key else b"",
        decode_base64url(iv),
        decode_base64url(text),
        decode_base64url(tag),
    )
    if len(parts.iv) != IV_BYTES or len(parts.tag) != TAG_BYTES:
        raise TokenError(refusals.MALFORMED)
    return parts


def _unwrap(key: rsa.RSAPrivateKey, wrapped: bytes, size: int) -> bytes:
    """The content key; a made-up one where it is none, so that only the tag ever says no (RFC 7516 §11.5)."""
    try:
        found = key.decrypt(wrapped, _OAEP)
    except ValueError:
        found = b""
    return found if len(found) == size else os.urandom(size)


def _agree(keys: list[ec.EllipticCurvePrivateKey], parts: _Parts, size: int) -> Iterator[bytes]:
    """RFC 7518 §4.6: the keys that ours and the sender's make together."""
    sender = parts.header.get("epk")
    if not isinstance(sender, dict) or sender.get("kty") != "EC":
        raise TokenError(refusals.MALFORMED)
    if not all(isinstance(sender.get(name), str) for name in _POINT):
        raise TokenError(refusals.MALFORMED)
    try:
        # The numbers are proved to be a point of the curve, or ours could be learned from what comes out.
        public = from_jwk({name: sender[name] for name in ("kty", *_POINT)}).key
    except UnusableKeyError:
        raise TokenError(refusals.MALFORMED) from None
    parties = b"".join(_with_length(_party(parts.header, name)) for name in ("apu", "apv"))
    information = _with_length(parts.header["enc"].encode()) + parties + (size * 8).to_bytes(4, "big")
    return (
        ConcatKDFHash(hashes.SHA256(), size, information).derive(key.exchange(ec.ECDH(), public))
        for key in keys
        if key.curve.name == public.curve.name
    )


def _party(header: dict[str, Any], name: str) -> bytes:
    value = header.get(name)
    if value is None:
        return b""
    if not isinstance(value, str):
        raise TokenError(refusals.MALFORMED)
    return decode_base64url(value.encode())


def _with_length(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
