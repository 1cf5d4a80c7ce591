"""`store: fast`: gateways decide alone and hear of each other, and what they admit too much is bounded."""

from __future__ import annotations

import os
import signal
import time

import pytest

from harness.backend import respond
from harness.services.redis import Redis
from harness.shared_limits import Flood, start, statuses
from harness.waiting import holds_for, wait_until

SYNC_S = 0.1
STALE_S = 2 * SYNC_S + 0.15  # what is known of others is at most so old; the rest is for a busy machine


@pytest.fixture
def store(tmp_path):
    with Redis(tmp_path / "redis", password="open sesame") as server:
        yield server


def _quota(count, window="unitTime: 1, timeUnit: day"):
    return f"{{count: {count}, {window}, store: fast}}"


def _hears(running, others):
    """Wait until it refuses because of others; how much it has admitted until then."""
    admitted = 0

    def refused():
        nonlocal admitted
        status = statuses(running, 1)[0]
        admitted += status == 200
        return status == 429

    wait_until(refused, f"it hears of {others}")
    return admitted


@pytest.mark.parametrize("window", ["unitTime: 1, timeUnit: day", "unitTime: 1, timeUnit: day, window: sliding"])
def test_one_gateway_hears_what_another_has_admitted(store, gateway, window):
    first, second = (start(gateway, _quota(200, window), [store.url], workers=2) for _ in range(2))
    assert statuses(first, 201) == [200] * 200 + [429]
    assert _hears(second, "the first") < 100
    assert statuses(second, 3) == [429] * 3
    with store.client() as client:
        wait_until(client.keys, "counts are told")
        assert all(client.pttl(key) > 0 for key in client.scan_iter())
    assert "limit_counts_shared_total 0" not in first.metrics()
    assert "sesame" not in first.output + second.output


@pytest.mark.parametrize("harm", ["flushed", "text", "huge", "negative"])
def test_a_store_that_lost_or_garbled_its_counts_is_told_them_again(store, gateway, harm):
    first, second = (start(gateway, _quota(60), [store.url]) for _ in range(2))
    assert statuses(first, 40) == [200] * 40
    with store.client() as client:
        (key,) = wait_until(client.keys, "the count is told")
        if harm == "flushed":
            client.flushall()
        elif harm == "text":
            client.set(key, "text")
        else:
            client.hset(key, "stranger", {"huge": "9" * 30, "negative": "-50"}[harm])
        assert statuses(first, 1) == [200]
        wait_until(lambda: client.type(key) == b"hash" and b"41" in client.hvals(key), "the count is told again")
    assert _hears(second, "the first") <= 60 - 41 + 5
    assert [running.output.count("cannot be had") for running in (first, second)] == [0, 0]


def test_what_an_answer_weighs_is_known_to_all(store, gateway, backend):
    """Answers with 404 count for nothing, those with 200 for two."""
    policy = '{count: 8, unitTime: 1, timeUnit: day, weights: {"404": 0, "200": 2}, store: fast}'
    pair = [start(gateway, policy, [store.url]) for _ in range(2)]
    backend.script = respond(b"", status="404 Not Found")
    assert statuses(pair[0], 4) == [404] * 4
    wait_until(lambda: _counted(store) == 0, "what counts for nothing is given back")
    backend.script = respond(b"")
    assert statuses(pair[0], 4)[:3] == [200] * 3
    wait_until(lambda: _counted(store) in {6, 8}, "what counts for two is counted so")
    wait_until(lambda: statuses(pair[1], 1) == [429], "the other hears of it")


def _counted(store):
    """What all gateways together have counted in the one key."""
    with store.client() as client:
        (key,) = client.keys() or [b""]
        return sum(map(int, client.hvals(key)))


def test_a_count_outlives_a_dead_steward(store, gateway):
    first, second = (start(gateway, _quota(30), [store.url]) for _ in range(2))
    assert statuses(first, 20) == [200] * 20
    with store.client() as client:
        (key,) = wait_until(client.keys, "the count is told")
        before = client.hgetall(key)
        steward = min(set(first.processes()) - {first.pid})
        os.kill(steward, signal.SIGKILL)
        assert statuses(first, 5) == [200] * 5
        wait_until(lambda: b"25" in client.hvals(key), "the count goes on")
        assert set(client.hgetall(key)) == set(before)
    assert _hears(second, "the first") <= 10


def _flood(gateway, store, *, limit, window_s, seconds):
    """Ten times the limit in all windows: what was admitted, and the bound of it."""
    window = f"unitTime: {window_s}, timeUnit: sec"
    pair = [start(gateway, _quota(limit, window), [store.url], workers=4) for _ in range(2)]
    for running in pair:
        statuses(running, 1)
    rate = 10 * limit / window_s
    begun = time.time()
    with Flood(pair, rate) as flood:
        holds_for(lambda: not flood.failures, "all requests are answered", seconds=seconds)
    windows = int(time.time() / window_s) - int(begun / window_s) + 1
    assert not flood.failures
    assert set(flood.statuses) == {200, 429}
    # All that comes while nobody has heard yet, and never more than each gateway alone.
    bound = min(limit + rate * STALE_S, len(pair) * limit)
    assert limit * (windows - 2) <= flood.statuses[200] <= bound * windows + 1
    print(f"admitted {flood.by_window(window_s)}, at most {bound:.0f} of {limit} in each window")


def test_case_48_what_is_admitted_too_much_is_bounded(gateway, store):
    _flood(gateway, store, limit=100, window_s=10, seconds=2.5)


@pytest.mark.long
def test_case_48_over_ten_windows(gateway, store):
    _flood(gateway, store, limit=30, window_s=1, seconds=10.5)


@pytest.mark.long
def test_case_48_over_five_longer_windows(gateway, store):
    _flood(gateway, store, limit=100, window_s=5, seconds=20.5)
