"""R30: every way a backend can fail, at every class of byte: the right fault in time, or an answer that is plainly cut.

Never an answer that looks whole and is not, and never one that belongs to somebody else.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from harness.aio import pace, run, until
from harness.backend import refusing, unreachable
from harness.descriptions import describe
from harness.inside import Inside
from harness.streams import Script, StreamBackend, Turn, read_answer, say_ok

PATHS = {"/a": ["get", "post", "put", "head"], "/next": ["get"]}
GET = b"GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
NEXT = GET.replace(b"/a", b"/next")
POST = b"POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\n\r\nbody"
LIMIT = 0.6
LATE = 0.1  # the goal: so much after its limit at most
TRIES = 3  # on a busy machine one may come late, which says nothing of the limit
SETTINGS = {f"httpClients.{name}TimeoutInMillis": 600 for name in ("connect", "response", "idle")}

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nX-A: b\r\n\r\n" + b"0123456789abcdefghij"
CHUNKS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\nX-T: 1\r\n\r\n"
)

# The answer, and for each class of byte how much of it comes before the fault.
CUTS = {
    "nothing": (LENGTH, 0),
    "status line": (LENGTH, 9),
    "end of status line": (LENGTH, 17),
    "field name": (LENGTH, 25),
    "field value": (LENGTH, 34),
    "end of head": (LENGTH, LENGTH.index(b"\r\n\r\n") + 2),
    "head alone": (LENGTH, LENGTH.index(b"\r\n\r\n") + 4),
    "body": (LENGTH, len(LENGTH) - 7),
    "last byte": (LENGTH, len(LENGTH) - 1),
    "chunk size": (CHUNKS, CHUNKS.index(b"a\r\n0") + 1),
    "chunk data": (CHUNKS, CHUNKS.index(b"4567")),
    "end of chunk": (CHUNKS, CHUNKS.index(b"\r\na\r\nabc") + 2),
    "second chunk size": (CHUNKS, CHUNKS.index(b"a\r\nabc") + 3),
    "last chunk": (CHUNKS, CHUNKS.index(b"0\r\nX-T") + 1),
    "trailer": (CHUNKS, CHUNKS.index(b"X-T") + 4),
    "end of trailers": (CHUNKS, len(CHUNKS) - 2),
}


def _cut(how: str) -> Script:
    """The target says which cut: all go on at the same time."""

    async def script(turn: Turn) -> None:
        target = turn.request.start.split(" ")[1]
        if not target.startswith("/a?"):
            await say_ok(turn)
            return
        await turn.read_body()
        data, size = list(CUTS.values())[int(target[3:])]
        if size:
            await turn.send(data[:size])
            await pace(0.01)
        if how == "reset":
            turn.reset()
        elif how == "close":
            turn.writer.close()
        else:
            await turn.reader.read()  # hangs until the gateway gives up

    return script


async def _see(gateway, request=GET):
    """The answer to a request, and what the same connection gives for a next one: its own answer, or its end."""
    reader, writer = await gateway.connect()
    try:
        begun = time.monotonic()
        writer.write(request)
        answer = await asyncio.wait_for(read_answer(reader), 5)
        took = time.monotonic() - begun
        following = None
        if answer is not None and answer.whole and not writer.is_closing():
            writer.write(NEXT)
            following = await asyncio.wait_for(read_answer(reader), 5)
            if following is not None:
                own = (following.status, following.body) == (200, b"GET /next HTTP/1.1")
                assert own or following.status == 502, following
        return answer, took
    finally:
        writer.close()


async def _in_time(attempt, cases):
    """Attempts say how long they took beyond their limit; they fail at once where anything but the time is wrong."""
    for _ in range(TRIES):
        late = await asyncio.gather(*(attempt(*case) for case in cases))
        cases = [case for case, seconds in zip(cases, late, strict=True) if seconds > LATE]
        if not cases:
            return
    raise AssertionError(f"late each time: {cases}")


@pytest.mark.parametrize("how", ["reset", "close", "hang"])
def test_r30_a_backend_that_fails_at_each_class_of_byte(tmp_path, how):
    async def fail(gateway, request, number, name):
        data, size = CUTS[name]
        answer, took = await _see(gateway, request.replace(b"/a", b"/a?%d" % number))
        assert answer is not None, name
        if size < data.index(b"\r\n\r\n") + 4:
            assert answer.status == (504 if how == "hang" else 502), name
            assert answer.whole, name
        else:
            assert (answer.status, answer.whole) == (200, False), name
        soonest = LIMIT if how == "hang" else 0
        assert took > soonest - 0.01, name
        return took - soonest

    async def main():
        async with (
            StreamBackend(_cut(how)) as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SETTINGS) as gateway,
        ):
            for request in (GET, POST):
                await _in_time(fail, [(gateway, request, *case) for case in enumerate(CUTS)])
            pool = gateway.gateway._backends.pools[0]
            await until(lambda: pool.active == 0)

    run(main())


BAD = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "a bare line feed": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "NUL in a field": b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\nok",
    "a folded field": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "another protocol": b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a storm of interim answers": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 500 + LENGTH,
    "a field of 64 KB": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 66_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a status line of 64 KB": b"HTTP/1.1 200 " + b"y" * 66_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "a chunk size that is none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "a chunk that is longer than it says": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n",
    "a chunk size of 70 bits": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"f" * 18
    + b"\r\nok\r\n0\r\n\r\n",
}

# How each begins, and what comes then again and again.
ENDLESS = {
    "fields of an interim answer": (b"HTTP/1.1 103 Early Hints\r\n", b"Link: x\r\n" * 1_000),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100),
    "fields": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1_000),
    "a chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 10_000),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1_000),
}


def _send_bad(data, again=b""):
    async def script(turn):
        if turn.request.start.startswith("GET /next"):
            await say_ok(turn)
            return
        await turn.send(data)
        while again:
            await turn.send(again)
        await turn.reader.read()

    return script


def test_r30_bad_answers_are_never_passed_on_as_good_ones(tmp_path):
    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SETTINGS) as gateway,
        ):

            async def attempt(name, data, again):
                backend.script = _send_bad(data, again)
                answer, took = await _see(gateway)
                assert answer is not None, name
                assert answer.status == 502 or (answer.status == 200 and not answer.whole), (name, answer)
                return took

            for name, data in BAD.items():
                await _in_time(attempt, [(name, data, b"")])
            for name, parts in ENDLESS.items():
                await _in_time(attempt, [(name, *parts)])

    run(main())


def test_r30_a_body_that_trickles_within_its_limit_arrives_whole(tmp_path):
    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SETTINGS) as gateway,
        ):

            async def trickle(turn):
                if turn.request.start.startswith("GET /next"):
                    await say_ok(turn)
                    return
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
                for byte in b"01234567":
                    await pace(0.15)
                    await turn.send(bytes([byte]))

            backend.script = trickle
            answer, _ = await _see(gateway, GET)
            assert (answer.body, answer.whole) == (b"01234567", True)  # each pause is within the limit

    run(main())


@pytest.mark.parametrize(("reach", "status", "soonest"), [(refusing, 502, 0), (unreachable, 504, LIMIT)])
def test_r30_a_backend_that_cannot_be_reached(tmp_path, reach, status, soonest):
    """Refused at once, or a connection that hangs, as behind a firewall that drops what it gets."""

    async def main():
        with reach() as port:
            async with Inside(tmp_path, describe(PATHS, backend=f"http://127.0.0.1:{port}"), **SETTINGS) as gateway:

                async def attempt(request, number):
                    reader, writer = await gateway.connect()
                    begun = time.monotonic()
                    writer.write(request)
                    answer = await asyncio.wait_for(read_answer(reader), 5)
                    took = time.monotonic() - begun
                    writer.close()
                    assert (answer.status, answer.whole) == (status, True), number
                    assert took > soonest - 0.01, number
                    return took - soonest

                await _in_time(attempt, [(request, number) for request in (GET, POST) for number in range(8)])
                await until(lambda: gateway.gateway._backends.pools[0].active == 0)

    run(main())


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("then", ["keep", "close", "reset"])
def test_r30_an_early_answer_while_the_body_is_coming(tmp_path, framing, then):
    """The answer arrives, whole or plainly cut; the next request on the connection gets its own answer or its end."""

    async def main():
        async with (
            StreamBackend() as backend,
            Inside(tmp_path, describe(PATHS, backend=backend.url), **SETTINGS) as gateway,
        ):

            async def script(turn):
                if turn.request.start.startswith("GET /next"):
                    await say_ok(turn)
                    return
                await turn.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
                if then == "keep":
                    await turn.read_body()
                elif then == "close":
                    turn.writer.close()
                else:
                    turn.reset()

            backend.script = script
            for size in (1, 1000, 100_000, 1_000_000):
                reader, writer = await gateway.connect()
                chunked = framing.startswith(b"T")
                body = b"x" * 1_000_000
                data = (
                    b"".join(b"3e8\r\n" + body[:1000] + b"\r\n" for _ in range(1000)) + b"0\r\n\r\n"
                    if chunked
                    else body
                )
                writer.write(b"POST /a HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + data[:size])
                answer = await asyncio.wait_for(read_answer(reader), 5)
                assert answer is None or answer.status in (413, 502)
                if not writer.is_closing():
                    writer.write(data[size:] + NEXT)
                following = await asyncio.wait_for(read_answer(reader), 10)
                assert following is None or (following.status, following.body) == (200, b"GET /next HTTP/1.1")
                writer.close()

    run(main())
