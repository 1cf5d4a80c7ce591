"""The development key pairs of this user: they sign the tokens of `microgate token`, and `run --dev` trusts them. They live in
the user's state folder, readable by the user alone, and never in a project or an artefact.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from microgate.cli.state import state_folder
from microgate.errors import KeyMaterialError

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUER = "microgate-development"
ALGORITHMS = ("RS256", "ES256")
KEY_SET = "development-keys.json"

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def key_set_file() -> Path:
    """The file with the public halves, as a JSON Web Key Set; keys are made where there are none. Raises KeyMaterialError."""
    folder = state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        public = [_public(algorithm, _private_key(folder, algorithm)) for algorithm in ALGORITHMS]
        file = folder / KEY_SET
        content = json.dumps({"keys": public}, indent=2, sort_keys=True).encode()
        if not file.is_file() or file.read_bytes() != content:
            _put(file, content, Path.replace)
    except OSError as error:
        raise KeyMaterialError(
            f"{folder}: development keys cannot be kept there: {error.strerror or error}",
            "set XDG_STATE_HOME to a folder that you can write to",
        ) from error
    return file


def sign(claims: dict[str, Any], algorithm: str) -> str:
    """A JWT with these claims in the compact form. Raises KeyMaterialError."""
    key_set_file()
    key = _private_key(state_folder(), algorithm)
    header = {"alg": algorithm, "kid": _public(algorithm, key)["kid"], "typ": "JWT"}
    signed = ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{signed}.{_base64url(_signature(key, signed.encode()))}"


def _private_key(folder: Path, algorithm: str) -> _Key:
    file = folder / f"development-{algorithm.lower()}.pem"
    if not file.exists():
        # Linked, not renamed, into place: of two processes that both make a key, one wins and both use it.
        with contextlib.suppress(FileExistsError):
            _put(file, _generate(algorithm), _link)
    if os.name != "nt" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise KeyMaterialError(
            f"{file}: others can read this private key", f"chmod 600 {file}, or delete it to get a new one"
        )
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyMaterialError(f"{file}: is not a private key", "delete it to get a new one") from error
    if not isinstance(key, rsa.RSAPrivateKey if algorithm == "RS256" else ec.EllipticCurvePrivateKey):
        raise KeyMaterialError(f"{file}: is not a key for {algorithm}", "delete it to get a new one")
    return key


def _generate(algorithm: str) -> bytes:
    key: _Key
    if algorithm == "RS256":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _put(file: Path, content: bytes, into_place: Callable[[Path, Path], object]) -> None:
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        into_place(unfinished, file)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _link(unfinished: Path, file: Path) -> None:
    file.hardlink_to(unfinished)


def _public(algorithm: str, key: _Key) -> dict[str, str]:
    """The public half as a JSON Web Key (RFC 7517); its id is its thumbprint (RFC 7638)."""
    members: dict[str, str]
    if isinstance(key, rsa.RSAPrivateKey):
        rsa_numbers = key.public_key().public_numbers()
        members = {"e": _number(rsa_numbers.e), "kty": "RSA", "n": _number(rsa_numbers.n)}
    else:
        numbers = key.public_key().public_numbers()
        members = {"crv": "P-256", "kty": "EC", "x": _number(numbers.x, 32), "y": _number(numbers.y, 32)}
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**members, "alg": algorithm, "use": "sig", "kid": _base64url(thumbprint)}


def _signature(key: _Key, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _number(value: int, length: int = 0) -> str:
    return _base64url(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
