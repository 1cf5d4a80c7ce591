"""Functions of a test that run in processes of their own, so that what they do delays nothing that the test measures.

`Aside(function, *arguments)` calls `function(line, *arguments)`; both sides talk over their end of the line. Here too: slow
clients by the thousand, and probes at a steady pace. Backends are in `streams.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import resource
import socket
import time
from typing import TYPE_CHECKING, Any, Self

from harness.aio import run
from harness.streams import Script, StreamBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

END_SECONDS = 10.0
PROBE_SECONDS = 0.01  # from one probe to the next
PROBE_TIMEOUT_SECONDS = 5.0
STEP_SECONDS = 0.01


class Aside:
    """A process that ends with the `with` block at the latest."""

    def __init__(self, function: Callable[..., None], *arguments: object) -> None:
        # Not forked: a test has threads.
        context = multiprocessing.get_context("spawn")
        self._line, self._far_end = context.Pipe()
        self._process = context.Process(target=function, args=(self._far_end, *arguments), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._far_end.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            raise AssertionError("a process aside does not end")

    def hear(self, *, seconds: float = 30.0) -> Any:
        """What it says next."""
        assert self._line.poll(seconds), f"nothing within {seconds} s"
        return self._line.recv()

    def say(self, message: object) -> None:
        """What is answered later, to be heard then."""
        self._line.send(message)

    def ask(self, message: object = None, *, seconds: float = 30.0) -> Any:
        """Say something, and hear the answer."""
        self._line.send(message)
        return self.hear(seconds=seconds)


def serve(line: Connection, script: Script, send_buffer_bytes: int = 0) -> None:
    """A backend that says its port, and serves until the line ends; what it has sent waits in a buffer of this size."""
    raise_descriptor_limit()

    async def main() -> None:
        async with StreamBackend(script) as backend:
            if send_buffer_bytes:
                for sock in backend.sockets:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            line.send(backend.port)
            await end_of(line)

    run(main())


def crowd(line: Connection, port: int, kind: tuple[bytes, bytes, bool], counts: tuple[int, int]) -> None:
    """Slow clients: `counts` of them, and how many come in a second. They say when all are there.

    Each sends the first piece of its `kind` and then, if there is one, the second each second; the third says whether it
    looks for the end of its connection. Asked, they tell how many still have one.
    """
    first, drip, looks = kind
    count, per_second = counts
    raise_descriptor_limit()
    there = set()
    begun = time.monotonic()
    for number in range(count):
        while time.monotonic() < begun + number / per_second:
            time.sleep(STEP_SECONDS)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        sock.sendall(first)
        there.add(sock)
    line.send(count)
    dripped = time.monotonic()
    with contextlib.suppress(EOFError):
        while True:
            if drip and time.monotonic() > dripped + 1:
                dripped = time.monotonic()
                for sock in there:
                    with contextlib.suppress(OSError):
                        sock.send(drip)
            if line.poll(STEP_SECONDS):
                line.recv()
                line.send(len(there))
            if looks:
                there -= {sock for sock in there if _has_ended(sock)}


def _has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def probe(line: Connection, port: int, request: bytes) -> None:
    """Ask a port at a steady pace; to each message on the line answer with the seconds that each answer took since the last.

    A probe that had to wait for the one before counts from when it was due. One without an answer of status 200 is None.
    """
    times: list[float | None] = []
    due = time.monotonic()
    with contextlib.suppress(EOFError):
        while True:
            if line.poll(max(0.0, due - time.monotonic())):
                line.recv()
                line.send(times)
                times = []
            else:
                times.append(_time_of_one(port, request, due))
                due += PROBE_SECONDS


def _time_of_one(port: int, request: bytes, due: float) -> float | None:
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT_SECONDS) as sock:
            sock.sendall(request)
            answer = b""
            while piece := sock.recv(65_536):
                answer += piece
    except OSError:
        return None
    return time.monotonic() - due if answer.startswith(b"HTTP/1.1 200 ") else None


async def end_of(line: Connection) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(line.fileno(), ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(line.fileno())


def raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
