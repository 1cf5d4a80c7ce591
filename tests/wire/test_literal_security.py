"""`security` at the wire, read literally and as one list: alternatives, what goes together, and what is open (case 11, R11)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from harness.credentials import bearer, mint, public_pem
from harness.descriptions import describe

ISSUER = "https://localhost:9095/apikey"
SCHEMES = {
    "oauth": {"type": "oauth2", "flows": {}},
    "login": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
}
PATHS = {
    "/inherited": {"get": {}},
    "/together": {"get": {"security": [{"oauth": ["a", "b"], "key": []}]}},
    "/optional": {"get": {"security": [{}, {"oauth": ["a"]}]}},
    "/empty": {"get": {"security": []}},
    "/kept": {"get": {"security": [], "x-wso2-disable-security": False}},
}


def api(reading):
    return describe(
        PATHS,
        secured=True,
        x_microgate_security=reading,
        security=[{"oauth": ["read"]}, {"login": []}, {"key": []}],
        components={"securitySchemes": SCHEMES},
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    key = tmp_path_factory.mktemp("keys") / "key.pem"
    key.write_bytes(public_pem())
    digest = hashlib.sha256(b"secret").hexdigest()
    return f'[b7a.users.ann]\npassword = "@sha256:{{{digest}}}"\n[apikey.tokenConfigs]\ncertificateFile = "{key}"\n'


def login(password="secret"):
    return "Authorization", "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()


def key(**claims):
    return "X-Key", mint(**{"iss": ISSUER, "exp": None, "keytype": "PRODUCTION", **claims})


def asked(client, path, *fields):
    answer = client.request("GET", path, fields)
    return answer.status, answer.fault


def scoped(*scopes):
    return bearer(scope=" ".join(scopes))


def test_case_11_any_alternative_suffices_with_its_own_scopes(shared_pair, settings):
    pair = shared_pair((api("literal"),), settings)
    with pair.gateway.connect() as client:
        assert asked(client, "/inherited", login()) == (200, None)
        assert asked(client, "/inherited", key()) == (200, None)
        assert asked(client, "/inherited", scoped("read")) == (200, None)
        assert asked(client, "/inherited", scoped("other")) == (403, 900910)
        assert asked(client, "/inherited", login("wrong"))[0] == 401
        # One that is not good does not spoil another one that is.
        assert asked(client, "/inherited", login("wrong"), key()) == (200, None)


def test_what_is_asked_for_together_is_needed_together(shared_pair, settings):
    pair = shared_pair((api("literal"),), settings)
    with pair.gateway.connect() as client:
        assert asked(client, "/together", scoped("a", "b"), key()) == (200, None)
        for fields in ([], [scoped("a", "b")], [key()], [login(), key()], [scoped("a", "b"), ("X-Key", "made.up.key")]):
            assert asked(client, "/together", *fields)[0] == 401
        assert asked(client, "/together", scoped("a"), key()) == (403, 900910)
    assert len(pair.backend.requests) == 1


def test_what_goes_together_is_one_list_as_3_x_read_it(shared_pair, settings):
    pair = shared_pair((api("wso2"),), settings)
    with pair.gateway.connect() as client:
        assert asked(client, "/together", scoped("a")) == (200, None)
        assert asked(client, "/together", key()) == (200, None)
        assert asked(client, "/together", login())[0] == 401
        assert asked(client, "/inherited", login()) == (403, 900910)


@pytest.mark.parametrize(
    ("reading", "opened"), [("literal", {"/optional", "/empty"}), ("wso2", set())], ids=["literal", "wso2"]
)
def test_r11_nothing_is_open_by_mistake(shared_pair, settings, reading, opened):
    pair = shared_pair((api(reading),), settings)
    with pair.gateway.connect() as client:
        for path in PATHS:
            assert asked(client, path)[0] == (200 if path in opened else 401), path
    assert {request.target for request in pair.backend.requests} == opened


def test_a_credential_that_is_not_good_does_not_make_its_bearer_nobody(shared_pair, settings):
    pair = shared_pair((api("literal"),), settings)
    with pair.gateway.connect() as client:
        assert asked(client, "/optional", scoped("a")) == (200, None)
        assert asked(client, "/optional", scoped("b")) == (403, 900910)
        assert asked(client, "/optional", bearer(iss="https://other.test"))[0] == 401
    assert len(pair.backend.requests) == 1


def test_a_credential_that_nobody_can_judge_does_not_make_its_bearer_nobody(shared_pair, settings):
    pair = shared_pair((api("literal"),), settings)
    with pair.gateway.connect() as client:
        for value in ("Bearer opaque", "Basic YTpi", "Negotiate YTpi", "junk"):
            assert asked(client, "/optional", ("Authorization", value))[0] == 401
        assert asked(client, "/optional")[0] == 200
    assert len(pair.backend.requests) == 1
