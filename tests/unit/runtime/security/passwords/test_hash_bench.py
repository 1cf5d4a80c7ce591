"""Slow hashes beside the event loop: it turns on while they are computed, and no turn is lost."""

from __future__ import annotations

import asyncio
import threading

import pytest

from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.hash_bench import HashBench
from microgate.runtime.security.passwords.user_stores.store import Attempt
from microgate.settings.stored_passwords import read_stored

ATTEMPT = Attempt("ann", b"x", "192.0.2.1", lambda: None)


@pytest.mark.parametrize("algorithm", ["argon2id", "scrypt", "bcrypt"])
def test_the_loop_turns_while_a_slow_hash_is_computed(algorithm):
    stored = read_stored(passwords.make_stored(algorithm, b"x"))

    async def run():
        bench, turns = HashBench(1), 0
        task = asyncio.create_task(bench.matches(ATTEMPT, stored))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        bench.close()
        assert await task
        return turns

    assert asyncio.run(run()) > 100


def test_work_that_nobody_waits_for_any_more_is_finished_and_gives_its_turn_back():
    async def run():
        bench = HashBench(1)
        begun, go_on, ended = asyncio.Event(), threading.Event(), []
        loop = asyncio.get_running_loop()

        def slow():
            loop.call_soon_threadsafe(begun.set)
            assert go_on.wait(5)
            ended.append(1)

        leaver = asyncio.create_task(bench.run(ATTEMPT, slow))
        await begun.wait()
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        next_one = asyncio.create_task(bench.run(ATTEMPT, lambda: len(ended)))
        await asyncio.sleep(0)
        assert not next_one.done()
        go_on.set()
        assert await asyncio.wait_for(next_one, 5) == 1
        bench.close()

    asyncio.run(run())


def test_what_work_raises_is_raised_to_who_waits():
    async def run():
        bench = HashBench(1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await bench.run(ATTEMPT, lambda: 1 // 0)
        assert await bench.run(ATTEMPT, lambda: "good") == "good"
        bench.close()

    asyncio.run(run())
