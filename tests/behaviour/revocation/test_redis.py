"""Revocation through a real Redis: by channel at once, by keys after a restart of either side (case 10)."""

from __future__ import annotations

import json
import time

import pytest
from redis import Redis as Client

from harness.credentials import mint
from harness.revoking import Guarded
from harness.services.redis import Redis
from harness.waiting import wait_until


@pytest.fixture
def store(tmp_path):
    with Redis(tmp_path / "redis", password="open sesame") as server:
        yield server


def _client(store):
    return Client(port=store.port, password="open sesame")


def _settings(store, more=""):
    return f'{more}[tokenRevocationConfig.redis]\nurl = "redis://:open%20sesame@127.0.0.1:{store.port}/0"\n'


def _revoke(store, token_id):
    """As a revoker does it: kept for those who begin later, told to those who serve."""
    with _client(store) as client:
        client.set(f"revoked:{token_id}", "", ex=600)
        client.publish("revoked", json.dumps({"jti": token_id, "expires": int(time.time()) + 600}))


def test_case_10_a_message_takes_effect_within_a_second_and_outlives_both_sides(store, gateway):
    guarded = Guarded(gateway, _settings(store))
    token, other = mint(jti="one"), mint(jti="two")
    assert guarded.stands(token)
    guarded.hears_of(lambda token_id: _revoke(store, token_id))
    _revoke(store, "one")
    assert guarded.refuses_soon(token) < 1.0
    assert guarded.stands(other)
    store.kill()
    wait_until(lambda: "Redis store of revocations cannot be had" in guarded.gateway.output, "the outage is told")
    assert guarded.is_refused(token)
    assert guarded.stands(other)
    store.start()
    guarded.hears_of(lambda token_id: _revoke(store, token_id))
    assert guarded.gateway.output.count("cannot be had") == 1
    again = Guarded(gateway, _settings(store, 'whenUnavailable = "closed"\n'))
    wait_until(lambda: again.is_refused(token), "keys are read at the start")
    wait_until(lambda: again.stands(other), "all is known")
    assert "open sesame" not in guarded.gateway.output + again.gateway.output


def test_what_is_said_while_keys_are_read_is_kept(store, gateway):
    guarded = Guarded(gateway, _settings(store) + "pollIntervalInMillis = 100\n")
    tokens = [mint(jti=f"many-{number}") for number in range(5)]
    with _client(store) as client:
        for number in range(3_000):
            client.set(f"revoked:other-{number}", "", ex=600)
    guarded.hears_of(lambda token_id: _revoke(store, token_id))
    for number, token in enumerate(tokens):
        _revoke(store, f"many-{number}")
        guarded.refuses_soon(token)
    assert all(guarded.is_refused(token) for token in tokens)


def test_closed_waits_for_a_store_that_is_not_there(store, gateway):
    store.kill()
    guarded = Guarded(gateway, _settings(store, 'whenUnavailable = "closed"\n'))
    token = mint()
    assert guarded.statuses(token) == {503}
    store.start()
    wait_until(lambda: guarded.stands(token), "the store is there", seconds=20)
