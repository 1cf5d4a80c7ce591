"""Revocation through a real etcd: keys of its third interface, watched, and the listing of its second as under 3.x."""

from __future__ import annotations

import base64
import json
import urllib.request

import pytest

from harness.credentials import mint
from harness.revoking import Guarded
from harness.services.etcd import Etcd
from harness.waiting import wait_until


@pytest.fixture
def store(tmp_path):
    with Etcd(tmp_path / "etcd") as server:
        yield server


def _post(store, path, question):
    body = json.dumps(question).encode()
    with urllib.request.urlopen(f"{store.url}{path}", body, timeout=5) as answer:
        return json.load(answer)


def _text(key):
    return base64.b64encode(key.encode()).decode()


def _put(store, key, value=""):
    _post(store, "/v3/kv/put", {"key": _text(key), "value": _text(value)})


def _settings(store, more="", path=""):
    return (
        f"{more}[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\n"
        f'type = "etcd"\nendpointURL = "{store.url}{path}"\n'
    )


def test_case_10_keys_are_listed_watched_and_let_go(store, gateway):
    for number in range(3):
        _put(store, f"/jti/early-{number}")
    _put(store, "/other/late")
    guarded = Guarded(gateway, "capacity = 5000\n" + _settings(store, 'whenUnavailable = "closed"\n'))
    wait_until(lambda: guarded.is_refused(mint(jti="early-2")), "the keys are read")
    token, subject, other = mint(jti="late"), mint(sub="ann"), mint(jti="other")
    assert guarded.stands(token)
    assert guarded.stands(subject)
    _put(store, "/jti/late")
    assert guarded.refuses_soon(token) < 1.0
    _put(store, "/jti/any", json.dumps({"subject": "ann"}))
    guarded.refuses_soon(subject)
    store.kill()
    wait_until(lambda: "etcd store of revocations cannot be had" in guarded.gateway.output, "the outage is told")
    assert guarded.is_refused(token)
    assert guarded.stands(other)
    store.start()
    guarded.hears_of(lambda token_id: _put(store, f"/jti/{token_id}"))
    assert guarded.gateway.output.count("cannot be had") == 1
    assert "Traceback" not in guarded.gateway.output


def test_more_keys_than_a_page_has(store, gateway):
    puts = [{"requestPut": {"key": _text(f"/jti/{number:05}"), "value": ""}} for number in range(6_000)]
    for begin in range(0, len(puts), 100):
        _post(store, "/v3/kv/txn", {"success": puts[begin : begin + 100]})
    guarded = Guarded(gateway, _settings(store))
    for token_id in ("00000", "04999", "05000", "05999"):
        guarded.refuses_soon(mint(jti=token_id))


def test_a_server_that_asks_who_is_there(store, gateway):
    _post(store, "/v3/auth/user/add", {"name": "root", "password": "toor"})
    _post(store, "/v3/auth/role/add", {"name": "root"})
    _post(store, "/v3/auth/user/grant", {"user": "root", "role": "root"})
    _put(store, "/jti/one")
    _post(store, "/v3/auth/enable", {})
    guarded = Guarded(gateway, _settings(store) + 'username = "root"\npassword = "toor"\n')
    guarded.refuses_soon(mint(jti="one"))
    refused = Guarded(gateway, _settings(store))
    wait_until(lambda: "it takes no credentials" in refused.gateway.output, "the refusal is told")


def test_the_second_interface_as_under_3x(store, gateway):
    def put(token_id):
        request = urllib.request.Request(
            f"{store.url}/v2/keys/jti/{token_id}",
            b"value=revoked&ttl=600",
            {"Content-Type": "application/x-www-form-urlencoded"},
        )
        request.method = "PUT"
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status in (200, 201)

    put("early")
    guarded = Guarded(gateway, _settings(store, path="/v2/keys/jti/"))
    guarded.refuses_soon(mint(jti="early"))
    token = mint(jti="late")
    assert guarded.stands(token)
    put("late")
    assert guarded.refuses_soon(token) < 1.0
