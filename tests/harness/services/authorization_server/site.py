"""The settings and the start of the authorization server: a Django site with nothing but django-oauth-toolkit.

Run as a module with a port; `SITE_FOLDER` has the database and the keys.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("SITE_FOLDER", "."))
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "harness.services.authorization_server.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / "site.sqlite")}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
_keys = [file.read_text() for name in ("signing.pem", "signing-old.pem") if (file := FOLDER / name).exists()]
OAUTH2_PROVIDER: dict[str, Any] = {
    "SCOPES": {"read": "", "write": "", "introspection": ""},
    "OIDC_ENABLED": True,
    "OIDC_ISS_ENDPOINT": "https://issuer.test",
    "OIDC_RSA_PRIVATE_KEY": _keys[0] if _keys else "",
    "OIDC_RSA_PRIVATE_KEYS_INACTIVE": _keys[1:],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
    "ACCESS_TOKEN_GENERATOR": "harness.services.authorization_server.site.access_token",
}
CLIENTS = {"opaque": "client-credentials", "jwt": "client-credentials", "gateway": "client-credentials"}


def access_token(request: Any, **_: object) -> str:
    """A JWT signed with the server's published key for the client `jwt`, an opaque token for the others."""
    from jwcrypto import jwk, jwt
    from oauthlib.common import generate_token

    if request.client_id != "jwt":
        return str(generate_token())
    key = jwk.JWK.from_pem(_keys[0].encode())
    now = int(time.time())
    claims = {"iss": "https://issuer.test", "sub": request.client_id, "iat": now, "exp": now + 600}
    token = jwt.JWT(
        header={"alg": "RS256", "typ": "at+jwt", "kid": key.thumbprint()},
        claims=claims | {"scope": " ".join(request.scopes)},
    )
    token.make_signed_token(key)
    return str(token.serialize())


def _fill(secret: str) -> None:
    """The clients and the one user, where the database is new."""
    from django.contrib.auth import get_user_model
    from oauth2_provider.models import get_application_model

    application = get_application_model()
    if application.objects.exists():
        return
    alice = get_user_model().objects.create_user("alice", password="wonderland")
    for name, grant in {**CLIENTS, "person": "password"}.items():
        application.objects.create(
            client_id=name,
            client_secret=secret,
            client_type="confidential",
            authorization_grant_type=grant,
            name=name,
            user=alice,
        )


if __name__ == "__main__":
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    from harness.services.authorization_server import SECRET

    _fill(SECRET)
    call_command("runserver", f"127.0.0.1:{sys.argv[1]}", "--noreload", "--skip-checks")
