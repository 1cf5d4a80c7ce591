"""The key with which the gateway signs API keys, out of the store or the PEM files that the settings name (WSO2 §5.13).

`key_issuer.py` signs with it; `scheme.py` trusts its certificate where the settings name no other one.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from microgate.errors import KeyMaterialError
from microgate.runtime.security.keystore import load_key_store, load_pem

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.security.keystore import KeyStore
    from microgate.settings.model import Settings


class SigningKey(NamedTuple):
    """`certificate` is PEM; `header` is the first part of every token that it signs, encoded."""

    certificate: bytes
    header: bytes
    sign: Callable[[bytes], bytes]

    def token(self, claims: dict[str, Any]) -> bytes:
        """A JWT in compact form."""
        signed = self.header + b"." + _base64url(json.dumps(claims, separators=(",", ":")).encode())
        return signed + b"." + _base64url(self.sign(signed))


def load(settings: Settings) -> SigningKey:
    """The key of `apikey.issuer.tokenConfig`, else the listener's own; raises KeyMaterialError."""
    signing = settings.api_key.signing
    store = _find(settings)
    named = store.find(signing.certificate_alias)
    leaf = store.certificate_chain
    if not store.private_key or (named is not None and not leaf.startswith(named)):
        raise KeyMaterialError(
            f"the key store for API keys has no private key of `{signing.certificate_alias}`",
            "check `keyStorePath` and `certificateAlias` in [apikey.issuer.tokenConfig], or name `privateKeyFile`",
        )
    algorithm, sign = _signer(serialization.load_pem_private_key(store.private_key, None))
    header = {"alg": algorithm, "typ": "jwt", "kid": signing.certificate_alias}
    return SigningKey(leaf, _base64url(json.dumps(header, separators=(",", ":")).encode()), sign)


def _find(settings: Settings) -> KeyStore:
    signing, listener = settings.api_key.signing, settings.listener
    if signing.private_key_file or signing.certificate_file:
        if not (signing.private_key_file and signing.certificate_file):
            raise KeyMaterialError(
                "`privateKeyFile` and `certificateFile` of [apikey.issuer.tokenConfig] belong together", "set both"
            )
        return load_pem(Path(signing.certificate_file), Path(signing.private_key_file))
    if signing.key_store_path:
        return load_key_store(Path(signing.key_store_path), signing.key_store_password)
    if listener.certificate_file and listener.private_key_file:
        return load_pem(Path(listener.certificate_file), Path(listener.private_key_file))
    return load_key_store(Path(listener.key_store_path), listener.key_store_password)


def _signer(key: object) -> tuple[str, Callable[[bytes], bytes]]:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256", lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):

        def sign(data: bytes) -> bytes:
            """RFC 7518 §3.4: the two numbers side by side."""
            first, second = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
            return first.to_bytes(32, "big") + second.to_bytes(32, "big")

        return "ES256", sign
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "EdDSA", key.sign
    raise KeyMaterialError(
        "the key for API keys is of a kind that cannot sign them", "use an RSA, P-256 or Ed25519 key"
    )


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
