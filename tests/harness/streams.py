"""A backend and a client on asyncio streams, for tests that drive thousands of messages within one loop.

The backend reads requests with the same simple rules as `messages.py` and hands each to a script, which may send anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from harness.messages import Ended

CONNECTION_ERRORS = (ConnectionError, asyncio.IncompleteReadError, Ended)


@dataclass
class Seen:
    """One request as the backend read it; `body` is None where it broke off."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes | None = None
    trailers: list[tuple[str, str]] = field(default_factory=list)
    connection: int = 0

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


class Turn:
    """One request in the hands of a script."""

    def __init__(self, request: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer

    async def read_body(self) -> bytes:
        if self.request.body is None:
            self.request.body, self.request.trailers = await read_body(self.reader, self.request.headers)
        return self.request.body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        reset(self.writer)


Script: TypeAlias = Callable[[Turn], Awaitable[object]]


async def say_ok(turn: Turn) -> None:
    await turn.read_body()
    body = turn.request.start.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    await turn.send(head if turn.request.start.startswith("HEAD ") else head + body)


class StreamBackend:
    """`async with StreamBackend() as backend:`; `script` serves each request, `greet` each connection before its first."""

    def __init__(self, script: Script = say_ok) -> None:
        self.script = script
        self.greet: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]] | None = None
        self.requests: list[Seen] = []
        self.connections = 0
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096, limit=2**22)
        self.sockets = self._server.sockets
        self.port = self.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number = self.connections
        self.connections += 1
        self.open += 1
        try:
            if self.greet is None or await self.greet(reader, writer):
                while not writer.is_closing():
                    await self._turn(reader, writer, number)
        except CONNECTION_ERRORS:
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        start, headers = await read_head(reader)
        request = Seen(start, headers, connection=number)
        self.requests.append(request)
        turn = Turn(request, reader, writer)
        await self.script(turn)
        if not writer.is_closing():
            await turn.read_body()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]]:
    raw = await reader.readuntil(b"\r\n\r\n")
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    return start, [_field(line) for line in lines]


async def read_body(
    reader: asyncio.StreamReader, headers: list[tuple[str, str]], *, until_close: bool = False
) -> tuple[bytes, list[tuple[str, str]]]:
    """A body by its framing, and its trailers; IncompleteReadError or ConnectionError where it is cut."""
    fields = {name.lower(): value for name, value in headers}
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"])), []
    return (await reader.read() if until_close else b""), []


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, list[tuple[str, str]]]:
    body = b""
    while size := int((await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0], 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    trailers = []
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers.append(_field(line[:-2].decode("latin-1")))
    return body, trailers


@dataclass
class Got:
    """One answer as a client read it; `whole` is False where it was cut."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    whole: bool = False
    informational: list[int] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> Got | None:
    """The next final answer; None where the connection ends instead of one."""
    informational = []
    try:
        while True:
            start, headers = await read_head(reader)
            status = int(start.split(" ")[1])
            if status >= 200:
                break
            informational.append(status)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    answer = Got(status, headers, informational=informational)
    if method == "HEAD" or status in (204, 304):
        answer.whole = True
        return answer
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        answer.body, answer.trailers = await read_body(reader, headers, until_close=True)
        answer.whole = True
    return answer


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")
