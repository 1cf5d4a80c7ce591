"""Bounds on requests in flight: what is over them is refused at once, and room is given back however an exchange ends."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from harness.aio import run, until
from harness.descriptions import describe
from harness.inside import Inside
from harness.streams import StreamBackend, read_answer, reset, say_ok
from microgate.runtime.throttling.overload import bounds as overload
from microgate.runtime.throttling.overload.adaptive import FIRST_LIMIT

PATHS = {
    "/a": {"get": {}, "post": {}},
    "/two": {"get": {"x-microgate-max-in-flight": 2}, "post": {"x-microgate-max-in-flight": 2}},
    "/free": {"get": {"x-microgate-max-in-flight": 0}},
}


class World:
    """A backend that holds what it is asked under a path with `hold` in the query, until it is released."""

    def __init__(self, folder, **settings):
        self.held = 0
        self.release = asyncio.Event()
        self.backend = StreamBackend(self._script)
        self._folder, self._settings = folder, settings
        self._clients = []  # a connection that nobody refers to is closed

    async def _script(self, turn):
        start = turn.request.start
        if "?hold" in start:
            self.held += 1
            await self.release.wait()
            self.held -= 1
        if "?reset" in start:
            turn.reset()
        elif "?stream" in start:
            await turn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
            self.held += 1
            await self.release.wait()
            turn.writer.close()
        else:
            await say_ok(turn)

    async def __aenter__(self):
        await self.backend.__aenter__()
        described = describe(PATHS, backend=self.backend.url)
        self.gateway = await Inside(self._folder, described, **self._settings).__aenter__()
        return self

    async def __aexit__(self, *failure):
        self.release.set()
        for writer in self._clients:
            writer.close()
        await self.gateway.__aexit__(*failure)
        await self.backend.__aexit__()

    async def send(self, target, method="GET", more=b""):
        reader, writer = await self.gateway.connect()
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: a\r\n".encode() + (more or b"\r\n"))
        self._clients.append(writer)
        return reader, writer

    async def ask(self, target, method="GET", more=b""):
        reader, writer = await self.send(target, method, more)
        try:
            return await asyncio.wait_for(read_answer(reader), 5)
        finally:
            writer.close()

    async def hold(self, target, count):
        opened = [await self.send(f"{target}?hold") for _ in range(count)]
        await until(lambda: self.held >= count, f"{count} are held")
        return opened


def test_an_operation_at_its_bound_refuses_the_next_and_no_other_operation_does(tmp_path):
    async def main():
        async with World(tmp_path) as world:
            opened = await world.hold("/two", 2)
            refused = await world.ask("/two")
            assert (refused.status, refused.header("Retry-After")) == (503, "1")
            assert json.loads(refused.body)["fault"]["code"] == 503
            assert (await world.ask("/a")).status == 200
            assert (await world.ask("/two", "POST", b"Content-Length: 1\r\n\r\nx")).status == 200
            world.release.set()
            for reader, writer in opened:
                assert (await read_answer(reader)).status == 200
                writer.close()
            assert (await world.ask("/two")).status == 200
            lines = await world.gateway.log_lines()
            assert [line["status"] for line in lines if line.get("reason") == overload.OPERATION] == [503]

    run(main())


def test_a_worker_at_its_bound_refuses_every_api_and_answers_health(tmp_path):
    async def main():
        async with World(tmp_path, **{"overloadConfig.maxInFlight": 3}) as world:
            opened = await world.hold("/a", 3)
            for target in ("/a", "/two", "/free"):
                assert (await world.ask(target)).status == 503
            assert (await world.ask("/health")).status == 200
            assert (await world.ask("/nowhere")).status == 404
            assert world.gateway.totals.gauge("overloaded_workers") == 1
            opened.pop()[1].close()
            await until(lambda: world.gateway.active == 2, "one left")
            assert (await world.ask("/a")).status == 200

    run(main())


def test_an_operation_may_be_free_of_the_bound_that_all_others_have(tmp_path):
    async def main():
        async with World(tmp_path, **{"overloadConfig.maxInFlightPerOperation": 1}) as world:
            await world.hold("/free", 5)
            assert (await world.ask("/free")).status == 200
            assert (await world.ask("/a")).status == 200
            await world.send("/a?hold")
            await until(lambda: world.held == 6, "it is held")
            assert (await world.ask("/a")).status == 503

    run(main())


@pytest.mark.parametrize("adaptive", [False, True])
def test_room_is_given_back_however_an_exchange_ends(tmp_path, adaptive):
    async def main():
        settings = {"overloadConfig.adaptive": str(adaptive).lower(), "listenerConfig.maxEntityBodySize": 10}
        async with World(tmp_path, **settings) as world:
            for _ in range(5):
                opened = await world.hold("/two", 2)
                opened[0][1].close()
                reset(opened[1][1])
                await until(lambda: world.gateway.active == 0, "the clients have left")
                world.held = 0
                assert (await world.ask("/two?reset")).status == 502
                assert (await world.ask("/two", "POST", b"Content-Length: 11\r\n\r\n")).status == 413
                chunked = b"Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n"
                assert (await world.ask("/two", "POST", chunked)).status == 413
            # Neither lost nor won: exactly two find room.
            await world.hold("/two", 2)
            assert (await world.ask("/two")).status == 503

    run(main())


def test_streams_take_no_room_from_an_adaptive_bound_and_a_hanging_backend_takes_all_of_it(tmp_path):
    async def main():
        async with World(tmp_path, **{"overloadConfig.adaptive": "true"}) as world:
            assert world.gateway.totals.gauge("adaptive_limits") == 0
            for _ in range(FIRST_LIMIT + 20):
                reader, _ = await world.send("/a?stream")
                assert b" 200 " in await reader.readuntil(b"\r\n")
            assert world.gateway.totals.gauge("adaptive_limits") >= FIRST_LIMIT
            world.held = 0
            room = world.gateway.totals.gauge("adaptive_limits")
            opened = await world.hold("/a", room)
            for _ in range(50):
                assert (await world.ask("/a")).status == 503
            assert (await world.ask("/two")).status == 200
            assert (await world.ask("/health")).status == 200
            for _, writer in opened:
                writer.close()
            await until(lambda: world.gateway.active == FIRST_LIMIT + 20, "only the streams are left")
            assert (await world.ask("/a")).status == 200

    run(main())


def test_a_worker_says_once_that_it_is_overloaded_and_once_that_it_is_not(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(overload, "QUIET_SECONDS", 0.2)

    async def main():
        async with World(tmp_path) as world:
            for round_number in (1, 2):
                opened = await world.hold("/two", 2)
                for _ in range(20):
                    await world.ask("/two")
                for _, writer in opened:
                    writer.close()
                await until(lambda: world.gateway.active == 0, "nothing is in flight")
                world.held = 0
                await until(lambda count=2 * round_number: len(caplog.records) == count, "it says so")
            assert world.gateway.totals.gauge("overloaded_workers") == 0

    with caplog.at_level(logging.INFO, "microgate.overload"):
        run(main())
    first, second = [record.getMessage() for record in caplog.records[:2]]
    assert first == "overloaded, requests are refused: first GET /two, with 2 in flight (overload.operation)"
    assert second.startswith("no longer overloaded: 20 requests were refused in 0.")
