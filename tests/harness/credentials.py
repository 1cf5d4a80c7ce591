"""Keys, certificates and tokens for tests: real ones, made once per run."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import ipaddress
import json
import ssl
import time
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://issuer.test"
KEY_ID = "test-key"


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    """The key that the test issuer signs with."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def other_key() -> rsa.RSAPrivateKey:
    """A key that nobody trusts."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey | None = None) -> bytes:
    return (
        (key or signing_key())
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mint(key: rsa.RSAPrivateKey | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A signed RS256 token of the test issuer; a claim given as None is left out."""
    now = int(time.time())
    body = {"iss": ISSUER, "sub": "tester", "iat": now, "exp": now + 600, "jti": f"{now}", **claims}
    head = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID, **(header or {})}
    signed = ".".join(
        base64url(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (head, body)
    )
    signature = (key or signing_key()).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64url(signature)}"


def bearer(**claims: Any) -> tuple[str, str]:
    """The Authorization field of a good token."""
    return ("Authorization", f"Bearer {mint(**claims)}")


class ServerIdentity:
    """A self-signed certificate for localhost: files for a server, a context for its clients."""

    def __init__(self, folder: Path, name: str = "localhost") -> None:
        self.certificate_file = folder / f"{name}.crt"
        self.private_key_file = folder / f"{name}.key"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.certificate_file.write_bytes(self_signed(key, name))
        self.private_key_file.write_bytes(private_pem(key))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.private_key_file)
        return context

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate_file))


def self_signed(key: rsa.RSAPrivateKey, name: str) -> bytes:
    """A PEM certificate for a name and 127.0.0.1, good for a day."""
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
