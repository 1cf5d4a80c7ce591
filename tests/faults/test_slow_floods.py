"""R16: clients that are slow by the thousand, with their heads, their bodies or their reading, cost little and end in time.

Each flood prints what a connection costs; meanwhile the health resource and an ordinary request are answered as before.
"""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from harness.aio import pace, run, until
from harness.descriptions import describe
from harness.process import GatewayProcess
from harness.streams import StreamBackend, Turn, read_answer, say_ok

LIMIT_SECONDS = 3.0
SETTINGS = (
    "[listenerConfig]\nheaderTimeoutInMillis = 3000\nbodyTimeoutInMillis = 3000\nidleTimeoutInMillis = 3000\n"
    "maxConnections = 15000\n[httpClients.poolConfig]\nmaxActiveConnections = -1\n"
)
PIECES = {
    "heads": b"GET /a HTTP/1.1\r\nHost: a\r\nX-",
    "bodies": b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    "readers": b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
}
FILLING_SECONDS = 0.03  # in which this test's backend fills what the kernel holds for one reader; then its limit begins
COST_KB = {"heads": 10, "bodies": 24, "readers": 700}  # of memory for each client, its connection to a backend included
BIG = b"x" * 8_000_000  # more than the kernel holds for a client that does not read


async def _serve(turn: Turn) -> None:
    if "/big" not in turn.request.start:
        await say_ok(turn)
        return
    await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
    await turn.send(BIG)


async def _open(port: int, count: int, piece: bytes) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, piece)
        opened.append(sock)
    return opened


async def _probe(port: int, stop: asyncio.Event) -> list[float]:
    """Times of health probes, one after the other until told to stop; a failed one is an error."""
    times = []
    while not stop.is_set() or not times:
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(read_answer(reader), 5)
        writer.close()
        assert answer is not None
        assert answer.status == 200
        times.append(time.monotonic() - begun)
        await pace(0.05)
    return times


def _is_gone(sock: socket.socket) -> bool:
    try:
        return sock.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def _flood(folder, kind: str, count: int) -> None:
    async with StreamBackend(_serve) as backend:
        with GatewayProcess(
            folder, [describe({"/a": ["get", "post"], "/big": ["get"]}, backend=backend.url)], settings=SETTINGS
        ) as gateway:
            stop = asyncio.Event()
            port = gateway.http
            quiet = max(await _probe(port, _set()))
            before = gateway.memory_kb()
            probe = asyncio.create_task(_probe(port, stop))
            slow = await _open(port, count, PIECES[kind])
            await pace(0.3)
            cost_kb = (gateway.memory_kb() - before) / count
            opened = time.monotonic()
            if kind == "readers":
                # A client that looked would not be slow, so it is the gateway that is asked.
                assert _in_flight(gateway) > count // 2
                while _in_flight(gateway):
                    assert time.monotonic() - opened < LIMIT_SECONDS + 3 + count * FILLING_SECONDS, (
                        "some are still there"
                    )
                    await pace(0.25)  # the backend is in this loop too
            left = slow if kind != "readers" else []
            while left:
                left = [sock for sock in left if not _is_gone(sock)]
                assert time.monotonic() - opened < LIMIT_SECONDS + 3, f"{len(left)} are still there"
                await pace(0.1)
            took = time.monotonic() - opened
            stop.set()
            times = sorted(await probe)
            for sock in slow:
                sock.close()
            print(
                f"{count} slow {kind}: {cost_kb:.1f} KB each, gone {took:.1f} s after the last came (limit {LIMIT_SECONDS:g}), "
                f"{len(times)} health probes, slowest {times[-1] * 1000:.0f} ms (quiet {quiet * 1000:.0f})"
            )
            assert cost_kb < COST_KB[kind]
            await until(lambda: _in_flight(gateway) == 0, "no request is left")


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def _in_flight(gateway: GatewayProcess) -> int:
    page = gateway.metrics()
    return int(page.partition("\nhttp_server_active_requests ")[2].partition("\n")[0])


@pytest.mark.parametrize(("kind", "count"), [("heads", 1_000), ("bodies", 300), ("readers", 50)])
def test_r16_slow_clients_are_cheap_and_end_in_time(tmp_path, kind, count):
    run(_flood(tmp_path, kind, count))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "count"), [("heads", 10_000), ("bodies", 3_000), ("readers", 100)])
def test_r16_slow_clients_by_the_thousand(tmp_path, kind, count):
    run(_flood(tmp_path, kind, count))
