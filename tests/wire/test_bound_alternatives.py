"""Bound tokens beside other credentials, in both readings of `security`: each alternative asks for what it says, and no
operation for what it has switched off.
"""

from __future__ import annotations

import base64
import hashlib

import pytest

from harness.credentials import bearer, mint, public_pem
from harness.descriptions import describe
from harness.proofs import Holder, shown

ISSUER = "https://localhost:9095/apikey"
SCHEMES = {
    "proved": {"type": "http", "scheme": "dpop"},
    "oauth": {"type": "oauth2", "flows": {}},
    "login": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
}


def api(reading, paths, **root):
    operations = {path: {"get": {"security": security, **more}} for path, (security, more) in paths.items()}
    return describe(
        operations, secured=True, x_microgate_security=reading, components={"securitySchemes": SCHEMES}, **root
    )


DEMANDED = {
    "/a": ([{"oauth": []}, {"login": []}, {"key": []}], {}),
    "/both": ([{"oauth": [], "key": []}, {"login": []}], {}),
    "/off": ([{"oauth": []}, {"key": []}], {"x-microgate-bound-tokens": "off"}),
    "/maybe": ([{}, {"oauth": []}], {}),
}
MIXED = {
    "/mixed": ([{"proved": []}, {"oauth": [], "key": []}, {"login": []}], {}),
    "/scoped": ([{"proved": ["a"]}, {"proved": ["b"], "key": []}], {}),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    key = tmp_path_factory.mktemp("keys") / "key.pem"
    key.write_bytes(public_pem())
    digest = hashlib.sha256(b"secret").hexdigest()
    return f'[b7a.users.ann]\npassword = "@sha256:{{{digest}}}"\n[apikey.tokenConfigs]\ncertificateFile = "{key}"\n'


LOGIN = ("Authorization", "Basic " + base64.b64encode(b"ann:secret").decode())


def key():
    return "X-Key", mint(iss=ISSUER, exp=None, keytype="PRODUCTION")


@pytest.fixture
def holder():
    return Holder()


def proved(holder, path, **claims):
    token = holder.token(**claims)
    return shown(token, holder.proof(token, f"http://gateway.test{path}"))


def asked(pair, path, *fields):
    with pair.gateway.connect() as client:
        return client.request("GET", path, fields).status


@pytest.mark.parametrize("reading", ["literal", "wso2"])
def test_only_tokens_are_asked_to_be_bound(shared_pair, settings, holder, reading):
    pair = shared_pair((api(reading, DEMANDED, x_microgate_bound_tokens="dpop"),), settings)
    assert asked(pair, "/a", LOGIN) == 200
    assert asked(pair, "/a", key()) == 200
    assert asked(pair, "/a", *proved(holder, "/a")) == 200
    assert asked(pair, "/a", bearer()) == 401
    assert asked(pair, "/a", ("Authorization", f"Bearer {holder.token()}")) == 401
    assert asked(pair, "/a") == 401
    assert len(pair.backend.requests) == 3


def test_read_literally_an_unbound_token_does_not_spoil_a_key_that_suffices(shared_pair, settings):
    pair = shared_pair((api("literal", DEMANDED, x_microgate_bound_tokens="dpop"),), settings)
    assert asked(pair, "/a", bearer(), key()) == 200
    assert asked(pair, "/a", bearer(), ("X-Key", "made.up.key")) == 401


def test_read_as_3_x_does_the_token_is_what_counts(shared_pair, settings):
    pair = shared_pair((api("wso2", DEMANDED, x_microgate_bound_tokens="dpop"),), settings)
    assert asked(pair, "/a", bearer(), key()) == 401
    assert pair.backend.requests == []


def test_read_literally_a_token_that_goes_with_a_key_must_be_bound(shared_pair, settings, holder):
    pair = shared_pair((api("literal", DEMANDED, x_microgate_bound_tokens="dpop"),), settings)
    assert asked(pair, "/both", *proved(holder, "/both"), key()) == 200
    assert asked(pair, "/both", bearer(), key()) == 401
    assert asked(pair, "/both", *proved(holder, "/both")) == 401
    assert asked(pair, "/both", LOGIN) == 200


def test_an_unbound_token_does_not_make_its_bearer_nobody(shared_pair, settings, holder):
    pair = shared_pair((api("literal", DEMANDED, x_microgate_bound_tokens="dpop"),), settings)
    assert asked(pair, "/maybe") == 200
    assert asked(pair, "/maybe", bearer()) == 401
    assert asked(pair, "/maybe", *proved(holder, "/maybe")) == 200


@pytest.mark.parametrize("reading", ["literal", "wso2"])
def test_an_operation_that_says_off_takes_any_token_and_holds_bound_ones(shared_pair, settings, holder, reading):
    pair = shared_pair((api(reading, DEMANDED, x_microgate_bound_tokens="dpop"),), settings)
    assert asked(pair, "/off", bearer()) == 200
    assert asked(pair, "/off") == 401
    assert asked(pair, "/off", ("Authorization", f"Bearer {holder.token()}")) == 401


def test_alternatives_say_by_their_schemes_which_tokens_are_bound(shared_pair, settings, holder):
    pair = shared_pair((api("literal", MIXED),), settings)
    assert asked(pair, "/mixed", *proved(holder, "/mixed")) == 200
    assert asked(pair, "/mixed", bearer()) == 401
    assert asked(pair, "/mixed", bearer(), key()) == 200
    assert asked(pair, "/mixed", LOGIN) == 200
    # A bound token is held to its key wherever it comes, and the scheme DPoP promises a bound one.
    assert asked(pair, "/mixed", ("Authorization", f"Bearer {holder.token()}"), key()) == 401
    plain = mint()
    assert asked(pair, "/mixed", *shown(plain, holder.proof(plain, "http://gateway.test/mixed")), key()) == 401
    with pair.gateway.connect() as client:
        challenge = client.get("/mixed").header("www-authenticate")
    assert "DPoP realm=" in challenge
    assert "Bearer realm=" in challenge


def test_a_proof_is_not_used_up_by_an_alternative_that_fails(shared_pair, settings, holder):
    pair = shared_pair((api("literal", MIXED),), settings)
    fields = [*proved(holder, "/scoped", scope="b"), key()]
    assert asked(pair, "/scoped", *fields) == 200
    assert asked(pair, "/scoped", *fields) == 401
