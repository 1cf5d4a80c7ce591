"""R5 and R30: no client ever gets what is somebody else's, whatever is mixed on its connection and on the backend's.

Every request carries a tag in its target, the backend's answer repeats it, and the gateway's own answers are told by status.
"""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from harness.aio import pace, run, until
from harness.descriptions import describe
from harness.inside import Inside
from harness.streams import StreamBackend, Turn, read_answer, reset

PATHS = {"/t/{n}": ["get", "post", "put", "head"]}
CONNECTIONS = 50


async def _repeat(turn: Turn) -> None:
    """The tag back, in the shape that the tag asks for."""
    tag = turn.request.start.split(" ")[1].rpartition("/")[2].encode()
    number = int(tag) if tag.isdigit() else 1
    if number % 97 == 0:
        turn.reset()
        return
    if number % 13 != 0:
        await turn.read_body()  # every 13th is answered before its body has come
    if turn.request.start.startswith("HEAD"):
        await turn.send(b"HTTP/1.1 200 OK\r\nX-Tag: %b\r\nContent-Length: 99\r\n\r\n" % tag)
    elif number % 3 == 0:
        pieces = (
            b"HTTP/1.1 200 OK\r\nX-Tag: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % tag,
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(tag), tag),
        )
        for piece in pieces:
            await turn.send(piece)
            await asyncio.sleep(0)
    elif number % 17 == 0:
        await turn.send(b"HTTP/1.1 200 OK\r\nX-Tag: %b\r\nConnection: close\r\n\r\n%b" % (tag, tag))
        turn.writer.close()
    else:
        await turn.send(b"HTTP/1.1 200 OK\r\nX-Tag: %b\r\nContent-Length: %d\r\n\r\n%b" % (tag, len(tag), tag))


def _request(number: int, draw: random.Random) -> tuple[str, bytes]:
    kind = draw.randrange(8)
    head = b"/t/%d HTTP/1.1\r\nHost: a\r\n" % number
    if kind < 4:
        return "GET", b"GET " + head + b"\r\n"
    if kind == 4:
        return "HEAD", b"HEAD " + head + b"\r\n"
    if kind == 5:
        return "POST", b"POST " + head + b"Content-Length: 3\r\n\r\nabc"
    if kind == 6:
        return "PUT", b"PUT " + head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    return "POST", b"POST " + head + b"Content-Length: 30000\r\n\r\n" + b"x" * 30_000


async def _client(gateway: Inside, numbers: range, draw: random.Random) -> int:
    """Send all numbers over as few connections as the gateway and our own aborts allow; how many were answered."""
    waiting, answered = list(numbers), 0
    while waiting:
        reader, writer = await gateway.connect()
        while waiting and not writer.is_closing():
            batch = [waiting.pop() for _ in range(min(len(waiting), draw.choice((1, 1, 1, 4, 8))))]
            requests = [_request(number, draw) for number in batch]
            writer.write(b"".join(data for _, data in requests))
            if draw.randrange(25) == 0:
                await pace(draw.choice((0, 0.001)))
                reset(writer)
                break
            for number, (method, _) in zip(batch, requests, strict=True):
                answer = await asyncio.wait_for(read_answer(reader, method), 20)
                if answer is None:
                    writer.close()
                    break
                assert answer.status in (200, 502), answer
                if answer.status == 200:
                    assert answer.header("x-tag") == str(number), f"{answer} for {number}"
                    assert method == "HEAD" or answer.body == str(number).encode() or not answer.whole
                    answered += 1
                if answer.header("connection") == "close" or not answer.whole:
                    writer.close()
                    break
        writer.close()
    return answered


def _run(folder, count):
    async def main():
        async with StreamBackend(_repeat) as backend, Inside(folder, describe(PATHS, backend=backend.url)) as gateway:
            share = count // CONNECTIONS
            clients = [
                _client(gateway, range(1 + place * share, 1 + (place + 1) * share), random.Random(place))
                for place in range(CONNECTIONS)
            ]
            answered = sum(await asyncio.gather(*clients))
            print(f"{count} tagged requests, {answered} answered by the backend, 0 to the wrong client")
            assert answered > count * 0.7
            pool = gateway.gateway._backends.pools[0]
            await until(lambda: gateway.active == 0 and pool.active == 0)

    run(main())


def test_r30_tagged_requests_reach_their_own_clients(tmp_path):
    _run(tmp_path, 6_000)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_r30_100_000_tagged_requests_reach_their_own_clients(tmp_path):
    _run(tmp_path, 100_000)


BODIES = (
    (b"Content-Length: 0", b""),
    (b"Content-Length: 1", b"x"),
    (b"Content-Length: 60000", b"x" * 60_000),
    (b"Content-Length: 1000000", b"x" * 1_000_000),
    (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n" * 20 + b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked", (b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 50 + b"0\r\n\r\n"),
    (b"Expect: 100-continue\r\nContent-Length: 5", b"hello"),
    (b"Expect: 100-continue\r\nContent-Length: 1000000", b"x" * 1_000_000),
)
EARLY = {
    "/closed": 401,
    "/small": 413,
    "/nowhere": 404,
    "/t/1": 405,
}


async def _exchange(gateway: Inside, number: int, draw: random.Random) -> str:
    """One early answer while the body is coming, and what follows it on the connection."""
    target, status = draw.choice(list(EARLY.items()))
    field, body = draw.choice(BODIES)
    if status == 413 and len(body) < 20:
        return "not too large"
    method = b"DELETE" if status == 405 else b"POST"
    reader, writer = await gateway.connect()
    try:
        sent = draw.randrange(len(body) + 1)
        writer.write(method + b" %b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (target.encode(), field) + body[:sent])
        if draw.randrange(2):
            await asyncio.sleep(0)
        if not writer.is_closing():
            writer.write(body[sent:] + b"GET /t/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        answer = await asyncio.wait_for(read_answer(reader), 10)
        assert answer is not None, (target, field, "no answer at all")
        assert answer.status == status, (target, field, answer)
        following = await asyncio.wait_for(read_answer(reader), 10)
        if following is None:
            return "closed"
        assert (following.status, following.header("x-tag")) == (200, str(number)), (target, field, following)
        return "kept"
    finally:
        writer.close()


def _early(folder, count):
    api = describe(
        PATHS
        | {
            "/closed": {"post": {"security": [{"any": []}], "x-wso2-disable-security": False}},
            "/small": {"post": {"x-microgate-max-body": 19}},
        },
        secured=True,
        components={"securitySchemes": {"any": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
    )

    async def main():
        async with StreamBackend(_repeat) as backend, Inside(folder, _open_tagged(api, backend.url)) as gateway:
            draw = random.Random(5)
            ends: dict[str, int] = {}
            for start in range(0, count, 20):
                batch = [_exchange(gateway, 1 + 97 * (start + place), draw) for place in range(20)]
                for end in await asyncio.gather(*batch):
                    ends[end] = ends.get(end, 0) + 1
            print(f"{count} early answers: {ends}")
            assert ends["kept"]
            assert ends["closed"]

    run(main())


def _open_tagged(api: str, url: str) -> str:
    document = json.loads(api.replace("@BACKEND@", url))
    for path, item in document["paths"].items():
        for operation in item.values():
            if path != "/closed":
                operation["x-wso2-disable-security"] = True
    return json.dumps(document)


def test_r5_early_answers_while_bodies_come_mix_nothing_up(tmp_path):
    _early(tmp_path, 600)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_r5_10_000_early_answers_mix_nothing_up(tmp_path):
    _early(tmp_path, 10_000)
