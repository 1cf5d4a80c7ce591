"""Tokens over time: what a remembered verdict must not let pass, and the leeway of clocks (cases 5 and 29, R11)."""

from __future__ import annotations

import time

import pytest

from harness.credentials import bearer, mint, other_key
from harness.descriptions import describe
from harness.waiting import wait_until

API = describe({"/a": ["get"], "/b/{id}": ["get", "post", "delete"], "/c/*": ["put"]}, secured=True)


def _status(client, token):
    answer = client.get("/a", ("Authorization", f"Bearer {token}"))
    return answer.status, answer.fault


def test_case_5_a_changed_signature_is_refused_after_a_good_one(shared_pair):
    pair = shared_pair((API,), "")
    good = mint()
    head, _, signature = good.rpartition(".")
    with pair.gateway.connect() as client:
        assert _status(client, good) == (200, None)
        for position in range(0, len(signature), 7):
            other = "A" if signature[position] != "A" else "B"
            changed = f"{head}.{signature[:position]}{other}{signature[position + 1 :]}"
            assert _status(client, changed) == (401, 900901)
        assert _status(client, good) == (200, None)
    assert len(pair.backend.requests) == 2


def test_case_5_a_remembered_token_is_refused_once_it_has_expired(gateway):
    running = gateway(API, settings="[server]\ntimestampSkew = 0\n")
    token = mint(exp=int(time.time()) + 2)
    with running.connect() as client:
        assert _status(client, token) == (200, None)
        wait_until(lambda: _status(client, token) == (401, 900901), "the token expires")
        answer = client.get("/a", ("Authorization", f"Bearer {token}"))
        assert "expired" in answer.header("www-authenticate")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"exp": -20}, 200),
        ({"nbf": 20}, 200),
        ({"iat": 20}, 200),
        ({"exp": -300}, 401),
        ({"nbf": 300}, 401),
    ],
)
def test_case_29_clocks_may_differ_a_little(shared_pair, claims, status):
    pair = shared_pair((API,), "")
    now = int(time.time())
    with pair.gateway.connect() as client:
        token = mint(**{name: now + seconds for name, seconds in claims.items()})
        assert _status(client, token)[0] == status


def test_case_29_the_leeway_can_be_none(gateway):
    running = gateway(API, settings="[server]\ntimestampSkew = 0\n")
    with running.connect() as client:
        assert _status(client, mint(exp=int(time.time()) - 2))[0] == 401


def test_a_token_of_another_key_is_refused(shared_pair):
    pair = shared_pair((API,), "")
    with pair.gateway.connect() as client:
        assert _status(client, mint(other_key())) == (401, 900901)


def test_r11_every_operation_is_closed_without_credentials(shared_pair):
    pair = shared_pair((API,), "")
    with pair.gateway.connect() as client:
        for method, path in [("GET", "/a"), ("GET", "/b/1"), ("POST", "/b/1"), ("DELETE", "/b/1"), ("PUT", "/c/x/y")]:
            for headers in ([], [("Authorization", "Bearer x")], [("authorization", "bearer a.b.c")]):
                assert client.request(method, path, headers).status == 401
        assert pair.backend.bytes == 0
        assert client.request("DELETE", "/b/1", [bearer()]).status == 200


def test_weakness_02_not_before_counts_and_leeway_is_the_same_once_remembered(gateway, backend):
    running = gateway(API, settings="[server]\ntimestampSkew = 3000\n")
    with running.connect() as client:
        now = int(time.time())
        assert _status(client, mint(nbf=now + 60)) == (401, 900901)
        token = mint(exp=now - 1)
        assert _status(client, token) == (200, None)
        assert _status(client, token) == (200, None), "3.x forgot the leeway for what it remembered"
        wait_until(lambda: _status(client, token) == (401, 900901), "the leeway passes too")


@pytest.mark.parametrize(
    "value",
    ["Notabearer {}", "Bearer{}", "XBearer {}", "Basic bearer {}", "Digest basic={}", "{} Bearer", "Bearer, {}"],
)
def test_weakness_06_a_scheme_is_a_word_and_no_part_of_one(shared_pair, value):
    pair = shared_pair((API,), "")
    with pair.gateway.connect() as client:
        assert client.get("/a", ("Authorization", value.format(mint()))).status == 401
        assert client.get("/a", bearer()).status == 200
    assert len(pair.backend.requests) == 1


def test_weakness_01_an_issuer_without_a_key_stops_the_start(gateway, backend):
    with pytest.raises(AssertionError, match="has no key, so its tokens cannot be verified"):
        gateway(API, settings='[[jwtTokenConfig]]\nissuer = "https://issuer.test"\n')
