"""Clients whose tokens are bound to a key: they make proofs of possession (DPoP), good ones and any other."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness.credentials import base64url, mint


class Holder:
    """A key on P-256, and the tokens that are bound to it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        self.jwk: dict[str, Any] = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url(numbers.x.to_bytes(32, "big")),
            "y": base64url(numbers.y.to_bytes(32, "big")),
        }

    @property
    def thumbprint(self) -> str:
        text = json.dumps(self.jwk, separators=(",", ":"), sort_keys=True)
        return base64url(hashlib.sha256(text.encode()).digest())

    def token(self, **claims: Any) -> str:
        return mint(**{"cnf": {"jkt": self.thumbprint}, **claims})

    def proof(
        self, token: str, url: str, method: str = "GET", *, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A proof for a request; a member given as None is left out."""
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk, **(header or {})}
        body = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": base64url(hashlib.sha256(token.encode()).digest()),
            **claims,
        }
        signed = ".".join(
            base64url(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (head, body)
        )
        numbers = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{base64url(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


def shown(token: str, *proofs: str) -> list[tuple[str, str]]:
    """The fields of a request with a token and its proof."""
    return [("Authorization", f"DPoP {token}"), *(("DPoP", proof) for proof in proofs)]
