"""What runs inside the store, on a real one: quotas, sliding windows and bursts by its clock, poisoned values, ends of life."""

from __future__ import annotations

import pytest

from harness.services.redis import Redis
from harness.waiting import wait_until
from microgate.runtime.throttling.stores.scripts import DECIDE, GIVE_BACK, SHARE

SECOND = 1_000_000
DAY = 86_400 * SECOND


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("redis")) as server, server.client() as client:
        yield client


@pytest.fixture(autouse=True)
def _empty(client):
    client.flushall()


def _decide(client, *limits):
    """`limits` are (key, kind, limit, span in microseconds[, cost[, soft]]); what is left of each, and the waits."""
    words = [word for _, *rest in limits for word in (*rest, *(1, 0)[len(rest) - 3 :])]
    answer = client.eval(DECIDE.text, len(limits), *(one[0] for one in limits), *words)
    return answer[::2], answer[1::2]


def _lefts(client, *limits, count):
    return [_decide(client, *limits)[0] for _ in range(count)]


def test_a_quota_admits_exactly_its_count(client):
    assert _lefts(client, ("k", "f", 3, DAY), count=5) == [[2], [1], [0], [-1], [-1]]
    wait_ms = _decide(client, ("k", "f", 3, DAY))[1][0]
    assert 0 < wait_ms <= 86_400_000


def test_a_cost_is_taken_whole_or_not_at_all(client):
    assert _lefts(client, ("k", "f", 5, DAY, 2), count=3) == [[3], [1], [-1]]
    assert _lefts(client, ("k", "f", 5, DAY, 1), count=2) == [[0], [-1]]


def test_of_several_limits_all_are_taken_or_none(client):
    wide, narrow = ("wide", "f", 10, DAY), ("narrow", "f", 2, DAY)
    assert _lefts(client, wide, narrow, count=5) == [[9, 1], [8, 0], [7, -1], [7, -1], [7, -1]]
    assert _decide(client, wide)[0] == [7]


def test_what_refuses_nobody_holds_up_no_other(client):
    hard, soft = ("hard", "f", 3, DAY, 1, 0), ("soft", "f", 1, DAY, 1, 1)
    assert _lefts(client, hard, soft, count=4) == [[2, 0], [1, -1], [0, -1], [-1, -1]]


def test_a_new_window_begins_by_the_clock_of_the_store(client):
    number = _now(client) // SECOND
    wait_until(lambda: _now(client) // SECOND > number, "a window begins")
    assert _lefts(client, ("k", "f", 2, SECOND), count=3) == [[1], [0], [-1]]
    _admits_after_what_it_says(client, ("k", "f", 2, SECOND), 1)


def _admits_after_what_it_says(client, limit, left):
    """What is refused takes nothing, so it may be asked again and again."""
    begun = _now(client)
    wait_us = _decide(client, limit)[1][0] * 1_000
    wait_until(lambda: _decide(client, limit)[0] == [left], "there is more")
    assert wait_us - 2_000 <= _now(client) - begun <= wait_us + SECOND // 2


def _now(client):
    seconds, microseconds = client.time()
    return seconds * SECOND + microseconds


def test_a_sliding_window_weighs_the_one_before(client):
    span = 100 * DAY
    number = _now(client) // span
    rest = ((number + 1) * span - _now(client)) / span
    client.hset("k", mapping={"w": number - 1, "c": 1_000, "p": 0})
    left = _decide(client, ("k", "s", 2_000, span))[0][0]
    assert left == pytest.approx(2_000 - 1 - 1_000 * rest, abs=2)
    client.hset("full", mapping={"w": number - 1, "c": 2_000, "p": 0})
    left, wait = _decide(client, ("full", "s", int(2_000 * rest) - 10, span))
    assert left == [-1]
    assert wait[0] > 0


def test_a_burst_is_a_bucket_that_fills_evenly(client):
    bucket = ("k", "b", 3, 200_000)
    assert _lefts(client, bucket, count=4) == [[2], [1], [0], [-1]]
    assert 0 < _decide(client, bucket)[1][0] <= 200
    _admits_after_what_it_says(client, bucket, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"w": "x", "c": "y", "p": "z"},
        {"w": -1, "c": -5, "p": -5},
        {"w": "1e300", "c": "nan", "p": "inf"},
        {"w": 99_999_999, "c": 5, "p": 5},
        {"other": 1},
    ],
)
@pytest.mark.parametrize("kind", ["f", "s", "b"])
def test_poisoned_fields_count_for_nothing(client, fields, kind):
    client.hset("k", mapping=fields)
    assert _lefts(client, ("k", kind, 3, DAY), count=4) == [[2], [1], [0], [-1]]


@pytest.mark.parametrize("kind", ["f", "s", "b"])
@pytest.mark.parametrize("value", ["text", "9" * 40, "-1"])
def test_a_key_that_holds_something_else_is_begun_anew(client, value, kind):
    client.set("k", value)
    assert _lefts(client, ("k", kind, 3, DAY), count=4) == [[2], [1], [0], [-1]]


@pytest.mark.parametrize("kind", ["f", "s"])
def test_a_poisoned_count_refuses_until_its_window_ends_and_no_longer(client, kind):
    number = _now(client) // SECOND
    client.hset("k", mapping={"w": number, "c": "9e15", "p": "9e15"})
    assert _decide(client, ("k", kind, 3, SECOND))[0] == [-1]
    client.hset("k", mapping={"w": number - 3, "c": "9e15", "p": "9e15"})
    assert _decide(client, ("k", kind, 3, SECOND))[0] == [2]


def test_a_full_bucket_is_at_most_full(client):
    client.hset("k", mapping={"c": "9000000000000000"})
    left, wait = _decide(client, ("k", "b", 3, SECOND))
    assert left == [-1]
    assert wait[0] <= 1_000


def test_a_clock_that_steps_back_gives_nothing_away(client):
    number = _now(client) // DAY
    client.hset("k", mapping={"w": number + 1, "c": 3, "p": 0})
    assert _decide(client, ("k", "f", 3, DAY))[0] == [-1]


def test_what_was_taken_can_be_given_back(client):
    quota, bucket = ("k", "f", 1, DAY), ("b", "b", 1, DAY)
    for limit in (quota, bucket):
        assert _lefts(client, limit, count=2) == [[0], [-1]]
        key, kind, count, span = limit
        client.eval(GIVE_BACK.text, 1, key, kind, count, span, 1, 0)
        assert _decide(client, limit)[0] == [0]


def test_nothing_stays_for_ever(client):
    _decide(client, ("f", "f", 3, SECOND), ("s", "s", 3, SECOND), ("b", "b", 3, SECOND))
    client.eval(SHARE.text, 1, "share", "node", 1, 2_000)
    ends = {key: client.pttl(key) for key in client.scan_iter()}
    assert len(ends) == 4
    assert all(0 < life_ms <= 4_001 for life_ms in ends.values())


def test_a_count_replaces_the_one_before_and_answers_what_others_have(client):
    def share(name, count):
        return client.eval(SHARE.text, 1, "k", name, count, 60_000)

    assert [share("a", 5), share("b", 7), share("a", 6), share("b", 7), share("c", 0)] == [0, 5, 7, 6, 13]
    client.hset("k", mapping={"x": "text", "y": -50, "z": "nan", "u": "inf", "v": "1e300"})
    assert share("a", 6) == 7
    client.set("k", "text")
    assert [share("a", 6), share("b", 7)] == [0, 6]
    client.flushall()
    assert [share("a", 6), share("b", 7), share("a", 8)] == [0, 6, 7]
