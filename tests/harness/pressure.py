"""A backend that gets slower the more it is asked at a time, and clients that ask at a given rate whatever comes back.

Both run in processes of their own (`aside.py`). The clients' rate does not follow the answers, as that of many people does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from harness.aio import pace, run
from harness.aside import end_of, raise_descriptor_limit
from harness.streams import StreamBackend, Turn

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SLOTS = 8  # requests that the backend works on at a time
WORK_SECONDS = 0.04  # for each, as long as no others wait
THRASH = 40.0  # as many requests waiting double the work
CAPACITY = SLOTS / WORK_SECONDS  # requests a second, at best

PATIENCE_SECONDS = 2.0  # after which a client leaves
NO_ANSWER = 0


class Asked(NamedTuple):
    """One request: when it was due, counted from the start, its answer's status, and the seconds that it took."""

    due: float
    status: int
    seconds: float


def struggle(line: Connection) -> None:
    """The backend; it says its port and serves until the line ends. `/hang` is never answered."""
    raise_descriptor_limit()

    async def main() -> None:
        slots = asyncio.Semaphore(SLOTS)
        inside = 0

        async def work(turn: Turn) -> None:
            nonlocal inside
            if "/hang" in turn.request.start:
                await asyncio.get_running_loop().create_future()
            inside += 1
            try:
                async with slots:
                    await pace(WORK_SECONDS * (1 + max(0, inside - SLOTS) / THRASH))
                await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            finally:
                inside -= 1

        async with StreamBackend(work) as backend:
            line.send(backend.port)
            await end_of(line)

    run(main())


def press(line: Connection, port: int, request: bytes) -> None:
    """Clients; to each `(rate, seconds)` on the line they ask so often for so long, and tell what came of each request."""
    raise_descriptor_limit()

    async def main() -> None:
        idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        with contextlib.suppress(EOFError):
            while True:
                rate, seconds = await asyncio.to_thread(line.recv)
                line.send(await _steadily(port, request, idle, rate, seconds))

    run(main())


async def _steadily(port: int, request: bytes, idle: list, rate: float, seconds: float) -> list[Asked]:
    began = time.monotonic()
    tasks = []
    for number in range(int(rate * seconds)):
        due = number / rate
        if (early := began + due - time.monotonic()) > 0:
            await pace(early)
        tasks.append(asyncio.create_task(_ask(port, request, idle, began, due)))
    return list(await asyncio.gather(*tasks))


async def _ask(port: int, request: bytes, idle: list, began: float, due: float) -> Asked:
    sent = time.monotonic()
    status, connection = NO_ANSWER, None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            connection = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
            reader, writer = connection
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            status = int(head[9:12])
            idle.append(connection)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        if connection is not None:
            connection[1].transport.abort()
    return Asked(due, status, time.monotonic() - sent)
