"""What can be revoked of a credential, as digests: the same from what a source names as from who calls.

A bare value of a source is a token, the signature of a JWT, a `jti` or the id of an API key, as WSO2 sends it (§6.11); it
needs no word for which. Consumers and subjects have digests of their own, so that no token can be mistaken for one.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.runtime.exchange import Consumer

# The orders of the curves' groups: with (r, s) of a signature (r, order - s) is as good (FIPS 186-5 §6.4).
_ORDERS = {
    64: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    96: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    132: (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
}
_LONGEST_TEXT = max(_ORDERS) * 4 // 3 + 4  # of such a signature; RSA has longer ones


def of_value(value: bytes) -> bytes:
    """Of a token, a signature, a `jti` or a key's id. A whole JWT is known by its signature, whatever else is said of it."""
    return blake2b(value.rpartition(b".")[2] if value.count(b".") == 2 else value, digest_size=16).digest()


def of_issued(issuer: str, token_id: str) -> bytes:
    """Of a `jti` of one issuer alone."""
    return _digest(b"issued", issuer, token_id)


def of_consumer(consumer_key: str) -> bytes:
    return _digest(b"consumer", consumer_key)


def of_subject(subject: str, issuer: str = "") -> bytes:
    """Of all tokens of a subject, of any issuer where none is named."""
    return _digest(b"subject", issuer, subject)


def _digest(kind: bytes, *parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(errors="replace"), digest_size=16, person=kind).digest()


def of(consumer: Consumer, credential: bytes) -> tuple[bytes, ...]:
    """All by which this caller can be revoked; a credential of no bytes has no digest of its own."""
    found = [*consumer.revocation_keys]
    if consumer.token:
        found.append(consumer.token)
    if credential:
        found.append(of_value(credential))
        mirrored = _mirrored(credential)
        if mirrored:
            found.append(of_value(mirrored))
    claims = consumer.claims
    issuer = consumer.issuer or _text(claims.get("iss"))
    token_id = _text(claims.get("jti"))
    if token_id:
        found += [of_value(token_id.encode(errors="replace")), of_issued(issuer, token_id)]
    consumer_key = consumer.consumer_key or _text(claims.get("azp")) or _text(claims.get("client_id"))
    if consumer_key:
        found.append(of_consumer(consumer_key))
    if consumer.name:
        found.append(of_subject(consumer.name))
        if issuer:
            found.append(of_subject(consumer.name, issuer))
    return tuple(dict.fromkeys(found))


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _mirrored(credential: bytes) -> bytes:
    """The other signature of a token on an elliptic curve, which its bearer can make without the key; b"" for none."""
    if credential.count(b".") != 2:
        return b""
    text = credential.rpartition(b".")[2]
    if len(text) > _LONGEST_TEXT:
        return b""
    try:
        signature = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return b""
    order = _ORDERS.get(len(signature))
    if order is None:
        return b""
    half = len(signature) // 2
    other = order - int.from_bytes(signature[half:], "big")
    if not 0 < other < order:
        return b""
    return base64.urlsafe_b64encode(signature[:half] + other.to_bytes(half, "big")).rstrip(b"=")
