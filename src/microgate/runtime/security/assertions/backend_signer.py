"""The gateway's own signing key for tokens to backends: found at the start, and published as a key set (WSO2 §6.10).

`backend_jwt.py` signs with it. Only RSA keys, because RS256 is all that the setting of 3.x offers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from microgate.errors import KeyMaterialError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

    from microgate.settings.model import Settings

MIN_BITS = 2048
SECTION = "jwtGeneratorConfig"


class Signer(NamedTuple):
    """`seal` makes a token of claims in JSON; `key_set` is what backends verify it with, b"" where nothing is signed."""

    seal: Callable[[bytes], bytes]
    key_set: bytes


def load(settings: Settings) -> Signer:
    """The signer of the settings; raises KeyMaterialError."""
    if settings.backend_jwt.signing_algorithm == "NONE":
        head = base64url(b'{"typ":"JWT","alg":"none"}')
        return Signer(lambda payload: head + b"." + base64url(payload) + b".", b"")
    key, certificate = _load_key(settings)
    members: dict[str, str] = {}
    if certificate is not None:
        from cryptography.hazmat.primitives.serialization import Encoding

        encoded = certificate.public_bytes(Encoding.DER)
        # RFC 7515 §4.1.7: of the digest itself, where 3.x encoded its hexadecimal text.
        members["x5t"] = base64url(hashlib.sha1(encoded, usedforsecurity=False).digest()).decode()
        members["x5t#S256"] = base64url(hashlib.sha256(encoded).digest()).decode()
    public = _public(key)
    header = {"typ": "JWT", "alg": "RS256", "kid": public["kid"]} | members
    return Signer(_sealer(key, base64url(_json(header))), _json({"keys": [public | members]}))


def _sealer(key: RSAPrivateKey, head: bytes) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    def seal(payload: bytes) -> bytes:
        signed = head + b"." + base64url(payload)
        return signed + b"." + base64url(key.sign(signed, PKCS1v15(), SHA256()))

    return seal


def _load_key(settings: Settings) -> tuple[RSAPrivateKey, Certificate | None]:
    """The key of the section's own file, else the listener's: of its files, or of its key store."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    own, listener = settings.backend_jwt, settings.listener
    key_file = own.private_key_file or (listener.private_key_file if listener.certificate_file else "")
    if key_file:
        certificate_file = own.certificate_file if own.private_key_file else listener.certificate_file
        place, pem, chain = f"`{key_file}`", _read(key_file), _read(certificate_file) if certificate_file else b""
    else:
        place, pem, chain = _from_store(settings)
    try:
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(chain) if chain else None
    except (ValueError, TypeError, x509.InvalidVersion):
        raise KeyMaterialError(
            f"`{SECTION}` cannot sign with {place}: it is no PEM private key that can be read, or its certificate is none",
            hint="write the key without a password, in PEM form",
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_BITS:
        raise KeyMaterialError(
            f"`{SECTION}` cannot sign with {place}: RS256 needs an RSA key of {MIN_BITS} bits or more"
        )
    if certificate is not None and certificate.public_key() != key.public_key():
        raise KeyMaterialError(f"`{SECTION}`: the certificate is not that of the key in {place}")
    return key, certificate


def _from_store(settings: Settings) -> tuple[str, bytes, bytes]:
    from microgate.runtime.security.keystore import load_key_store

    own, listener = settings.backend_jwt, settings.listener
    try:
        store = load_key_store(Path(listener.key_store_path), listener.key_store_password)
    except KeyMaterialError as error:
        hint = f"set `{SECTION}.privateKeyFile`, or give the listener a certificate of its own"
        raise KeyMaterialError(f"`{SECTION}` needs a key to sign with: {error}", hint) from None
    place = f"the key store `{listener.key_store_path}`"
    if not store.private_key:
        raise KeyMaterialError(f"`{SECTION}` cannot sign with {place}: it has no private key")
    certificate = store.certificate_chain
    if store.find("1") is None:  # its entries have names, so the one that is asked for must be there
        named = store.find(own.private_key_alias)
        if named is None or store.find(own.certificate_alias) is None:
            known = ", ".join(f"`{alias}`" for alias in sorted(store.certificates))
            message = f"`{SECTION}`: {place} has no `{own.private_key_alias}` or no `{own.certificate_alias}`"
            raise KeyMaterialError(message, f"its entries are: {known}")
        certificate = store.find(own.certificate_alias) or certificate
    return place, store.private_key, certificate


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or "not a usable path").lower()
        raise KeyMaterialError(f"`{SECTION}` cannot read `{file}`: {reason}") from None


def _public(key: RSAPrivateKey) -> dict[str, str]:
    """The key as a member of a key set; its id is the thumbprint of RFC 7638."""
    numbers = key.public_key().public_numbers()
    needed = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    thumbprint = base64url(hashlib.sha256(_json(needed)).digest()).decode()
    return needed | {"alg": "RS256", "use": "sig", "kid": thumbprint}


def _number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
