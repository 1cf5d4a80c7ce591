"""The steward's queue of events: bounded in number and bytes, several under way, and nothing that is too old goes out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from microgate.runtime.control import ThrottleEvents
from microgate.runtime.throttling.traffic_manager import publishing
from microgate.runtime.throttling.traffic_manager.asking import NoAnswer
from microgate.runtime.throttling.traffic_manager.publishing import IN_FLIGHT, MAX_WAITING, Publishing


class Receiver:
    """What asks, and what is counted."""

    def __init__(self):
        self.is_closed = False
        self.taken = []
        self.open = asyncio.Event()
        self.counts = dict.fromkeys(("throttle_events_sent", "throttle_events_dropped", "throttle_events_failed"), 0)
        self.answer = (200, b"")

    def close(self):
        self.is_closed = True

    async def __call__(self, path, body):
        assert path == "throttleEventReceiver"
        await self.open.wait()
        self.taken.append(body)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def counter(self, name):
        def add(count):
            self.counts[name] += count

        return add


async def run(receiver, events, *, until):
    handlers = []
    hub = SimpleNamespace(workers=1, subscribe=lambda _kind, handler: handlers.append(handler))
    task = asyncio.create_task(Publishing(receiver, receiver.counter).run(hub))
    await asyncio.sleep(0)
    for begin in range(0, len(events), 100):
        handlers[0](0, ThrottleEvents(tuple(events[begin : begin + 100])))
        await asyncio.sleep(0)
    receiver.open.set()
    async with asyncio.timeout(20):
        while sum(receiver.counts.values()) < until:  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert receiver.is_closed


def test_r34_events_that_find_no_room_are_dropped_and_counted():
    async def flood():
        receiver = Receiver()
        await run(receiver, [b"%d" % number for number in range(MAX_WAITING + 1_000)], until=MAX_WAITING + 1_000)
        assert receiver.counts["throttle_events_dropped"] == 1_000 - IN_FLIGHT
        assert set(receiver.taken) == {b"%d" % number for number in range(MAX_WAITING + IN_FLIGHT)}

    asyncio.run(flood())


def test_r34_bytes_are_bounded_too(monkeypatch):
    monkeypatch.setattr(publishing, "MAX_WAITING_BYTES", 10_000)

    async def flood():
        receiver = Receiver()
        await run(receiver, [bytes(1_000)] * 50, until=50)
        assert receiver.counts["throttle_events_dropped"] >= 50 - 10 - IN_FLIGHT

    asyncio.run(flood())


def test_what_is_too_old_is_dropped(monkeypatch):
    monkeypatch.setattr(publishing, "MAX_AGE_SECONDS", -1.0)

    async def wait():
        receiver = Receiver()
        await run(receiver, [b"x"] * 5, until=5)
        assert receiver.counts["throttle_events_dropped"] == 5
        assert receiver.taken == []

    asyncio.run(wait())


@pytest.mark.parametrize("answer", [(401, b""), (500, b""), (302, b""), NoAnswer("it is gone")])
def test_what_is_refused_or_not_answered_is_not_sent_again(answer, caplog):
    async def refuse():
        receiver = Receiver()
        receiver.answer = answer
        await run(receiver, [b"x"] * 5, until=5)
        assert receiver.counts["throttle_events_failed"] == 5
        assert len(receiver.taken) == 5

    with caplog.at_level("WARNING", logger="microgate.throttling"):
        asyncio.run(refuse())
    assert len(caplog.records) == (0 if isinstance(answer, NoAnswer) else 1)
