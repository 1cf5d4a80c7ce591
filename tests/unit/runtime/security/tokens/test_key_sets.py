"""Key sets as documents: which members may verify tokens, and what is no key set."""

from __future__ import annotations

import json

import pytest

from harness.minting import key_set
from microgate.runtime.security.tokens.key_sets import MAX_KEYS, KeySetError, read, shorten

RSA = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "a"}


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"use": "sig"}, True),
        ({"use": "enc"}, False),
        ({"use": 1}, False),
        ({"key_ops": ["verify"]}, True),
        ({"key_ops": ["sign", "verify"]}, True),
        ({"key_ops": ["encrypt"]}, False),
        ({"key_ops": "verify"}, False),
        ({"kty": "EC"}, True),
        ({"kty": "OKP"}, True),
        ({"kty": "oct", "k": "AAAA"}, False),
        ({"kty": "rsa"}, False),
        ({"kty": None}, False),
        ({"kty": []}, False),
        ({"kid": 1}, False),
        ({"alg": ["RS256"]}, False),
        ({"n": None}, False),
    ],
)
def test_members_for_verifying_are_kept(change, usable) -> None:
    other = {"kty": "EC", "kid": "other"}
    members = read(key_set(RSA | change, other))
    assert len(members) == 1 + usable


def test_the_short_form_has_no_private_parts_and_no_ballast() -> None:
    short = shorten(key_set(RSA | {"d": "secret", "p": "secret", "x5c": ["ballast"], "x5t": "ballast", "use": "sig"}))
    assert json.loads(short) == {"keys": [RSA]}
    assert shorten(short) == short


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "is not JSON"),
        (b"<html>", "is not JSON"),
        (b'{"keys":[' + b"[" * 100_000, "is not JSON"),
        (b'{"keys":["\xff"]}', "is not JSON"),
        (b"[]", "has no list `keys`"),
        (b"{}", "has no list `keys`"),
        (b'{"keys":{}}', "has no list `keys`"),
        (b'{"keys":[]}', "has no key that can verify a token"),
        (b'{"keys":[1,null,{}]}', "has no key that can verify a token"),
        (key_set(*[RSA] * (MAX_KEYS + 1)), f"has more than {MAX_KEYS} keys"),
    ],
)
def test_other_documents_are_refused(document, message) -> None:
    with pytest.raises(KeySetError, match=f"^{message}$"):
        read(document)
