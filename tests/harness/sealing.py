"""Tokens encrypted for a gateway (JWE), by hand and without the code under test."""

from __future__ import annotations

import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from harness.minting import as_json, b64, number

SIZES = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}
CURVES = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48), "P-521": (ec.SECP521R1(), 66)}


def private_pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _lay_out(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class Sealer:
    """Encrypts by hand; `header` members of None are left out."""

    def __init__(self, key: Any, encryption: str = "A256GCM") -> None:
        self.key = key
        self.encryption = encryption

    def _content_key(self, header: dict[str, Any]) -> tuple[bytes, bytes]:
        size = SIZES.get(self.encryption, 32)
        if isinstance(self.key, rsa.RSAPrivateKey):
            content = os.urandom(size)
            oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
            header["alg"] = "RSA-OAEP-256"
            return content, self.key.public_key().encrypt(content, oaep)
        sender = ec.generate_private_key(self.key.curve)
        point = sender.public_key().public_numbers()
        name, width = next(
            (name, width) for name, (curve, width) in CURVES.items() if curve.name == self.key.curve.name
        )
        header["alg"] = "ECDH-ES"
        header["epk"] = {"kty": "EC", "crv": name, "x": number(point.x, width), "y": number(point.y, width)}
        header["apu"] = b64(b"Alice").decode()
        other = _lay_out(self.encryption.encode()) + _lay_out(b"Alice") + _lay_out(b"") + (size * 8).to_bytes(4, "big")
        shared = sender.exchange(ec.ECDH(), self.key.public_key())
        return ConcatKDFHash(hashes.SHA256(), size, other).derive(shared), b""

    def seal(self, inside: bytes, **more: Any) -> list[bytes]:
        header: dict[str, Any] = {"enc": self.encryption, "cty": "JWT"}
        content, wrapped = self._content_key(header)
        header |= more
        head = b64(as_json({name: value for name, value in header.items() if value is not None}))
        iv = os.urandom(12)
        sealed = AESGCM(content).encrypt(iv, inside, head)
        return [head, b64(wrapped), b64(iv), b64(sealed[:-16]), b64(sealed[-16:])]

    def token(self, inside: bytes, **more: Any) -> bytes:
        return b".".join(self.seal(inside, **more))
