"""Thumbprints as tokens write them: of certificates (RFC 8705 §3.1), access tokens (RFC 9449 §4.2) and public keys (RFC 7638)."""

from __future__ import annotations

import binascii
import hashlib
import json

# RFC 7638 §3.2 and RFC 8037 §2: the members of a key that make its thumbprint.
_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def base64url(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(bytes.maketrans(b"+/", b"-_")).decode()


def thumbprint(data: bytes) -> str:
    """Base64url of the SHA-256."""
    return base64url(hashlib.sha256(data).digest())


def key_thumbprint(member: dict[str, object]) -> str:
    """The thumbprint of a public key, which is known to be one."""
    required = {name: member[name] for name in _MEMBERS[str(member["kty"])]}
    return thumbprint(json.dumps(required, separators=(",", ":"), sort_keys=True).encode())
