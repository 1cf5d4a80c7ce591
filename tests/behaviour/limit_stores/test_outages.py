"""A store of limits that goes away, comes back or talks nonsense: what happens meanwhile is as the settings say."""

from __future__ import annotations

import time

import pytest

from harness.lying_store import LyingStore
from harness.services.redis import Redis
from harness.shared_limits import API, Flood, policies, start, statuses, store_settings, token
from harness.waiting import wait_until

AWAY = "the store of limits cannot be had"
BACK = "the store of limits is back"
MEANWHILE = {"open": [200] * 9, "closed": [503] * 9, "local": [200] * 5 + [429] * 4}


@pytest.fixture
def store(tmp_path):
    with Redis(tmp_path / "redis") as server:
        yield server


def _quota(mode):
    return f"{{count: 5, unitTime: 1, timeUnit: day, store: {mode}}}"


def _down(when_down):
    return f'whenDown = "{when_down}"\n'


@pytest.mark.parametrize("when_down", ["open", "closed", "local"])
@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_while_it_is_away_the_settings_decide_and_then_it_is_exact_again(store, gateway, mode, when_down):
    store.kill()
    running = start(gateway, _quota(mode), [store.url], _down(when_down))
    wait_until(lambda: AWAY in running.output, "the outage is told")
    begun = time.monotonic()
    assert statuses(running, 9) == MEANWHILE[when_down]
    assert time.monotonic() - begun < 2.0
    store.start()
    wait_until(lambda: BACK in running.output, "it is back")
    with store.client() as client:
        client.flushall()
    found = statuses(running, 9)
    if mode == "strict":
        assert found == [200] * 5 + [429] * 4
    else:
        # Its own counts are its own: what was not counted meanwhile is still to be had.
        assert found == ([429] * 9 if when_down == "local" else [200] * 5 + [429] * 4)
    assert (running.output.count(AWAY), running.output.count(BACK)) == (1, 1)
    assert "microgate_limit_stores_away 0" in running.metrics()


def test_a_refusal_for_want_of_the_store_says_so(store, gateway):
    store.kill()
    running = start(gateway, _quota("strict"), [store.url], _down("closed"))
    wait_until(lambda: AWAY in running.output, "the outage is told")
    with running.connect() as client:
        answer = client.get("/shop/a", token())
    assert answer.status == 503
    assert answer.header("Retry-After") == "1"
    assert running.log_lines()[0]["reason"] == "throttle.store_away"


def test_what_a_gateway_let_pass_counts_on_while_it_is_alone(store, gateway):
    running = start(gateway, _quota("strict"), [store.url])
    assert statuses(running, 3) == [200] * 3
    store.kill()
    wait_until(lambda: statuses(running, 1) and AWAY in running.output, "the outage is told")
    assert statuses(running, 5)[-1] == 429


@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_killed_and_back_under_traffic_nobody_waits_and_nothing_fails(store, gateway, mode):
    policy = f"{{count: 1000000, unitTime: 1, timeUnit: day, store: {mode}}}"
    running = start(gateway, policy, [store.url], workers=2)
    statuses(running, 2)
    with Flood([running], 200) as flood:
        for _ in range(2):
            store.kill()
            wait_until(lambda: AWAY in running.output, "the outage is told")
            store.start()
            wait_until(lambda: running.output.count(BACK) == running.output.count(AWAY), "it is back")
    assert not flood.failures
    assert set(flood.statuses) == {200}
    assert running.output.count(AWAY) <= 4
    assert flood.slowest_s < 2.0


def test_connections_that_somebody_cuts_cost_nothing(store, gateway):
    running = start(
        gateway, "{count: 1000000, unitTime: 1, timeUnit: day, store: strict}", [store.url], _down("closed")
    )
    with store.client() as client:
        for _ in range(5):
            assert statuses(running, 1) == [200]
            # The admin's own connection is the only one that stays.
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.script_flush()
        assert statuses(running, 2) == [200] * 2
    assert AWAY not in running.output


NONSENSE = {
    "silence": b"",
    "half an answer": b"*2\r\n:1",
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another type": b"$3\r\nabc\r\n",
    "too few": b"*1\r\n:1\r\n",
    "huge numbers": b"*2\r\n:9223372036854775807\r\n:9223372036854775807\r\n",
    "negative numbers": b"*2\r\n:-9223372036854775807\r\n:-9223372036854775807\r\n",
    "texts for numbers": b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n",
    "an endless list": b"*60000\r\n" + b":1\r\n" * 10_000,
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "a replica": b"-READONLY You can't write against a read only replica.\r\n",
    "no script, ever": b"-NOSCRIPT No matching script.\r\n",
    "an end": None,
}


def test_nonsense_fails_no_request_and_fills_no_memory(gateway):
    now = [b""]
    with LyingStore(lambda _: now[0]) as liar:
        running = start(gateway, "{count: 1000000, unitTime: 1, timeUnit: day, store: strict}", [liar.url])
        before = running.memory_kb()
        for said in NONSENSE.values():
            now[0] = said
            assert set(statuses(running, 20)) <= {200, 429}
        now[0] = b""
        assert set(statuses(running, 20)) == {200}
        assert running.memory_kb() - before < 20_000
        assert running.output.count(AWAY) <= len(NONSENSE) + 1
        assert abs(running.output.count(AWAY) - running.output.count(BACK)) <= 1


def test_nonsense_about_other_gateways_is_bounded_too(gateway):
    now = [b""]
    with LyingStore(lambda _: now[0]) as liar:
        running = start(gateway, "{count: 1000000, unitTime: 1, timeUnit: day, store: fast}", [liar.url])
        for said in (*NONSENSE.values(), b":-1\r\n", b":9223372036854775807\r\n"):
            now[0] = said
            assert set(statuses(running, 20)) <= {200, 429}
        wait_until(lambda: statuses(running, 1) == [429], "what a store says of others is believed")


@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_a_project_that_shares_counts_needs_a_store(gateway, mode):
    with pytest.raises(AssertionError) as caught:
        gateway(API, files={"policies.yaml": policies(_quota(mode))})
    message = f"the policy `Shared` has `store: {mode}`, and `throttlingConfig.store` names no store"
    assert message in str(caught.value)
    assert "Traceback" not in str(caught.value).rpartition("does not start")[2]


@pytest.mark.parametrize("url", ["redis://:hush@127.0.0.1:port", "redis://:hush@127.0.0.1/x"])
def test_an_address_that_is_none_stops_the_start_without_its_secret(gateway, url):
    with pytest.raises(AssertionError) as caught:
        gateway(API, files={"policies.yaml": policies(_quota("strict"))}, settings=store_settings([url]))
    assert "an address of the store" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_wrong_password_is_told_without_it(tmp_path, gateway):
    with Redis(tmp_path / "redis", password="open sesame") as server:
        running = start(gateway, _quota("strict"), [f"redis://127.0.0.1:{server.port}"], 'password = "close sesame"\n')
        wait_until(lambda: AWAY in running.output, "the outage is told")
        assert "it refuses user and password; this gateway counts alone meanwhile" in running.output
        assert "sesame" not in running.output
        assert statuses(running, 6) == [200] * 5 + [429]
