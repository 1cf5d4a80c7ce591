"""A head that came before with its credential is known again: what may not be forgotten over it."""

from __future__ import annotations

import base64
import json
import time

import pytest

from harness.backend import Backend, respond
from harness.credentials import mint, public_pem
from harness.descriptions import describe
from harness.waiting import wait_until

SHA1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"  # of "password"
TIMES = 4  # a head is new, then it came before, then it is known
SCHEMES = {
    "user": {"type": "http", "scheme": "basic"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "key"},
    "token": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://id.test/t", "scopes": {}}}},
}
PATHS = {
    "/user": {"get": {"security": [{"user": []}]}},
    "/key": {"get": {"security": [{"header": []}]}, "post": {"security": [{"header": []}]}},
    "/any": {"get": {"security": [{"header": []}, {"query": []}, {"user": []}]}},
    "/opaque": {"get": {"security": [{"token": []}]}},
}
API = describe(PATHS, secured=True, title="T", components={"securitySchemes": SCHEMES})
BASIC = ("Authorization", f"Basic {base64.b64encode(b'ann:password').decode()}")
OPAQUE = ("Authorization", "Bearer opaque-1")


def signed(**claims):
    return mint(**{"iss": "https://localhost:9095/apikey", "exp": None, "keytype": "PRODUCTION", **claims})


@pytest.fixture
def issuer():
    with Backend(respond(json.dumps({"active": True, "sub": "ann", "exp": int(time.time()) + 900}).encode())) as server:
        yield server


@pytest.fixture
def start(gateway, tmp_path, issuer):
    (tmp_path / "key.pem").write_bytes(public_pem())

    def begin(users=f'[b7a.users.ann]\npassword = "{SHA1}"\n', more=""):
        settings = f"""
[apikey.tokenConfigs]
certificateFile = "{tmp_path / "key.pem"}"
[keyManager]
introspectionURL = "{issuer.url}"
{users}
{more}
"""
        return gateway(API, settings=settings)

    return begin


def statuses(client, path, *fields, count=TIMES):
    return [client.get(path, *fields).status for _ in range(count)]


def test_a_known_credential_is_good_where_its_scheme_is_taken_and_nowhere_else(start, issuer):
    key = ("X-API-Key", signed())
    good = {"/user": (BASIC,), "/key": (key,), "/any": (BASIC, key), "/opaque": (OPAQUE,)}
    with start().connect() as client:
        for _ in range(2):
            for field in (BASIC, key, OPAQUE):
                for path, taken in good.items():
                    assert set(statuses(client, path, field)) == {200 if field in taken else 401}, (path, field)
    assert len(issuer.requests) == 1


def test_one_verdict_for_a_credential_however_its_field_is_written(start, issuer):
    with start().connect() as client:
        for word in ("Bearer", "bearer", "Bearer ", "BEARER"):
            assert statuses(client, "/opaque", ("Authorization", f"{word} opaque-1")) == [200] * TIMES
    assert len(issuer.requests) == 1


def test_the_key_of_a_known_head_goes_no_further(start, backend):
    with start().connect() as client:
        key = ("x-api-KEY", signed())
        assert statuses(client, "/key", key, ("X-Other", "a")) == [200] * TIMES
        assert statuses(client, "/any?a=1", key, ("X-Other", "a")) == [200] * TIMES
        assert statuses(client, "/user", BASIC, key) == [200] * TIMES
        assert client.request("POST", "/key", [key], b"body").status == 200
    seen = backend.requests
    assert not any(request.header("x-api-key") for request in seen[: 2 * TIMES])
    assert all(request.header("x-other") == "a" for request in seen[: 2 * TIMES])
    assert all(request.header("x-api-key") == key[1] for request in seen[2 * TIMES : 3 * TIMES]), (
        "no key to this operation"
    )
    assert not seen[-1].header("x-api-key")


def test_keys_in_the_query_are_told_apart_behind_one_head(start):
    with start().connect() as client:
        good, other = signed(), signed(iss="https://else.test")
        for _ in range(TIMES):
            assert statuses(client, f"/any?key={good}", count=1) == [200]
            assert statuses(client, f"/any?key={other}", count=1) == [401]
            assert statuses(client, "/any", count=1) == [401]
        field = ("X-API-Key", good)
        assert statuses(client, "/any", field) == [200] * TIMES
        assert statuses(client, f"/any?key={good}", field) == [401] * TIMES, "two keys"
        assert statuses(client, "/any?x=1", field) == [200] * TIMES
        assert statuses(client, "/key", field, field) == [401] * TIMES, "two keys"


def test_where_a_request_comes_from_is_looked_at_each_time(start):
    with start().connect() as client:
        bound = ("X-API-Key", signed(permittedReferer="www.shop.test/*"))
        page = ("Referer", "https://www.shop.test/cart")
        for _ in range(2):
            assert statuses(client, "/key", bound, page) == [200] * TIMES
            assert statuses(client, "/key", bound) == [403] * TIMES
        assert statuses(client, "/key", ("X-API-Key", signed(permittedIP="10.1.1.1"))) == [403] * TIMES


def test_a_known_key_ends_at_its_moment(start):
    with start(more="[server]\ntimestampSkew = 0\n").connect() as client:
        key = ("X-API-Key", signed(exp=int(time.time()) + 2))
        assert statuses(client, "/key", key) == [200] * TIMES
        wait_until(lambda: statuses(client, "/key", key, count=1) == [401], "it is over", seconds=5)


def test_a_known_user_leaves_with_the_store(start, tmp_path):
    users = tmp_path / "users"
    users.write_text(f"ann:{{SHA}}{base64.b64encode(bytes.fromhex(SHA1)).decode()}\n")
    with start(f"[[userStore]]\ntype = 'htpasswd'\nfile = '{users}'\n").connect() as client:
        assert statuses(client, "/user", BASIC) == [200] * TIMES
        users.write_text("")
        wait_until(lambda: statuses(client, "/user", BASIC, count=1) == [401], "ann is out", seconds=5)
