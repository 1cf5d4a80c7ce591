"""Revocation through documents behind an address: the API manager's list (WSO2 §6.11), and a signed feed."""

from __future__ import annotations

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from harness.backend import Backend, respond
from harness.credentials import base64url, mint, other_key, public_pem, signing_key
from harness.revoking import Guarded
from harness.waiting import holds_for, wait_until


@pytest.fixture
def site():
    with Backend() as server:
        yield server


def _list(site, *entries, status="200 OK", tag=""):
    headers = (("ETag", tag),) if tag else ()
    site.scripts["/internal/data/v1/revokedjwt"] = respond(json.dumps(entries).encode(), status=status, headers=headers)


def _store(site, more=""):
    return (
        f"{more}[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\npollIntervalInMillis = 100\n"
        f'endpointURL = "{site.url}/internal/data/v1"\nusername = "ann"\npassword = "open sesame"\n'
    )


def test_the_store_of_the_api_manager_in_both_spellings(site, gateway):
    old, new, other = mint(sub="old"), mint(sub="new"), mint(sub="other")
    expiry_ms = 1000 * int(time.time() + 600)
    _list(
        site,
        {"jwt_signature": old.rpartition(".")[2], "expiry_time": expiry_ms},
        {"jwtSignature": new.rpartition(".")[2], "expiryTime": expiry_ms},
        tag='"one"',
    )
    guarded = Guarded(gateway, _store(site))
    guarded.refuses_soon(old)
    guarded.refuses_soon(new)
    assert guarded.stands(other)
    wait_until(lambda: len(site.requests) > 3, "it is read again")
    first, *_, last = site.requests
    assert first.header("authorization") == "Basic " + base64.b64encode(b"ann:open sesame").decode()
    assert last.header("if-none-match") == '"one"'


def test_a_store_that_fails_keeps_what_it_said(site, gateway):
    token = mint(jti="one")
    _list(site, "one")
    guarded = Guarded(gateway, _store(site, 'whenUnavailable = "closed"\ntoleratedOutageInMillis = 60000\n'))
    guarded.refuses_soon(token)
    for status, body in (("500 Oops", b""), ("200 OK", b"<html>"), ("200 OK", b"{}"), ("302 Found", b"")):
        count = len(site.requests)
        site.scripts["/internal/data/v1/revokedjwt"] = respond(body, status=status)
        wait_until(lambda before=count: len(site.requests) > before, "it is asked again", seconds=20)
        assert guarded.is_refused(token)
        assert guarded.stands(mint(jti="other"))
    assert guarded.gateway.output.count("cannot be had: the answer is 500") == 1


def _document(key=None, header=None, **claims):
    body = {"iat": int(time.time()), "revoked": [], **claims}
    head = {"alg": "RS256", **(header or {})}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (head, body))
    return f"{signed}.{base64url((key or signing_key()).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _feed(site, folder, more=""):
    key = folder / "feed.pem"
    key.write_bytes(public_pem())
    feed = f'[tokenRevocationConfig.feed]\nurl = "{site.url}/revoked.jws"\ncertificateFile = "{key}"\n'
    return f"{more}{feed}pollIntervalInMillis = 100\n"


def test_a_signed_feed_is_taken_and_a_forged_one_not(site, gateway, tmp_path):
    token, other = mint(jti="one"), mint(jti="two")
    site.scripts["/revoked.jws"] = respond(_document(revoked=["one"]).encode())
    guarded = Guarded(gateway, _feed(site, tmp_path))
    guarded.refuses_soon(token)
    site.scripts["/revoked.jws"] = respond(_document(other_key(), revoked=["two"]).encode())
    wait_until(lambda: "the signature of the document is not good" in guarded.gateway.output, "the forgery is told")
    assert guarded.is_refused(token)
    assert guarded.stands(other)


def test_a_signed_feed_follows_its_changes(site, gateway, tmp_path):
    token = mint(jti="one")
    site.scripts["/revoked.jws"] = respond(_document().encode())
    guarded = Guarded(gateway, _feed(site, tmp_path, 'whenUnavailable = "closed"\n'))
    wait_until(lambda: guarded.stands(token), "the feed is read")
    site.scripts["/revoked.jws"] = respond(_document(revoked=[{"jti": "one"}]).encode())
    assert guarded.refuses_soon(token) < 1.0
    holds_for(lambda: guarded.is_refused(token))


def test_a_feed_without_its_key_stops_the_start(site, gateway, tmp_path):
    settings = _feed(site, tmp_path).replace("feed.pem", "none.pem")
    with pytest.raises(AssertionError, match=r"cannot read `.*none.pem`: no such file"):
        Guarded(gateway, settings)
    with pytest.raises(AssertionError, match=r"`tokenRevocationConfig\.feed\.url` is set without"):
        Guarded(gateway, f'[tokenRevocationConfig.feed]\nurl = "{site.url}"\n')
