"""The identity provider of the example: publishes metadata and keys, gives known clients access tokens (RFC 6749 §4.4, RFC 9068).

It stands for the one you have. It keeps nothing on disk: every start makes a new key.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

AUDIENCE = "https://library.example.com"
LIFETIME_SECONDS = 600
MAX_BODY_BYTES = 4_096
NUMBER_BYTES = 32

# Name: (secret, scopes it may have).
CLIENTS = {
    "reader": ("reader-secret", {"books:read"}),
    "librarian": ("librarian-secret", {"books:read", "books:write"}),
}


class Issuer(ThreadingHTTPServer):
    """Listens on a loopback port; 0 lets the system choose."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.name = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_id = secrets.token_hex(4)

    def token(self, client: str, scopes: set[str]) -> str:
        now = int(time.time())
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.key_id}
        claims = {
            "iss": self.name,
            "sub": client,
            "client_id": client,
            "aud": AUDIENCE,
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "jti": secrets.token_hex(8),
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        numbers = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(b''.join(_bytes(number) for number in numbers))}"

    def pages(self) -> dict[str, Any]:
        point = self.key.public_key().public_numbers()
        key = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id}
        key |= {"x": _base64url(_bytes(point.x)), "y": _base64url(_bytes(point.y))}
        metadata = {"issuer": self.name, "jwks_uri": f"{self.name}/keys", "token_endpoint": f"{self.name}/token"}
        return {"/.well-known/openid-configuration": metadata, "/keys": {"keys": [key]}}


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        page = self.server.pages().get(self.path)
        self._answer(404 if page is None else 200, page or {"error": "not_found"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(min(length, MAX_BODY_BYTES)).decode("ascii", "replace"))
        name = form.get("client_id", [""])[0]
        secret, allowed = CLIENTS.get(name, ("", set()))
        given = form.get("client_secret", [""])[0]
        if self.path != "/token" or not secret or not secrets.compare_digest(secret.encode(), given.encode()):
            self._answer(401, {"error": "invalid_client"})
            return
        wanted = set(form.get("scope", [" ".join(allowed)])[0].split())
        token = self.server.token(name, wanted & allowed)
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS})

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Silent: the gateway's access log is what the example shows."""


def _bytes(number: int) -> bytes:
    return number.to_bytes(NUMBER_BYTES, "big")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    with Issuer(int(sys.argv[1]) if len(sys.argv) > 1 else 8081) as issuer:
        sys.stderr.write(f"the issuer is {issuer.name}\n")
        try:
            issuer.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)
