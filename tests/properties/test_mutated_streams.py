"""R3: whatever bytes a client sends and however they are cut, the backend sees only requests that the bytes truly hold,
and as many as the gateway says it forwarded.

The reference is `harness/reference.py`. Each stream has a connection of its own; all share one gateway, whose connections
share what they remember of heads and the parser that proves them.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import random
import termios
from array import array
from typing import Any

import pytest

from harness.aio import run, until
from harness.descriptions import describe
from harness.inside import Inside
from harness.reference import read_requests
from harness.streams import Seen, StreamBackend, read_answer
from microgate.runtime.protocols.http1_server import CLOSED

METHODS = ["get", "post", "put", "delete", "patch", "head", "options"]
HOST = b"Host: a\r\n"
SEEDS = (
    b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /a?x=1 HTTP/1.1\r\n" + HOST + b"User-Agent: t\r\nAccept: */*\r\n\r\n",
    b"HEAD /b HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /b HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    b"POST /b HTTP/1.1\r\n" + HOST + b"Content-Length: 31\r\n\r\nGET /c HTTP/1.1\r\nHost: hidden\r\n\r\n"[:-1],
    b"PUT /c HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /c HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n1f;x=y\r\nGET /a HTTP/1.1\r\nHost: hidden\r\n\r\n0\r\nX-T: 1\r\n\r\n",
    b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET http://a/b HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /b HTTP/1.1\r\n" + HOST + b"Proxy-Connection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
)
LINES = (
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length : 5",
    b"content_length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding\r: chunked",
    b"transfer_encoding: chunked",
    b" Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: content-length",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Host: b",
    b"X: y\r\n\r\nGET /c HTTP/1.1",
    b"X: y\n\nGET /c HTTP/1.1\nHost: a",
    b"X: " + b"y" * 9000,
)
BYTES = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b"0",
    b"f",
    b"-",
    b"\x80",
    b"\xff",
    b"#",
    b"%",
    b"/",
)


def _mutate(data: bytes, draw: random.Random) -> bytes:
    kind = draw.randrange(9)
    at = draw.randrange(len(data) + 1)
    if kind == 0 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + draw.choice(BYTES) + data[at:]
    if kind == 2:
        return data[:at] + data[at + draw.randrange(1, 4) :]
    if kind == 3:
        other = draw.randrange(len(data) + 1)
        return data[:at] + data[min(at, other) : max(at, other)] + data[at:]
    if kind in (4, 5):
        breaks = [place for place in range(len(data)) if data.startswith(b"\r\n", place)]
        at = draw.choice(breaks) if breaks else at
        return data[:at] + b"\r\n" + draw.choice(LINES) + data[at:]
    if kind == 6:
        return data[:at]
    if kind == 7:
        digits = [place for place, byte in enumerate(data) if byte in b"0123456789abcdef"]
        at = draw.choice(digits) if digits else at
        return data[:at] + draw.choice((b"0", b"1", b"5", b"f", b"00", b"0x", b"5;", b" 5")) + data[at + 1 :]
    return data[:at] + draw.choice(SEEDS) + data[at:]


def _make(draw: random.Random) -> bytes:
    data = b"".join(draw.choice(SEEDS) for _ in range(draw.randrange(1, 5)))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3))):
        data = _mutate(data, draw)
    return data


def _cut(data: bytes, draw: random.Random) -> list[bytes]:
    count = draw.choice((0, 0, 1, 1, 2, 4, 12))
    places = sorted({0, len(data), *(draw.randrange(len(data) + 1) for _ in range(count))})
    return [data[start:end] for start, end in itertools.pairwise(places)]


class Trial:
    """One gateway and one backend, and streams that are sent through them one after the other."""

    def __init__(self, gateway: Inside, backend: StreamBackend) -> None:
        self.gateway = gateway
        self.backend = backend
        self.sent: list[tuple[bytes, list[dict[str, Any]]]] = []  # streams, each with the log lines of its requests

    async def send(self, pieces: list[bytes], *, answers: int = 0) -> None:
        """Send, wait for so many answers and until nothing moves any more, and leave."""
        lines: list[dict[str, Any]] = []
        self.gateway.made.clear()
        _, writer = await self.gateway.connect()
        try:
            while not self.gateway.made:  # noqa: ASYNC110 - by the thousand, faster than any event
                await asyncio.sleep(0)
            connection = self.gateway.made[-1]
            for piece in pieces:
                if writer.transport.is_closing():
                    break
                writer.write(piece)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            while len(lines) < answers:
                await asyncio.sleep(0)
                lines += self.gateway.new_lines()
            await self._settle(connection)
        finally:
            writer.close()
        while connection._phase != CLOSED or self.gateway.active:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        self.sent.append((b"".join(pieces), lines + self.gateway.new_lines()))

    async def _settle(self, connection: Any) -> None:
        """Until all was read and answered, or what is in flight waits for bytes that will not come."""
        patience, last = 20, None
        while patience:
            now = (self.gateway.active, len(self.backend.requests), _unread(connection))
            done = not now[0] and not now[2]
            patience = patience - (2 if done else 1) if now == last else 20
            last = now
            await asyncio.sleep(0 if done else 0.0005)

    async def compare(self) -> None:
        """Hold what the backend saw against the streams, once it has seen all that was answered."""
        seen: dict[str | None, Seen] = {}
        answered = {
            line["request_id"] for _, lines in self.sent for line in lines if line["upstream"] and line["status"] < 400
        }
        await until(lambda: answered <= {request.header("x-request-id") for request in self.backend.requests})
        for request in self.backend.requests:
            assert request.header("x-request-id") not in seen, "a request was sent twice"
            seen[request.header("x-request-id")] = request
        for data, lines in self.sent:
            # A request that failed while its connection was being made was never sent.
            asked = [line["request_id"] for line in lines if line["upstream"]]
            _compare(data, [seen.pop(number) for number in asked if number in seen])
        assert not seen, f"nobody sent these: {seen}"


def _compare(data: bytes, found: list[Seen]) -> None:
    allowed = iter(read_requests(data))
    for request in found:
        method, target, _ = request.start.split(" ")
        for one in allowed:
            path = one.target if one.target.startswith("/") else "/" + one.target.partition("://")[2].partition("/")[2]
            if (one.method, path) == (method, target):
                break
        else:
            raise AssertionError(f"{request.start} is not what was sent: {data!r}")
        names = {name for name, _ in one.fields} | OURS
        extra = [name for name, _ in request.headers if name.lower() not in names]
        assert not extra, f"{extra} in {data!r}"
        if request.body is not None:
            assert one.complete, f"an incomplete request was completed: {data!r}"
            assert request.body == one.body, f"{request.body!r} is not the body of {one.target} in {data!r}"


def _unread(connection: Any) -> int:
    """Bytes that the kernel holds for the gateway."""
    if connection._phase == CLOSED or not hasattr(connection, "_transport"):
        return 0
    held = array("i", [0])
    fcntl.ioctl(connection._transport.get_extra_info("socket").fileno(), termios.FIONREAD, held)
    return held[0]


OURS = {
    "host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "traceparent",
    "x-request-id",
    "transfer-encoding",
}


def _run(folder, streams, body) -> None:
    async def main() -> None:
        paths = {f"/{name}": METHODS for name in "abc"}
        async with StreamBackend() as backend, Inside(folder, describe(paths, backend=backend.url)) as gateway:
            trial = Trial(gateway, backend)
            await body(trial, streams)
            await trial.compare()
            reader, writer = await gateway.connect()
            writer.write(SEEDS[0])
            answer = await read_answer(reader)
            assert answer is not None
            assert answer.status == 200
            writer.close()

    run(main())


async def _all(trial: Trial, draws: random.Random, count: int) -> None:
    for _ in range(count):
        stream = _make(draws)
        await asyncio.wait_for(trial.send(_cut(stream, draws)), 5)
    assert len(trial.backend.requests) > count  # most streams hold several, so the trial was one
    print(f"{count} streams, {len(trial.backend.requests)} requests at the backend")


def test_r3_mutated_streams_smuggle_nothing(tmp_path):
    _run(tmp_path, random.Random(1), lambda trial, draws: _all(trial, draws, 4_000))


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_r3_100_000_mutated_streams_smuggle_nothing(tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    _run(tmp_path, random.Random(seed), lambda trial, draws: _all(trial, draws, 100_000))


def test_r3_streams_cut_at_every_boundary_mean_the_same(tmp_path):
    stream = SEEDS[4] + SEEDS[8] + SEEDS[6] + SEEDS[1] + SEEDS[5]

    async def body(trial: Trial, _: object) -> None:
        for place in range(1, len(stream)):
            await asyncio.wait_for(trial.send([stream[:place], stream[place:]], answers=5), 5)
            _, lines = trial.sent[-1]
            assert [line["status"] for line in lines] == [200] * 5, place

    assert len(read_requests(stream)) == 5
    _run(tmp_path, None, body)


POISONS = (
    b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n" * 2,
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nG",
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n",
    b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
)


def test_r3_nothing_of_one_connection_reaches_another_through_what_they_share(tmp_path):
    """Each stream that leaves the shared proof in an odd state is followed by a plain request, a body and itself again."""

    async def body(trial: Trial, _: object) -> None:
        plain = SEEDS[0], SEEDS[3], SEEDS[1]
        for poison in POISONS:
            for _ in range(3):
                await asyncio.wait_for(trial.send([poison]), 5)
                for one in plain:
                    await asyncio.wait_for(trial.send([one], answers=1), 5)
                    _, lines = trial.sent[-1]
                    assert [line["status"] for line in lines] == [200], poison

    _run(tmp_path, None, body)
