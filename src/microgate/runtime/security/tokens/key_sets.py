"""Reading a JSON Web Key Set (RFC 7517) as a document: which members may verify tokens, and a short form to pass on.

The steward checks what it fetched with it and sends workers the short form; workers make keys of the members in
`signatures.py`. Nothing here imports `cryptography`, so that the steward need not.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_KEYS = 200
_KEPT = ("kty", "kid", "alg", "crv", "n", "e", "x", "y")
_KINDS = frozenset({"RSA", "EC", "OKP"})


class KeySetError(Exception):
    """A document is no key set; the message says why, to follow "the key set ..."."""


def read(document: bytes) -> list[dict[str, Any]]:
    """The members that may verify tokens, with what that takes; raises KeySetError.

    Left out are shared secrets, members for encryption, members of unknown kinds, and all private parts.
    """
    try:
        value = msgspec.json.decode(document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise KeySetError("is not JSON") from None
    members = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(members, list):
        raise KeySetError("has no list `keys`")
    if len(members) > MAX_KEYS:
        raise KeySetError(f"has more than {MAX_KEYS} keys")
    usable = [{name: member[name] for name in _KEPT if name in member} for member in members if _may_verify(member)]
    if not usable:
        raise KeySetError("has no key that can verify a token")
    return usable


def shorten(document: bytes) -> bytes:
    """A key set with the usable members alone; raises KeySetError."""
    return msgspec.json.encode({"keys": read(document)})


def _may_verify(member: object) -> bool:
    if not isinstance(member, dict) or not all(isinstance(member.get(name, ""), str) for name in _KEPT):
        return False
    operations = member.get("key_ops")
    return (
        member.get("kty") in _KINDS
        and member.get("use", "sig") == "sig"
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )
