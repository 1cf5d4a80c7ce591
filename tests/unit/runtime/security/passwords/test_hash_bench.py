"""Slow hashes beside the event loop: it turns on while they are computed, and no turn is lost."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.hash_bench import NICENESS, HashBench
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


def test_the_system_prefers_the_loop_to_who_hashes():
    async def run():
        bench = HashBench(2)
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        both = asyncio.Barrier(3)
        loop = asyncio.get_running_loop()

        def niceness():
            asyncio.run_coroutine_threadsafe(both.wait(), loop).result(5)
            return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        found = [asyncio.create_task(bench.run(ATTEMPT, niceness)) for _ in range(2)]
        await asyncio.wait_for(both.wait(), 5)
        assert await asyncio.gather(*found) == [own + NICENESS] * 2
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
        bench.close()

    asyncio.run(run())


def test_who_found_a_wrong_password_rests_and_who_found_a_right_one_does_not():
    async def run():
        bench = HashBench(1)

        def begun_after(answer):
            """The seconds from the end of a work of 0.2 s to the begin of the next."""
            ended = []

            def work():
                threading.Event().wait(0.2)
                ended.append(time.monotonic())
                return answer

            return work, ended

        for answer, least, most in ((False, 0.2, 5), (True, 0, 0.2)):
            work, ended = begun_after(answer)
            first = asyncio.create_task(bench.run(ATTEMPT, work))
            second = asyncio.create_task(bench.run(ATTEMPT, time.monotonic))
            assert await first is answer
            assert least <= await second - ended[0] < most
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
