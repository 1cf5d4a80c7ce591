"""Where one request ends and the next begins, whatever the pieces are that they come in."""

from __future__ import annotations

import asyncio

import pytest

from harness.aio import pace, run, until
from harness.descriptions import describe
from harness.inside import Inside
from harness.streams import StreamBackend, read_answer

PATHS = {"/a": ["get", "post", "head"], "/b": ["get", "post"], "/c": ["get"]}
HOST = b"Host: gateway.test\r\n"


async def _talk(folder, pieces, *, answers, **settings):
    """Send pieces, each on its own, and read so many answers; what the backend saw and whether the connection lives."""
    async with StreamBackend() as backend, Inside(folder, describe(PATHS, backend=backend.url), **settings) as gateway:
        reader, writer = await gateway.connect()
        for piece in pieces:
            writer.write(piece)
            await pace(0.03)  # so that pieces are read singly
        got = [await asyncio.wait_for(read_answer(reader), 5) for _ in range(answers)]
        await pace(0.05)
        seen = [request.start for request in backend.requests]
        ended = reader.at_eof()
        writer.close()
        return got, seen, ended


def test_a_head_begun_behind_an_upgrade_is_not_forgotten(tmp_path):
    """What follows is still that head's, and no request of its own."""

    async def main():
        upgrade = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        hidden = b"GET /c HTTP/1.1\r\n" + HOST + b"\r\n"
        got, seen, _ = await _talk(tmp_path, [upgrade + b"GET /b HTTP/1.1\r\nX: ", hidden], answers=2)
        assert [answer.status for answer in got] == [200, 200]
        assert seen == ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]

    run(main())


@pytest.mark.parametrize(
    "before",
    [
        b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nab\r\nc\r\n\r\nd",
        b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000,
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
    ids=["lines in a body", "chunks", "a long body", "none"],
)
@pytest.mark.parametrize("cut", [1, 3, 8, 17, 30])
def test_a_head_cut_behind_a_body_is_not_measured_with_it(tmp_path, before, cut):
    async def main():
        following = b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n"
        position = before.find(b"\r\n\r\n") + 4
        pieces = [before[:position], before[position:] + following[:cut], following[cut:]]
        got, seen, _ = await _talk(tmp_path, pieces, answers=2)
        assert [answer.status for answer in got] == [200, 200]
        assert seen == ["POST /a HTTP/1.1" if before[:1] == b"P" else "GET /a HTTP/1.1", "GET /b HTTP/1.1"]

    run(main())


@pytest.mark.parametrize("length", [b"0" * 5000 + b"5", b"0" * 5000, b"9" * 5000])
def test_a_length_of_thousands_of_digits_is_an_answer_and_no_exception(tmp_path, length):
    async def main():
        settings = {"listenerConfig.maxHeaderSize": 8192}
        got, _, _ = await _talk(
            tmp_path,
            [b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\nhello"],
            answers=1,
            **settings,
        )
        assert got[0].status == 400

    run(main())


def test_a_trailer_sets_no_field_that_a_header_could_not(tmp_path):
    """R12: identity, forwarding, framing and hop-by-hop fields do not come in behind the body either."""

    async def main():
        names = "X-JWT-Assertion Authorization X-Forwarded-For X_Forwarded_For Forwarded Host TE Expect"
        trailers = "".join(f"{name}: 1\r\n" for name in names.split()).encode()
        data = (
            b"POST /a HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\nConnection: X-Gone\r\n\r\n5\r\nhello\r\n0\r\n"
        )
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:
            reader, writer = await gateway.connect()
            writer.write(data + trailers + b"X-Sum: 9\r\nX-Gone: 1\r\n\r\n")
            answer = await read_answer(reader)
            assert answer.status == 200
            assert backend.requests[0].trailers == [("X-Sum", "9")]
            writer.close()

    run(main())


def test_nothing_is_begun_behind_an_answer_that_closes(tmp_path):
    async def main():
        get = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
        settings = {"listenerConfig.maxRequestsPerConnection": 2}
        got, seen, ended = await _talk(tmp_path, [get + get + get + get], answers=3, **settings)
        assert [answer and answer.status for answer in got] == [200, 200, None]
        assert got[1].header("connection") == "close"
        assert len(seen) == 2
        assert ended

    run(main())


def test_a_long_pipeline_of_refusals_is_answered_without_recursion(tmp_path):
    async def main():
        get = b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n"
        got, _, _ = await _talk(tmp_path, [get * 2000], answers=2000, **{"listenerConfig.maxPipelinedRequests": 2000})
        assert {answer.status for answer in got} == {404}

    run(main())


def test_a_body_that_breaks_behind_its_answer_ends_the_connection(tmp_path):
    async def main():
        async with StreamBackend() as backend, Inside(tmp_path, describe(PATHS, backend=backend.url)) as gateway:

            async def early(turn):
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await turn.reader.read(10)

            backend.script = early
            reader, writer = await gateway.connect()
            writer.write(b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            assert (await read_answer(reader)).status == 200
            writer.write(b"zzz\r\n")
            assert await asyncio.wait_for(reader.read(), 3) == b""
            writer.close()

    run(main())


def test_keep_alive_always_serves_on_after_a_close(tmp_path):
    async def main():
        close = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        settings = {"listenerConfig.keepAlive": "ALWAYS"}
        got, seen, _ = await _talk(tmp_path, [close, close, close], answers=3, **settings)
        assert [answer.status for answer in got] == [200, 200, 200]
        assert len(seen) == 3

    run(main())


def test_a_half_closed_pipeline_ends_with_its_last_answer(tmp_path):
    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **{"listenerConfig.halfClose": True}) as gateway,
        ):

            async def late(turn):
                await pace(0.7)
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

            backend.script = late
            reader, writer = await gateway.connect()
            writer.write((b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n") * 3)
            writer.write_eof()
            for _ in range(3):
                assert (await read_answer(reader)).status == 200
            assert await asyncio.wait_for(reader.read(), 3) == b""
            await until(lambda: gateway.gateway.connections == 0)
            writer.close()

    run(main())


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_close_beats_keep_alive_in_any_order(tmp_path, version):
    async def main():
        data = b"GET /a HTTP/" + version + b"\r\n" + HOST + b"Connection: close\r\nConnection: keep-alive\r\n\r\n"
        got, seen, ended = await _talk(tmp_path, [data + data], answers=1)
        assert got[0].status == 200
        assert got[0].header("connection") == "close"
        assert (len(seen), ended) == (1, True)

    run(main())


def test_a_request_line_is_checked_where_it_stands(tmp_path):
    """Not wherever the same words come again."""

    async def main():
        data = b"GET /a  HTTP/1.1\r\n" + HOST + b"X: GET /a HTTP/1.1\r\n\r\n"
        got, seen, _ = await _talk(tmp_path, [data], answers=1)
        assert (got[0].status, seen) == (400, [])

    run(main())
