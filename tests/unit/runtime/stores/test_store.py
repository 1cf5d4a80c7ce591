"""A store that misbehaves costs one bounded wait and is told of once; then nobody waits until it is back."""

from __future__ import annotations

import asyncio
import time

import pytest

from harness.lying_store import LyingStore
from microgate.runtime.stores.addresses import read_place
from microgate.runtime.stores.line import StoreError
from microgate.runtime.stores.store import Script, Store

WAIT_S = 0.05
SLACK_S = 0.5  # of a busy machine
SCRIPT = Script("return 1")


def _run(server, test, *, cluster=False, wait_s=WAIT_S):
    """What `test(store)` gives, and what was told of changes."""
    told = []

    async def live():
        store = Store(read_place((server.url,), cluster=cluster), wait_s, None, lambda up, why: told.append((up, why)))
        try:
            return await asyncio.wait_for(test(store), 10)
        finally:
            store.close()

    return asyncio.run(live()), told


async def _ask(store):
    """How the call ends, and the seconds that took."""
    begun = time.monotonic()
    try:
        ended = await store.run(SCRIPT, [b"key"], [])
    except StoreError as error:
        ended = str(error)
    return ended, time.monotonic() - begun


async def _ask_twice(store):
    first, taken = await _ask(store)
    second, again = await _ask(store)
    assert second == "it is not in use"
    assert again < WAIT_S
    assert taken < WAIT_S + SLACK_S
    return first


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "it gives no answer in time"),
        (b":", "it gives no answer in time"),
        (b"$10\r\nabc", "it gives no answer in time"),
        (b"SSH-2.0-OpenSSH\r\n", "it answers with garbage"),
        (b"$99999999999\r\n", "it answers with garbage"),
        (b":1\r\n:1\r\n:1\r\n", None),  # good, and then too much
        (None, "the connection ended"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "it is loading its data"),
        (b"-READONLY You can't write against a read only replica.\r\n", "it is a replica, which cannot count"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "its cluster is down"),
        (b"-NOAUTH Authentication required.\r\n", "it asks for a password"),
        (b"-MOVED 1 10.0.0.1:1\r\n", "it is a node of a cluster, and the settings do not say so"),
        (b"-NOSCRIPT no\r\n", "it gives no answer in time"),
        (b"-\x1b[31m hush\r\n", "it answers with an error (unknown)"),
        (b"-ERR hush hush\r\n", "it answers with an error (ERR)"),
    ],
)
def test_a_bad_answer_takes_it_out_of_use_and_is_told_once(answer, why):
    with LyingStore(lambda _: answer) as server:
        if why is None:
            first, _ = _run(server, _ask)
            assert first[0] == 1
            return
        first, told = _run(server, _ask_twice)
    assert first == why
    assert told[:2] == [(True, ""), (False, why)]
    assert len(told) == 2


@pytest.mark.parametrize(
    ("greeting", "why"),
    [
        (b"-WRONGPASS invalid\r\n", "it refuses user and password"),
        (b"-ERR invalid password\r\n", "it refuses user and password"),
        (b"-LOADING\r\n", "it is loading its data"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers with garbage"),
    ],
)
def test_one_that_lets_nobody_in_is_told_once(greeting, why):
    with LyingStore(lambda _: b":1\r\n", greeting) as server:
        _, told = _run(server, _ask)
    assert told == [(False, why)]


def test_one_that_nobody_listens_for_is_told_once():
    with LyingStore(lambda _: b":1\r\n") as server:
        pass
    (ended, _), told = _run(server, _ask)
    assert ended == "no connection" or "no connection to 127.0.0.1" in ended
    assert len(told) == 1
    assert not told[0][0]


def test_all_who_wait_for_a_slow_one_wait_once():
    async def ask(store):
        await store.run(SCRIPT, [b"key"], [])
        server.pause_s = 3.0
        begun = time.monotonic()
        ended = await asyncio.gather(*(_ask(store) for _ in range(500)))
        assert time.monotonic() - begun < WAIT_S + SLACK_S
        return {one for one, _ in ended}

    with LyingStore(lambda _: b":1\r\n") as server:
        reasons, told = _run(server, ask)
    assert reasons <= {"it gives no answer in time", "it is not in use"}
    assert [up for up, _ in told] == [True, False]


def test_it_comes_back_by_itself():
    answers = [b"$1\r\n"]

    async def ask(store):
        first, _ = await _ask(store)
        answers[0] = b":5\r\n"
        until = time.monotonic() + 5
        while (found := (await _ask(store))[0]) != 5:
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
        return first, found

    with LyingStore(lambda _: answers[0]) as server:
        found, told = _run(server, ask)
    assert found == ("it gives no answer in time", 5)
    assert [up for up, _ in told] == [True, False, True]


def test_answers_belong_to_their_questions_though_many_ask_at_once():
    def echo(command):
        words = command.split(b"\r\n")
        return b":%b\r\n" % words[-2]

    async def ask(store):
        await store.run(SCRIPT, [b"key"], [b"0"])
        return await asyncio.gather(*(store.run(SCRIPT, [b"key"], [b"%d" % number]) for number in range(50)))

    with LyingStore(echo) as server:
        found, _ = _run(server, ask, wait_s=2.0)
    assert found == list(range(50))


def test_a_cluster_that_sends_round_in_circles_is_left():
    def answer(command):
        if b"SLOTS" in command:
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % server.port
        return b"-MOVED 12182 127.0.0.1:%d\r\n" % server.port

    with LyingStore(answer) as server:
        (ended, taken), told = _run(server, _ask, cluster=True)
    assert ended == "it gives no answer in time"
    assert taken < WAIT_S + SLACK_S
    assert [up for up, _ in told] == [True, False]
    assert server.connections < 5


def test_a_cluster_without_slots_is_told():
    with LyingStore(lambda _: b"*0\r\n") as server:
        _, told = _run(server, _ask, cluster=True)
    assert told == [(False, "it does not tell its slots")]
