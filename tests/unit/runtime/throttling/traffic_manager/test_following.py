"""The steward's following: floods, what it complains of, and who decides for how long after it begins to hear."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.traffic_manager import following, memory
from microgate.runtime.throttling.traffic_manager.asking import NoAnswer
from microgate.runtime.throttling.traffic_manager.following import Counts, Following
from microgate.runtime.throttling.traffic_manager.memory import ALONE_UNTIL, FOREVER, Decisions, place_of


@pytest.fixture
def counted():
    return {}


@pytest.fixture
def make(counted):
    def adder(name):
        def add(count):
            counted[name] = counted.get(name, 0) + count

        return add

    async def ask(_path, _body):
        raise NoAnswer("nobody is there")

    def make(region=None):
        region = region if region is not None else memory.make_memory()
        return Following(region, ask, Counts(adder, adder)), Decisions(region)

    return make


def decision(key, **more):
    said = {"throttleKey": key, "isThrottled": True, "expiryTimeStamp": int(time.time() * 1000) + 60_000}
    return json.dumps(said | more).encode()


def test_r34_a_flood_of_messages_is_bounded_and_told_once(make, counted, caplog):
    async def flood():
        heard, seen = make()
        begun = time.perf_counter()
        for number in range(5_000):
            await heard.take(decision(f"key-{number}"), {})
            await heard.take(b"\xff" * 100, {})
            await heard.take(
                b'{"keyTemplateValue": "$userId%d", "keyTemplateState": "add", "timestamp": 1}' % number, {}
            )
        took = time.perf_counter() - begun
        assert seen.until(place_of(digest("key-4999"))) > time.time() * 1000
        return took

    with caplog.at_level("WARNING", logger="microgate.throttling"):
        took = asyncio.run(flood())
    assert counted["throttle_decisions_misread"] == 5_000
    assert counted["throttle_decisions_refused"] == 5_000 - 1_000
    assert len(caplog.records) == 2
    assert took < 20


def test_the_own_counts_hold_on_after_it_begins_to_hear(make):
    async def follow():
        heard, seen = make()
        assert seen.cells[ALONE_UNTIL] == FOREVER
        heard.listening()
        now = time.time() * 1000
        assert now < seen.cells[ALONE_UNTIL] <= now + following.SETTLE_MS
        heard.down("it is gone")
        assert seen.cells[ALONE_UNTIL] == FOREVER

    asyncio.run(follow())


def test_another_steward_goes_on_with_what_is_known(make):
    async def follow():
        region = memory.make_memory()
        heard, _ = make(region)
        await heard.take(decision("1:alice"), {})
        await heard.take(b'{"blockingCondition": "USER", "conditionValue": "mallory", "state": "true"}', {})
        writing = asyncio.create_task(heard.keep_written())
        while not region_has_rules(region):  # noqa: ASYNC110 - memory has no event
            await asyncio.sleep(0.01)
        writing.cancel()
        successor, seen = make(region)
        assert seen.until(place_of(digest("1:alice"))) > time.time() * 1000
        await successor.take(decision("/a:1_default"), {})
        writing = asyncio.create_task(successor.keep_written())
        while seen.rules()[0] < 2:  # noqa: ASYNC110 - memory has no event
            await asyncio.sleep(0.01)
        writing.cancel()
        assert b"mallory" in seen.rules()[1]

    asyncio.run(asyncio.wait_for(follow(), 10))


def region_has_rules(region):
    return Decisions(region).rules()[0] > 0
