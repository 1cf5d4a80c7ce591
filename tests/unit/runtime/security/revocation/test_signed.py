"""Signed documents of revocations: what is not exactly right is not taken, and does not disturb what was."""

from __future__ import annotations

import json

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from harness.credentials import base64url, other_key, public_pem, signing_key
from microgate.runtime.security.revocation.feeds import FeedError
from microgate.runtime.security.revocation.feeds.signed import Feed
from microgate.settings.model import Settings
from microgate.settings.revocation import Revocation, RevocationFeed

NOW = 1_800_000_000


@pytest.fixture
def feed(tmp_path):
    file = tmp_path / "feed.pem"
    file.write_bytes(public_pem())
    configured = RevocationFeed(url="http://127.0.0.1:1/", certificate_file=str(file))
    return Feed(msgspec.structs.replace(Settings(), revocation=Revocation(feed=configured)))


def _document(key=None, header=None, **claims):
    body = {"iat": NOW, "revoked": ["one"], **claims}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", **(header or {})}, body))
    signature = (key or signing_key()).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64url(signature)}".encode()


def test_a_good_one_is_taken(feed):
    assert feed._open(_document() + b"\n", NOW) == ["one"]
    assert feed._open(_document(iat=NOW + 1, exp=NOW + 9, revoked=[]), NOW + 2) == []


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (_document(other_key()), "signature"),
        (_document(header={"alg": "none"}), "algorithm"),
        (_document(header={"alg": "HS256"}), "algorithm"),
        (_document(header={"alg": "ES256"}), "algorithm"),
        (_document(header={"alg": ["RS256"]}), "algorithm"),
        (_document(header={"crit": ["exp"]}), "extension"),
        (_document(header={"b64": False}), "extension"),
        (_document(iat=NOW - 3_600), "older"),
        (_document(iat=None), "when it was made"),
        (_document(iat="now"), "when it was made"),
        (_document(exp=NOW - 1), "is over"),
        (_document(exp=None), "when it was made"),
        (_document(revoked="one"), "no list"),
        (_document()[:-8] + b"AAAAAAAA", "signature"),
        (_document().rpartition(b".")[0] + b".", "no signed one"),
        (_document() + b"=", "no signed one"),
        (b"a.b", "no signed one"),
        (b"e30.e30.e30", "algorithm"),
        (b"W10.W10.W10", "no signed one"),
        (b"\xff\xfe", "no signed one"),
        (b"", "no signed one"),
    ],
)
def test_any_other_is_refused_and_changes_nothing(feed, document, why):
    feed._open(_document(), NOW)
    with pytest.raises(FeedError, match=why):
        feed._open(document, NOW)
    assert feed._open(_document(), NOW) == ["one"]
