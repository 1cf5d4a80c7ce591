"""R16: clients that are slow by the thousand, with their heads, their bodies or their reading, cost little and end in time.

The clients, their backend, the gateway and the probes each have a process of their own. Each flood prints what a connection
costs and how long health probes take, from the first slow client to the end of the last. They are held against the probes of
another gateway, which is quiet all the while, so that whatever else keeps the machine busy slows down both.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from harness.aside import Aside, crowd, probe, serve
from harness.descriptions import describe
from harness.process import GatewayProcess
from harness.streams import Turn, say_ok
from harness.waiting import holds_for, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "[listenerConfig]\n{}maxConnections = 15000\n[httpClients.poolConfig]\nmaxActiveConnections = -1\n"
PROBE = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# What a client sends at once, what it adds each second, and whether it looks for its end: one that looked would read.
KINDS = {
    "heads": (b"GET /a HTTP/1.1\r\nHost: a\r\nX-", b"x", True),
    "bodies": (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx", b"", True),
    "readers": (b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", b"", False),
}
GOAL_KB = 10.0  # for each client, its connection to a backend included
FIRST_KB = 1_000.0  # what the first client of a kind makes the process load
LATE_SECONDS = 3.0  # after the limit, all are gone
BIG = b"x" * 4_000_000  # more than the system holds for a client that does not read


class Flood(NamedTuple):
    """How many come, how many of them in a second, and the gateway's limit for them."""

    count: int
    per_second: int
    limit_seconds: int


async def _script(turn: Turn) -> None:
    if "/big" not in turn.request.start:
        await say_ok(turn)
        return
    await turn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
    await turn.send(BIG)


class Found(NamedTuple):
    """What a flood did: kilobytes for each client, seconds until the last was gone, times of probes there and elsewhere."""

    cost_kb: float
    gone_seconds: float
    times: list[float | None]
    quiet: list[float | None]


def _flood(folder: Path, kind: str, flood: Flood) -> Found:
    limits = "".join(f"{name}TimeoutInMillis = {flood.limit_seconds}000\n" for name in ("header", "body", "idle"))
    settings = SETTINGS.format(limits)
    with ExitStack() as running:
        backend = running.enter_context(Aside(serve, _script, 65_536))
        api = describe({"/a": ["get", "post"], "/big": ["get"]}, backend=f"http://127.0.0.1:{backend.hear()}")
        gateways = []
        for name in ("flooded", "quiet"):
            (folder / name).mkdir()
            gateways.append(running.enter_context(GatewayProcess(folder / name, [api], settings=settings)))
        gateway = gateways[0]
        probes = [running.enter_context(Aside(probe, one.http, PROBE)) for one in gateways]
        for one in probes:
            one.ask()
        before = gateway.memory_kb()
        clients = running.enter_context(Aside(crowd, gateway.http, KINDS[kind], (flood.count, flood.per_second)))
        clients.hear(seconds=60)
        opened = time.monotonic()
        if kind != "heads":
            wait_until(lambda: _in_flight(gateway) > 0.9 * flood.count, "they are in flight")
        cost_kb = (gateway.memory_kb() - before) / flood.count
        patience = flood.limit_seconds + 30
        if kind == "readers":
            wait_until(lambda: _in_flight(gateway) == 0, "none is in flight", seconds=patience)
        else:
            wait_until(lambda: clients.ask() == 0, "none is there", seconds=patience)
        gone_seconds = time.monotonic() - opened
        return Found(cost_kb, gone_seconds, *(one.ask() for one in probes))


def _in_flight(gateway: GatewayProcess) -> int:
    """Requests in flight, asked for seldom: the page of metrics costs the machine more than a probe."""
    holds_for(lambda: True, seconds=0.2)
    page = gateway.metrics()
    return int(page.partition("\nhttp_server_active_requests ")[2].partition("\n")[0])


def _p99(times: list[float | None]) -> float:
    assert None not in times, f"{times.count(None)} of {len(times)} probes failed"
    ordered = sorted(time for time in times if time is not None)
    return ordered[len(ordered) * 99 // 100]


def _check(folder: Path, kind: str, flood: Flood, cost_kb: float, noise_seconds: float) -> None:
    found = _flood(folder, kind, flood)
    during, quiet = _p99(found.times), _p99(found.quiet)
    print(
        f"{flood.count} slow {kind}: {found.cost_kb:.1f} KB each, gone {found.gone_seconds:.1f} s after the last came "
        f"(limit {flood.limit_seconds}), p99 of {len(found.times)} probes {during * 1000:.1f} ms (quiet {quiet * 1000:.1f})"
    )
    assert found.cost_kb <= cost_kb + FIRST_KB / flood.count
    assert found.gone_seconds <= flood.limit_seconds + LATE_SECONDS
    assert during <= 2 * quiet + noise_seconds


# The short form: a few of them, on a machine that has other work, where a hundredth of the probes is three or four.
@pytest.mark.parametrize(
    ("kind", "flood", "cost_kb", "noise_seconds"),
    [
        ("heads", Flood(1_000, 1_000, 2), GOAL_KB, 0.2),
        ("bodies", Flood(600, 400, 2), GOAL_KB, 0.2),
        (
            "readers",
            Flood(600, 400, 2),
            24.0,
            0.5,
        ),  # half a megabyte for each waits in the system, which stalls at times
    ],
    ids=["heads", "bodies", "readers"],
)
def test_r16_slow_clients_are_cheap_and_end_in_time(
    tmp_path: Path, kind: str, flood: Flood, cost_kb: float, noise_seconds: float
):
    _check(tmp_path, kind, flood, cost_kb, noise_seconds)


# The goal itself.
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "flood"),
    [("heads", Flood(10_000, 1_000, 15)), ("bodies", Flood(3_000, 300, 15)), ("readers", Flood(3_000, 300, 15))],
    ids=["heads", "bodies", "readers"],
)
def test_r16_slow_clients_by_the_thousand(tmp_path: Path, kind: str, flood: Flood):
    _check(tmp_path, kind, flood, GOAL_KB, noise_seconds=0.005)
