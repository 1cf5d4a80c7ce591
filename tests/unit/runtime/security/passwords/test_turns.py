"""Fair turns: nobody waits behind a crowd of another address, and no place is lost."""

from __future__ import annotations

import asyncio

import pytest

from microgate.runtime.security.passwords.guess_limits import GuessLimit, network_of
from microgate.runtime.security.passwords.turns import MAX_WAITING, MAX_WAITING_OF_ONE, BusyError, Turns


def test_addresses_take_turns():
    async def run():
        turns, order = Turns(1), []
        await turns.take("first")

        async def wait(address):
            async with turns.turn(address):
                order.append(address)
                await asyncio.sleep(0)

        waiting = [asyncio.create_task(wait(address)) for address in ["a", "a", "a", "a", "b", "c", "c"]]
        await asyncio.sleep(0)
        turns.give_back()
        await asyncio.gather(*waiting)
        assert len(turns) == 0
        return order

    assert asyncio.run(run()) == ["a", "b", "c", "a", "c", "a", "a"]


def test_a_crowd_of_one_address_is_bounded():
    async def run():
        turns = Turns(1)
        await turns.take("a")
        waiting = [asyncio.create_task(turns.take("a")) for _ in range(MAX_WAITING_OF_ONE + 5)]
        await asyncio.sleep(0)
        assert sum(task.done() and isinstance(task.exception(), BusyError) for task in waiting) == 5
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert len(turns) == 0

    asyncio.run(run())


def test_when_all_places_are_taken_the_longest_row_gives_one_up():
    async def run():
        turns = Turns(1)
        await turns.take("a")
        rows = MAX_WAITING // MAX_WAITING_OF_ONE
        waiting = [
            asyncio.create_task(turns.take(f"row{row}")) for row in range(rows) for _ in range(MAX_WAITING_OF_ONE)
        ]
        await asyncio.sleep(0)
        assert len(turns) == MAX_WAITING
        late = asyncio.create_task(turns.take("late"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(turns) == MAX_WAITING
        assert sum(task.done() for task in waiting) == 1
        for _ in range(rows + 1):
            turns.give_back()
        await late
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize("granted", [False, True])
def test_who_leaves_takes_no_turn_along(granted):
    async def run():
        turns = Turns(1)
        await turns.take("a")
        leaver = asyncio.create_task(turns.take("b"))
        await asyncio.sleep(0)
        if granted:
            turns.give_back()
            leaver.cancel()
        else:
            leaver.cancel()
            await asyncio.sleep(0)
            turns.give_back()
        await asyncio.gather(leaver, return_exceptions=True)
        await asyncio.wait_for(turns.take("c"), 1)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("unix", "unix"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_what_counts_as_one_address(address, network):
    assert network_of(address) == network


def test_what_is_counted_is_bounded():
    limit = GuessLimit(1, 60, lambda: 1.0)
    for number in range(40_000):
        limit.count(str(number))
    assert len(limit) == 32_768
    assert limit.is_reached("39999")
    assert not limit.is_reached("0")
