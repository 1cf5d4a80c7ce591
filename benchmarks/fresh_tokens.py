"""Tokens that no cache can know: a scratch folder for the outside harness whose list of tokens is longer than what is remembered.

It is a copy of the harness's own with the same key and the same kind of claims, so every gateway is configured as ever. Tokens
go round; with the least recently used out first, none is there any more when its turn comes again.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

COUNT = 30_000  # three times what microgate remembers, seven times what Envoy would


def make(folder: Path, count: int = COUNT) -> Path:
    """The new scratch folder in `folder`; the harness has to have run once, so that there is one to copy."""
    old = Path(os.environ.get("BENCH_SCRATCH") or Path(tempfile.gettempdir()) / "gwbench")
    new = folder / "fresh"
    if new.exists():
        return new
    shutil.copytree(old / "fixtures", new / "fixtures")
    for name in ("venv", "npm", "floor"):  # where the harness finds programs
        if (old / name).exists():
            (new / name).symlink_to(old / name)
    key = serialization.load_pem_private_key((new / "fixtures" / "key.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    file = new / "fixtures" / "tokens.txt"
    header, payload, _ = file.read_text(encoding="ascii").split("\n", 1)[0].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    file.write_text("".join(f"{_token(key, header, claims)}\n" for _ in range(count)), encoding="ascii")
    return new


def _token(key: rsa.RSAPrivateKey, header: str, claims: dict[str, Any]) -> str:
    """A token that differs from the others all over: the load generator's Lua looks at a few places of a string to hash it."""
    words = [secrets.token_hex(8) for _ in range(6)]
    one = claims | {"sub": f"{words[0]}@bench", "jti": secrets.token_hex(16), "azp": secrets.token_urlsafe(21)}
    one["application"] = {"id": words[1], "name": words[2], "tier": "Unlimited", "owner": words[3]}
    api = {"name": "Echo", "context": "/echo/v1", "version": "v1", "subscriptionTier": "Unlimited"}
    one["subscribedAPIs"] = [{"publisher": words[4], **api, "provider": words[5]}]
    signed = f"{header}.{_base64url(json.dumps(one).encode())}"
    return f"{signed}.{_base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
