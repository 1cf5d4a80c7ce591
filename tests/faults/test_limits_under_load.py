"""R15 with the real gateway: ten times the limit, window after window, over all workers."""

from __future__ import annotations

import asyncio
import time

import pytest

from harness.credentials import bearer
from harness.descriptions import describe

LIMIT = 40  # a second
CONNECTIONS = 8
PERIOD = 1.0


async def ask(port: int, request: bytes, begin: float, end: float) -> tuple[int, int]:
    """Ask from one moment of the wall clock to another, evenly; how many passed and how many were refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    pause = CONNECTIONS * PERIOD / (10 * LIMIT)
    admitted = refused = 0
    due = begin
    while due < end:
        await asyncio.sleep(max(0.0, due - time.time()))
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        status = head[9:12]
        assert status in (b"200", b"429"), head
        admitted, refused = admitted + (status == b"200"), refused + (status == b"429")
        due += pause
    writer.close()
    return admitted, refused


async def flood(port: int, windows: int) -> tuple[int, int]:
    name, value = bearer(sub="alice")
    request = f"GET /a HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n".encode()
    # Within whole windows: they begin where the clock is a multiple of their length.
    begin = (time.time() + 1.0) // PERIOD * PERIOD + PERIOD + 0.05
    end = begin + windows * PERIOD - 0.15
    found = await asyncio.gather(*(ask(port, request, begin, end) for _ in range(CONNECTIONS)))
    return sum(one for one, _ in found), sum(other for _, other in found)


@pytest.mark.parametrize("windows", [3, pytest.param(10, marks=pytest.mark.long)])
def test_r15_at_ten_times_the_limit_each_window_admits_the_limit(gateway, windows):
    policies = f"subscriptionPolicies:\n  - Default: {{count: {LIMIT}, unitTime: 1, timeUnit: sec}}\n"
    running = gateway(
        describe(["/a"], secured=True),
        files={"policies.yaml": policies},
        settings="[runtimeConfig]\nworkers = 4\n",
    )
    admitted, refused = asyncio.run(flood(running.http, windows))
    print(f"{windows} windows: {admitted} admitted of {admitted + refused}, limit {LIMIT} a second")
    # A client that is slow ends later than it means to, in a window of its own.
    assert LIMIT * windows <= admitted <= LIMIT * (windows + 1)
    assert refused > admitted
