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


SORTED = 'setKey = "taken back"\npollIntervalInMillis = 100\n'


def test_a_set_names_what_is_revoked_and_releases_what_leaves_it(store, gateway):
    name = "taken *[back"
    settings = f'setKey = "{name}"\npollIntervalInMillis = 100\n[server]\ntimestampSkew = 0\n'
    guarded = Guarded(gateway, _settings(store) + settings)
    tokens = [mint(jti="t-0"), mint(jti="t-2499")]
    with _client(store) as client:
        assert guarded.stands(tokens[0])
        client.sadd(
            name, *(f"t-{number}" for number in range(2_500)), "é", b"\xff", "{", '{"consumer": 7}', "x" * 70_000
        )
        assert guarded.refuses_soon(tokens[0]) < 1.0
        wait_until(lambda: guarded.is_refused(tokens[-1]), "all members are read")
        assert guarded.stands(mint(jti="t-other"))
        client.sadd(name, '{"consumer": "shop"}')
        guarded.refuses_soon(mint(azp="shop"))
        client.srem(name, "t-0")
        # What lies beside it under the prefix of keys is not read.
        client.set("revoked:t-other", "", ex=600)
        assert guarded.stands(mint(jti="t-other"))
    wait_until(lambda: guarded.stands(tokens[0]), "it is released", seconds=20)
    assert guarded.is_refused(tokens[1])
    lines = [line for line in guarded.gateway.output.splitlines() if "cannot be revoked" in line]
    assert len(lines) == 1


def test_a_sorted_set_has_expiries_as_scores(store, gateway):
    now = int(time.time())
    with _client(store) as client:
        scores = {"seconds": now + 600, "milliseconds": (now + 600) * 1_000, "ever": float("inf"), "over": now - 600}
        client.zadd("taken back", scores)
        client.zadd("taken back", {json.dumps({"jti": "entry"}): now + 600})
        guarded = Guarded(gateway, _settings(store, 'whenUnavailable = "closed"\n') + SORTED)
        for token_id in ("seconds", "milliseconds", "ever", "entry"):
            wait_until(lambda one=token_id: guarded.is_refused(mint(jti=one)), "it is read")
        wait_until(lambda: guarded.stands(mint(jti="over")), "one that is over revokes nothing")
        client.zadd("taken back", {"later": now + 600})
        assert guarded.refuses_soon(mint(jti="later")) < 1.0


def test_a_set_that_is_none_is_told_and_what_it_said_stays(store, gateway):
    with _client(store) as client:
        client.sadd("taken back", "one")
        guarded = Guarded(gateway, _settings(store) + SORTED)
        guarded.refuses_soon(mint(jti="one"))
        client.delete("taken back")
        client.rpush("taken back", "two")
        wait_until(lambda: "neither a set nor a sorted set" in guarded.gateway.output, "it is told")
        assert guarded.is_refused(mint(jti="one"))
        assert guarded.stands(mint(jti="two"))


def test_a_set_larger_than_the_table_refuses_what_found_room_and_tells(store, gateway):
    with _client(store) as client:
        client.sadd("taken back", *(f"t-{number}" for number in range(9_000)))
        settings = _settings(store, "capacity = 1000\n") + SORTED
        guarded = Guarded(gateway, settings)
        wait_until(lambda: "the table of revocations is full" in guarded.gateway.output, "it is told")
    assert guarded.stands(mint(jti="other"))


def test_closed_waits_for_a_store_that_is_not_there(store, gateway):
    store.kill()
    guarded = Guarded(gateway, _settings(store, 'whenUnavailable = "closed"\n'))
    token = mint()
    assert guarded.statuses(token) == {503}
    store.start()
    wait_until(lambda: guarded.stands(token), "the store is there", seconds=20)
