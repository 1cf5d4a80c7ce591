"""`store: strict`: several gateways admit together exactly what the policy allows, over TLS, in a cluster, under a flood."""

from __future__ import annotations

import shutil
import time

import pytest

from harness.services.redis import Redis
from harness.shared_limits import Flood, start, start_layered, statuses, token, uses_nothing_up
from harness.waiting import holds_for, wait_until

QUOTA = "{count: 7, unitTime: 1, timeUnit: day, store: strict}"


PROGRAMS = [name for name in ("redis-server", "valkey-server") if shutil.which(name)]


@pytest.fixture(params=PROGRAMS or ["redis-server"])
def store(request, tmp_path):
    with Redis(tmp_path / "store", password="open sesame", program=request.param) as server:
        yield server


def test_two_gateways_share_a_quota_exactly(store, gateway):
    first, second = (start(gateway, QUOTA, [store.url]) for _ in range(2))
    found = statuses(first, 4) + statuses(second, 6)
    assert found == [200] * 7 + [429] * 3
    with first.connect() as client:
        refused = client.get("/shop/a", token())
    assert refused.fault == 900802
    assert 1 <= int(refused.header("Retry-After")) <= 86_400
    assert refused.header("RateLimit").startswith('"Shared";r=0;t=')
    assert "limit_store_decisions_total 5" in first.metrics()
    with store.client() as client:
        assert all(client.pttl(key) > 0 for key in client.scan_iter())
    assert "sesame" not in first.output + second.output


def test_what_one_limit_refuses_uses_no_other_up(store, gateway):
    uses_nothing_up(start_layered(gateway, [store.url]))


def test_sliding_windows_and_bursts_are_shared_too(store, gateway):
    policy = (
        "{count: 50, unitTime: 1, timeUnit: day, window: sliding, "
        "burst: {size: 4, count: 1, unitTime: 1, timeUnit: hour}, store: strict}"
    )
    first, second = (start(gateway, policy, [store.url]) for _ in range(2))
    assert statuses(first, 2) + statuses(second, 4) == [200] * 4 + [429] * 2


def test_a_user_of_its_own_may_do_with_little(tmp_path, gateway):
    rights = ["--user", "counts on >hush ~microgate:* +evalsha +eval +ping +hmget +hset +hgetall +pexpire +del +time"]
    with Redis(tmp_path / "redis", options=rights[0:1] + rights[1].split(" ")) as server:
        running = start(gateway, QUOTA, [server.url], 'username = "counts"\npassword = "hush"\n')
        assert statuses(running, 8) == [200] * 7 + [429]


def test_over_tls_the_server_is_known_by_its_certificate(tmp_path, identity, gateway):
    with Redis(tmp_path / "redis", password="open sesame", identity=identity) as server:
        trusting = start(gateway, QUOTA, [server.url], f'caFile = "{identity.certificate_file}"\n')
        assert statuses(trusting, 8) == [200] * 7 + [429]
        stranger = start(gateway, QUOTA, [server.url])
        assert statuses(stranger, 8) == [200] * 7 + [429]  # alone
        assert "cannot be had: its certificate is not trusted" in stranger.output
        assert "cannot be had" not in trusting.output
        assert "sesame" not in trusting.output + stranger.output


def test_the_next_address_serves_where_the_first_is_away(tmp_path, gateway):
    with Redis(tmp_path / "one") as one, Redis(tmp_path / "two") as two:
        running = start(gateway, QUOTA, [one.url, two.url])
        assert statuses(running, 1) == [200]
        one.kill()
        wait_until(lambda: statuses(running, 1) and _decisions(running) >= 2, "the second serves")
        assert running.output.count("cannot be had") <= 1


def _decisions(running):
    (line,) = (
        one for one in running.metrics().splitlines() if one.startswith("microgate_limit_store_decisions_total ")
    )
    return int(line.split()[1])


def _flood(store, gateway, seconds):
    """Ten times the limit at two gateways of four workers: so many windows of a second, and what each admitted."""
    limit = 30
    policy = f"{{count: {limit}, unitTime: 1, timeUnit: sec, store: strict}}"
    # A busy machine may well need longer than a request would wait elsewhere.
    pair = [start(gateway, policy, [store.url], "waitMillis = 4000\n", workers=4) for _ in range(2)]
    for running in pair:
        statuses(running, 1)
    begun = time.time()
    with Flood(pair, 10 * limit) as flood:
        holds_for(lambda: not flood.failures, "all requests are answered", seconds=seconds)
    windows = int(time.time()) - int(begun) + 1
    assert not flood.failures
    assert set(flood.statuses) == {200, 429}
    admitted = flood.statuses[200]
    assert limit * (windows - 2) <= admitted <= limit * windows
    assert all("cannot be had" not in running.output for running in pair)


def test_case_48_at_ten_times_the_limit_no_window_admits_more(store, gateway):
    _flood(store, gateway, 2.2)


@pytest.mark.long
def test_case_48_over_ten_windows(store, gateway):
    _flood(store, gateway, 10.5)
