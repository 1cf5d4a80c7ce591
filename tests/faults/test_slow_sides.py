"""Sides that do not read, leave while the other is slow, or stall: nothing grows, nothing whole is cut, all ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from harness.aio import pace, run, until
from harness.descriptions import describe
from harness.inside import Inside
from harness.streams import StreamBackend, read_answer, reset

PATHS = {"/a": ["get", "post", "put"], "/b": ["get", "post"]}
GET = b"GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
SHORT = {f"listenerConfig.{name}TimeoutInMillis": 700 for name in ("header", "body", "idle")}


def _small_client(port):
    """A socket that takes in little at a time, as a slow client's does."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def _buffered(gateway):
    return sum(member._transport.get_write_buffer_size() for member in gateway.gateway._clients.members)


def _answer_of(size):
    body = b"x" * size

    async def script(turn):
        await turn.read_body()
        await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)

    return script


def test_a_client_that_asks_on_and_never_reads_is_not_answered_without_bound(tmp_path):
    async def main():
        async with (
            StreamBackend(_answer_of(100_000)) as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway,
        ):
            client = _small_client(gateway.port)
            loop = asyncio.get_running_loop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(loop.sock_sendall(client, GET * 2_000), 1.5)
            await pace(1)
            buffered, served = _buffered(gateway), len(backend.requests)
            client.close()
            assert buffered < 1_000_000, (buffered, served)
            assert served < 200

    run(main())


@pytest.mark.parametrize("size", [30_000, 3_000_000])
def test_a_client_that_does_not_read_its_answers_is_given_up(tmp_path, size):
    """R16: slow readers are gone within the limit, whether what they leave unread is much or little."""

    async def main():
        async with (
            StreamBackend(_answer_of(size)) as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SHORT) as gateway,
        ):
            client = _small_client(gateway.port)
            loop = asyncio.get_running_loop()
            for _ in range(200):
                try:
                    await asyncio.wait_for(loop.sock_sendall(client, GET), 0.2)
                except (TimeoutError, ConnectionError):
                    break
                await pace(0.001)
            await until(lambda: gateway.gateway.connections == 0, "the client is given up", seconds=4)
            client.close()

    run(main())


@pytest.mark.parametrize("framing", ["length", "close"])
def test_case_19_what_a_closed_backend_had_sent_reaches_a_slow_client(tmp_path, framing):
    """The backend has sent all and closed while the client still reads: that is no lost answer."""
    size = 8_000_000

    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def script(turn):
                head = b"Content-Length: %d\r\n" % size if framing == "length" else b""
                turn.writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + b"\r\n" + b"x" * size)
                turn.writer.close()

            backend.script = script
            client = socket.create_connection(("127.0.0.1", gateway.port))
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, GET)
            got, pauses = 0, 0
            while got < size and (data := await asyncio.wait_for(loop.sock_recv(client, 400_000), 5)):
                got += len(data)
                if pauses < 30:
                    pauses += 1
                    await pace(0.02)
            client.close()
            assert got >= size

    run(main())


def test_held_body_meets_a_backend_that_does_not_read(tmp_path):
    """What was held while the connection was made fills it; the client must stay paused then."""

    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:
            hold = asyncio.Event()

            async def greet(reader, writer):
                await hold.wait()
                return False

            backend.greet = greet
            backend._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            _, writer = await gateway.connect()
            piece = b"x" * 250_000
            writer.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n" + piece * 4)
            sent = 0
            while sent < 60_000_000:
                writer.write(piece)
                try:
                    await asyncio.wait_for(writer.drain(), 0.5)
                except TimeoutError:
                    break
                sent += len(piece)
            upstream = [
                member.transport.get_write_buffer_size()
                for member in gateway.gateway._exchanges.members
                if hasattr(member, "transport")
            ]
            reset(writer)
            hold.set()
            assert max(upstream) < 1_000_000, upstream

    run(main())


def test_a_body_that_waits_behind_a_slow_answer_is_not_called_slow(tmp_path):
    """The gateway itself has stopped reading: the client is not to blame."""

    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SHORT) as gateway,
        ):

            async def script(turn):
                if turn.request.start.startswith("GET"):
                    await pace(2)
                await turn.read_body()
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

            backend.script = script
            reader, writer = await gateway.connect()
            writer.write(GET + b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
            assert (await read_answer(reader)).status == 200
            writer.write(b"cd")
            assert (await read_answer(reader)).status == 200
            writer.close()

    run(main())


def test_a_pipelined_body_that_stops_is_timed_out(tmp_path):
    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SHORT) as gateway,
        ):
            reader, writer = await gateway.connect()
            writer.write(GET + b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
            assert (await read_answer(reader)).status == 200
            begun = time.monotonic()
            assert (await asyncio.wait_for(read_answer(reader), 5)).status == 408
            assert time.monotonic() - begun < 3
            writer.close()

    run(main())


def test_case_38_a_head_that_trickles_is_bounded_by_the_response_timeout(tmp_path):
    async def main():
        settings = {"httpClients.responseTimeoutInMillis": 800, "httpClients.idleTimeoutInMillis": 500}
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **settings) as gateway,
        ):

            async def script(turn):
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100:
                    await turn.send(bytes([byte]))
                    await pace(0.05)

            backend.script = script
            reader, writer = await gateway.connect()
            begun = time.monotonic()
            writer.write(GET)
            answer = await asyncio.wait_for(read_answer(reader), 6)
            assert answer.status == 504
            assert 0.7 < time.monotonic() - begun < 1.3
            writer.close()

    run(main())


def test_a_half_closed_client_with_a_slow_backend_keeps_its_body(tmp_path):
    """With `halfClose` a client may close its sending side behind a body that the gateway has not read yet."""

    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **{"listenerConfig.halfClose": True}) as gateway,
        ):

            async def script(turn):
                await pace(1.5)
                await turn.read_body()
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

            backend.script = script
            reader, writer = await gateway.connect()
            size = 12_000_000
            writer.write(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            writer.write_eof()
            assert (await asyncio.wait_for(read_answer(reader), 10)).status == 200
            assert len(backend.requests[0].body) == size
            writer.close()

    run(main())
