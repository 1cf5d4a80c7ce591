"""A worker hands whole lines over in batches, and never waits for who takes them."""

import asyncio

import pytest

from microgate.runtime.control import MAX_BYTES
from microgate.runtime.observability import log_sink
from microgate.runtime.observability.log_sink import BATCH_BYTES, MAX_LINE_BYTES, MAX_PENDING_BYTES, LogSink
from microgate.runtime.observability.metrics import Metrics, Totals, region_size


@pytest.fixture
def world(plan, channel_of):
    """Makes a sink on a channel, and what the steward would see."""

    def make():
        region = bytearray(region_size(plan, 1))
        channel = channel_of()
        sink = LogSink(asyncio.get_running_loop(), channel, Metrics(region, plan, 0))
        return sink, channel, Totals(region, plan, 1)

    return make


async def received(channel, count):
    """The messages, once they hold so many lines."""
    messages = []
    async with asyncio.timeout(5):
        while sum(message.data.count(b"\n") for message in messages) < count:
            messages += channel.received()
            await asyncio.sleep(0.001)
    return messages


def test_a_few_lines_arrive_together_within_the_interval(world):
    async def run():
        sink, channel, totals = world()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(3):
            sink.write(b"line %d\n" % number)
        assert channel.received() == []
        [message] = await received(channel, 3)
        assert loop.time() - began >= log_sink.INTERVAL_SECONDS * 0.9
        assert message.data == b"line 0\nline 1\nline 2\n"
        assert message.dropped == 0
        assert totals.counter("access_log_lines") == 3
        await sink.close()

    asyncio.run(run())


def test_a_full_batch_goes_at_once_and_holds_whole_lines(world):
    async def run():
        sink, channel, _ = world()
        line = b"x" * 999 + b"\n"
        for _ in range(100):
            sink.write(line)
        messages = channel.received()
        assert len(messages) == 3
        for message in messages:
            assert len(message.data) <= BATCH_BYTES
            assert message.data.replace(line, b"") == b""
        await sink.close()
        [rest] = channel.received()
        assert sum(len(message.data) for message in [*messages, rest]) == 100_000

    asyncio.run(run())


def test_a_line_longer_than_a_batch_goes_alone(world):
    async def run():
        sink, channel, _ = world()
        sink.write(b"before\n")
        sink.write(b"y" * 50_000 + b"\n")
        sink.write(b"after\n")
        await sink.close()
        assert [len(message.data) for message in channel.received()] == [7, 50_001, 6]

    asyncio.run(run())


def test_a_line_that_no_message_has_room_for_is_dropped_and_counted(world):
    async def run():
        sink, channel, totals = world()
        sink.write(b"before\n")
        sink.write(b"y" * MAX_BYTES + b"\n")
        sink.write(b"y" * (MAX_LINE_BYTES - 1) + b"\n")
        await sink.close()
        messages = channel.received()
        assert [len(message.data) for message in messages] == [7, MAX_LINE_BYTES]
        assert messages[0].dropped == 1
        assert totals.counter("access_log_lines_dropped") == 1
        assert totals.counter("access_log_lines") == 3

    asyncio.run(run())


def test_what_the_steward_does_not_take_is_kept_up_to_the_bound_then_dropped_and_counted(world):
    async def run():
        sink, channel, totals = world()
        line = b"z" * 1023 + b"\n"
        written = 4 * MAX_PENDING_BYTES // len(line)
        for _ in range(written):
            sink.write(line)
        assert not sink.flush()
        dropped = totals.counter("access_log_lines_dropped")
        assert dropped > 0
        kept = written - dropped
        assert kept * len(line) <= MAX_PENDING_BYTES + 16 * BATCH_BYTES
        messages = await received(channel, kept)
        assert b"".join(message.data for message in messages) == line * kept
        assert sum(message.dropped for message in messages) == dropped
        sink.write(b"later\n")
        [message] = await received(channel, 1)
        assert (message.data, message.dropped) == (b"later\n", 0)
        await sink.close()

    asyncio.run(run())


def test_closing_gives_up_on_a_steward_that_is_gone(world):
    async def run():
        sink, _, _ = world()
        for _ in range(800):
            sink.write(b"x" * 1000 + b"\n")
        await asyncio.wait_for(sink.close(patience_seconds=0.05), 5)
        assert not sink.flush()

    asyncio.run(run())
