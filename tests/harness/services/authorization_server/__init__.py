"""An authorization server that is not ours for tests: django-oauth-toolkit, with a database in a folder, on a port of its own.

It gives out opaque tokens, and JWTs to the client `jwt`; it introspects, revokes, renews, and publishes its keys, which change
with `rotate`. Its settings are in `site.py`.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from harness.credentials import private_pem
from harness.services import Program, free_port

SITE = "harness.services.authorization_server.site"
TESTS = Path(__file__).parents[3]
SECRET = "s3cret+of/a:client%"  # every client's, with what has to be encoded
KEY_FILE = "signing.pem"
OLD_KEY_FILE = "signing-old.pem"


class AuthorizationServer(Program):
    """`with AuthorizationServer(folder) as server:`; clients are `opaque`, `jwt`, `person` (password grant) and `gateway`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._tell(folder, KEY_FILE, new_key())
        environment = {"PYTHONPATH": str(TESTS), "DJANGO_SETTINGS_MODULE": SITE, "SITE_FOLDER": str(folder)}
        super().__init__(folder, [sys.executable, "-m", SITE, str(port)], port, environment)

    @staticmethod
    def _tell(folder: Path, file: str, key: bytes) -> None:
        (folder / file).write_bytes(key)

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/o/.well-known/jwks.json"

    @property
    def introspection_url(self) -> str:
        return f"{self.url}/o/introspect/"

    @property
    def token_url(self) -> str:
        return f"{self.url}/o/token/"

    def rotate(self) -> None:
        """Sign with a new key; the old one stays published."""
        self.stop()
        (self.folder / OLD_KEY_FILE).write_bytes((self.folder / KEY_FILE).read_bytes())
        self._tell(self.folder, KEY_FILE, new_key())
        self.start()

    def token(self, client: str = "opaque", scope: str = "read") -> str:
        """An access token of the client credentials grant."""
        return str(self._post("/o/token/", client, grant_type="client_credentials", scope=scope)["access_token"])

    def login(self, scope: str = "read") -> dict[str, Any]:
        """The answer of the password grant for alice: access and refresh token."""
        return self._post(
            "/o/token/", "person", grant_type="password", username="alice", password="wonderland", scope=scope
        )

    def revoke(self, token: str, client: str = "opaque") -> None:
        self._post("/o/revoke_token/", client, token=token)

    def _post(self, path: str, client: str, **members: str) -> dict[str, Any]:
        credentials = base64.b64encode(f"{client}:{urllib.parse.quote(SECRET, safe='')}".encode()).decode()
        request = urllib.request.Request(
            self.url + path,
            urllib.parse.urlencode(members).encode(),
            {"Authorization": f"Basic {credentials}"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            body = answer.read()
        return json.loads(body) if body else {}

    def asked(self) -> int:
        """How many introspections its log has."""
        return self.output.count('"POST /o/introspect/ ')


def new_key() -> bytes:
    return private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
