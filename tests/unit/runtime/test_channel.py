"""The pairs between steward and workers: what arrives, what finds no room, and what outlives either side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from microgate.runtime import control
from microgate.runtime.channel import StewardHub, WorkerChannel, open_pairs
from microgate.runtime.control import Drain, Greeting, Hello, KeyWanted, LogLines
from microgate.runtime.event_loop import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microgate.runtime.channel import Pair


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def pairs() -> Iterator[tuple[Pair, ...]]:
    opened = open_pairs(2)
    yield opened
    for pair in opened:
        for end in pair:
            end.close()


def turn(loop: asyncio.AbstractEventLoop, done: Callable[[], object]) -> None:
    """Run the loop until something has come true."""

    async def wait() -> None:
        async with asyncio.timeout(5):
            while not done():  # noqa: ASYNC110 - a condition of the test
                await asyncio.sleep(0)

    loop.run_until_complete(wait())


def test_messages_go_both_ways_and_name_their_slot(loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...]):
    hub = StewardHub(loop, tuple(pair.steward for pair in pairs))
    channels = [WorkerChannel(loop, pair.worker) for pair in pairs]
    heard: list[object] = []
    hub.seat().subscribe(Hello, lambda slot, message: heard.append((slot, message)))
    for slot, channel in enumerate(channels):
        channel.subscribe(Greeting, lambda message, slot=slot: heard.append((f"greeted {slot}", message)))
    hub.open()
    assert channels[1].send(Hello(1, 4711))
    turn(loop, lambda: len(heard) == 3)
    assert (1, Hello(1, 4711)) in heard
    assert ("greeted 0", Greeting()) in heard
    assert ("greeted 1", Greeting()) in heard


def test_a_message_without_room_is_not_sent_and_there_is_room_again_once_it_was_read(
    loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...]
):
    channel = WorkerChannel(loop, pairs[0].worker)
    lines = LogLines(b"x" * 30_000)
    sent = 0
    while channel.send(lines):
        sent += 1
        assert sent < 1_000
    assert sent >= 4
    received: list[LogLines] = []
    hub = StewardHub(loop, (pairs[0].steward,))
    hub.seat().subscribe(LogLines, lambda _, message: received.append(message))
    hub.open()
    turn(loop, lambda: len(received) == sent)
    assert channel.send(lines)


def test_what_a_dead_steward_has_not_read_reaches_the_next_one(
    loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...]
):
    WorkerChannel(loop, pairs[0].worker).send(LogLines(b"kept\n"))
    received: list[LogLines] = []
    hub = StewardHub(loop, (pairs[0].steward,))
    hub.seat().subscribe(LogLines, lambda _, message: received.append(message))
    hub.open()
    turn(loop, lambda: received)
    assert received == [LogLines(b"kept\n")]


def test_a_successor_does_not_read_what_was_meant_for_the_dead(
    loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...]
):
    hub = StewardHub(loop, (pairs[0].steward,))
    for _ in range(100):
        hub.send(0, Greeting())
    heard: list[object] = []
    channel = WorkerChannel(loop, pairs[0].worker)
    channel.subscribe(Greeting, heard.append)
    channel.subscribe(Drain, heard.append)
    hub.send(0, Drain())
    turn(loop, lambda: heard)
    assert heard == [Drain()]


def test_a_message_that_can_never_fit_does_not_block_the_others(
    loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...], caplog: pytest.LogCaptureFixture
):
    channel = WorkerChannel(loop, pairs[0].worker)
    assert channel.send(LogLines(b"x" * (control.MAX_BYTES + 1)))
    assert "was dropped: LogLines" in caplog.text
    with pytest.raises(BlockingIOError):
        pairs[0].steward.recv(1)


def test_a_handler_or_message_that_is_broken_harms_nobody_else(
    loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...], caplog: pytest.LogCaptureFixture
):
    hub = StewardHub(loop, (pairs[0].steward,))
    heard: list[object] = []

    def broken(slot: int, message: KeyWanted) -> None:
        raise ValueError(message)

    hub.seat().subscribe(KeyWanted, broken)
    hub.seat().subscribe(KeyWanted, lambda _, message: heard.append(message))
    hub.open()
    pairs[0].worker.send(b"\xc1 nonsense")
    pairs[0].worker.send(control.encode(Greeting()))  # not for the steward
    pairs[0].worker.send(control.encode(KeyWanted("issuer", "key")))
    turn(loop, lambda: heard)
    assert sum("a message of worker 0 is malformed" in record.getMessage() for record in caplog.records) == 2
    assert "was not handled" in caplog.text


def test_a_job_that_died_hears_nothing_any_more(loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...]):
    hub = StewardHub(loop, (pairs[0].steward,))
    heard: list[str] = []
    first, second = hub.seat(), hub.seat()
    first.subscribe(Drain, lambda *_: heard.append("first"))
    second.subscribe(Drain, lambda *_: heard.append("second"))
    hub.leave(first)
    hub.deliver(-1, Drain())
    assert heard == ["second"]


def test_closing_handles_what_is_still_there(loop: asyncio.AbstractEventLoop, pairs: tuple[Pair, ...]):
    hub = StewardHub(loop, (pairs[0].steward,))
    received: list[LogLines] = []
    hub.seat().subscribe(LogLines, lambda _, message: received.append(message))
    hub.open()
    for number in range(100):
        pairs[0].worker.send(control.encode(LogLines(b"%d\n" % number)))
    hub.close()
    assert len(received) == 100
