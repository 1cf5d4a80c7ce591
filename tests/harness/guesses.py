"""A flood of guesses at a password, each from an address of its own, as behind a trusted proxy: a function for `aside.py`."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from typing import TYPE_CHECKING

from harness.aio import run

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

STEP_SECONDS = 0.01
MAX_CONNECTIONS = 900


def guess(line: Connection, port: int, per_second: int) -> None:
    """Guess at `/a` for `ann` at a steady pace. Each message on the line is answered with how many were sent, and a count of
    the statuses that came back.
    """

    async def main() -> None:
        flood = _Flood(port)
        begun = time.monotonic()
        while True:
            while flood.sent < (time.monotonic() - begun) * per_second:
                flood.send()
            if line.poll():
                try:
                    line.recv()
                except EOFError:
                    break
                line.send((flood.sent, dict(flood.statuses)))
            await asyncio.sleep(STEP_SECONDS)
        await flood.close()

    run(main())


class _Flood:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.statuses: Counter[int] = Counter()

    def send(self) -> None:
        self.sent += 1
        if len(self._tasks) < MAX_CONNECTIONS:
            task = asyncio.create_task(self._one(self.sent))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, number: int) -> None:
        try:
            streams = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            self.statuses[0] += 1
            return
        reader, writer = streams
        credential = base64.b64encode(f"ann:guess{number}".encode()).decode()
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        writer.write(
            f"GET /a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\nAuthorization: Basic {credential}\r\n\r\n".encode()
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(row for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        except (OSError, asyncio.IncompleteReadError):
            self.statuses[0] += 1
            writer.close()
            return
        self.statuses[int(head[9:12])] += 1
        self._idle.append(streams)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, writer in self._idle:
            writer.transport.abort()
