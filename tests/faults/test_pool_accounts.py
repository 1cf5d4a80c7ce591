"""The pool counts its connections right and never hands one to a request that it could harm, whatever backends do."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from harness.aio import pace, run, until
from harness.descriptions import describe
from harness.inside import Inside
from harness.streams import StreamBackend, read_answer, reset, say_ok

PATHS = {"/a": ["get", "post", "put", "head"], "/b": ["get", "post"]}
GET = b"GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def _ask(gateway, data=GET, method="GET"):
    reader, writer = await gateway.connect()
    try:
        writer.write(data)
        return await asyncio.wait_for(read_answer(reader, method), 10)
    finally:
        writer.close()


def test_a_backend_that_resets_what_it_accepts_costs_no_slot_and_no_client(tmp_path):
    async def main():
        settings = {"httpClients.poolConfig.maxActiveConnections": 4, "httpClients.poolConfig.waitTimeInMillis": 3000}
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **settings) as gateway,
        ):

            async def greet(reader, writer):
                reset(writer)
                return False

            backend.greet = greet
            for _ in range(20):
                answers = await asyncio.gather(*(_ask(gateway) for _ in range(20)))
                assert {answer.status for answer in answers} <= {502, 503}
            pool = gateway.gateway._backends.pools[0]
            await until(lambda: pool.active == 0, "no slot is taken")
            backend.greet = None
            assert (await _ask(gateway)).status == 200

    run(main())


def test_clients_that_leave_while_a_connection_is_made_leave_the_count_right(tmp_path):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:
            for number in range(300):
                _, writer = await gateway.connect()
                writer.write(GET)
                for _ in range(number % 12):
                    await pace(0)
                reset(writer)
            await until(lambda: gateway.active == 0)
            assert (await _ask(gateway)).status == 200
            pool = gateway.gateway._backends.pools[0]
            await until(lambda: pool.active == 0, f"{pool.active} active")

    run(main())


def test_without_idle_connections_waiting_requests_are_served_all_the_same(tmp_path):
    async def main():
        settings = {
            "httpClients.poolConfig.maxActiveConnections": 1,
            "httpClients.poolConfig.maxIdleConnections": 0,
            "httpClients.poolConfig.waitTimeInMillis": 2000,
        }
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **settings) as gateway,
        ):
            answers = await asyncio.gather(*(_ask(gateway) for _ in range(20)))
            assert [answer.status for answer in answers] == [200] * 20

    run(main())


@pytest.mark.parametrize(
    "field", [b"Content-Length:10", b"Content-Length:10 ", b"content-length:\t10", b"CONTENT-LENGTH:   10"]
)
def test_a_length_without_a_blank_is_read_whole(tmp_path, field):
    """The head comes alone, the body later: the answer is not over with its head."""

    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                await turn.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n")
                await pace(0.1)
                await turn.send(b"0123456789")

            backend.script = script
            for _ in range(2):
                answer = await _ask(gateway)
                assert (answer.status, answer.body) == (200, b"0123456789")
            assert backend.connections == 1

    run(main())


def test_a_length_of_thousands_of_digits_is_a_bad_answer(tmp_path):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"\r\n\r\n")

            backend.script = script
            assert (await _ask(gateway)).status == 502

    run(main())


@pytest.mark.parametrize(
    "informational", [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"]
)
def test_an_interim_answer_of_a_failed_request_does_not_stay_behind(tmp_path, informational):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                if turn.request.start.startswith("GET /a"):
                    await turn.send(informational + b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
                else:
                    await turn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

            backend.script = script
            reader, writer = await gateway.connect()
            writer.write(GET)
            assert (await read_answer(reader)).status == 502
            writer.write(GET.replace(b"/a", b"/b"))
            answer = await read_answer(reader)
            assert (answer.status, answer.informational) == (200, [])
            writer.close()

    run(main())


def test_an_unasked_switch_of_protocols_never_reaches_a_client(tmp_path):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:
            for more in (b"", b"Connection: upgrade\r\nUpgrade: h2c\r\n"):

                async def script(turn, more=more):
                    await turn.send(b"HTTP/1.1 101 Switching Protocols\r\n" + more + b"\r\n" + OK)

                backend.script = script
                answer = await _ask(gateway)
                assert (answer.status, answer.informational) == (502, [])

    run(main())


def test_trailers_of_an_answer_carry_no_framing_and_no_hop_by_hop_fields(tmp_path):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                await turn.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Gone\r\n\r\n2\r\nok\r\n0\r\n"
                    b"Keep-Alive: 9\r\nTrailer: X-Sum\r\nX-Gone: 1\r\nX-JWT-Assertion: 1\r\nX-Sum: 1\r\n\r\n"
                )

            backend.script = script
            answer = await _ask(gateway)
            assert (answer.body, answer.trailers) == (b"ok", [("Trailer", "X-Sum"), ("X-Sum", "1")])

    run(main())


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_head_over_the_bound_is_refused_in_one_piece_as_in_many(tmp_path, pieces):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                data = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 66_000 + b"\r\nContent-Length: 2\r\n\r\nok"
                size = -(-len(data) // pieces)
                for start in range(0, len(data), size):
                    await turn.send(data[start : start + size])
                    await pace(0.1)

            backend.script = script
            assert (await _ask(gateway)).status == 502

    run(main())


def test_a_stream_of_aborted_requests_leaves_nothing_behind(tmp_path):
    """Connections, tasks, slots and the gauge are as before, wherever clients left."""

    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                if turn.request.start.startswith("POST"):
                    await turn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                    await pace(0.01)
                await say_ok(turn)

            backend.script = script
            assert (await _ask(gateway)).status == 200
            tasks = len(asyncio.all_tasks())
            for number in range(1000):
                _, writer = await gateway.connect()
                writer.write(
                    (GET, b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", GET[:20], GET * 5)[number % 4]
                )
                for _ in range(number % 7):
                    await pace(0.0005 * (number % 3))
                with contextlib.suppress(OSError):
                    reset(writer)
            pool = gateway.gateway._backends.pools[0]
            await until(lambda: gateway.active == 0 and gateway.gateway.connections == 0, "all have ended")
            await pace(1)
            assert pool.active == 0
            await until(lambda: backend.open <= pool.idle, f"{backend.open} open, {pool.idle} idle")
            await until(lambda: len(asyncio.all_tasks()) <= tasks + pool.idle, "tasks have ended")

    run(main())
