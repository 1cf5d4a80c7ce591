"""Case 56, the connections that a stop finds without a request: which of them are waited for, and how the others end."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from behaviour.processes.running import is_refused, unchecked
from harness.client import Client
from harness.descriptions import BACKEND, describe
from harness.process import GatewayProcess
from harness.waiting import wait_until

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from harness.backend import Backend

BOTH = pytest.mark.parametrize("tls", [None, unchecked()], ids=["plain", "tls"])


@contextmanager
def serving(folder: Path, backend: Backend, grace_ms: int = 10_000) -> Iterator[GatewayProcess]:
    settings = (
        "[listenerConfig]\nhttpPort = 0\nhttpsPort = 0\n"
        f"[runtimeConfig]\nworkers = 1\ngracePeriodInMillis = {grace_ms}\n"
    )
    gateway = GatewayProcess(folder, [describe(["/a"]).replace(BACKEND, backend.url)], settings=settings).start()
    try:
        yield gateway
    finally:
        gateway.stop()


def connect(gateway: GatewayProcess, tls: ssl.SSLContext | None) -> Client:
    return Client(gateway.https if tls else gateway.http, tls=tls)


def begin_stop(gateway: GatewayProcess) -> None:
    gateway.process.terminate()
    wait_until(lambda: is_refused(gateway.http), "new connections are refused")


@BOTH
def test_case_56_a_connection_without_a_request_yet_may_bring_one_when_used_ones_are_closed(
    tmp_path: Path, backend: Backend, tls: ssl.SSLContext | None
) -> None:
    with serving(tmp_path, backend) as gateway, connect(gateway, tls) as silent, connect(gateway, None) as used:
        assert used.get("/a").status == 200
        begin_stop(gateway)
        assert used.is_closed(within=1.8)
        answer = silent.get("/a")
        assert answer.status == 200
        assert ("Connection", "close") in answer.headers
        assert silent.is_closed()
        silent.socket.close()
        used.socket.close()
        assert gateway.process.wait(2) == 0


def test_case_56_who_speaks_too_late_finds_an_end_and_no_reset(tmp_path: Path, backend: Backend) -> None:
    with serving(tmp_path, backend) as gateway, connect(gateway, None) as client:
        begin_stop(gateway)
        assert client.is_closed(within=4)
        for _ in range(2):  # a reset would answer the first, and the second could not be sent
            client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert client.until_closed() == b""
        assert gateway.process.poll() is None
        client.socket.close()
        assert gateway.process.wait(2) == 0
        assert backend.requests == []


@BOTH
def test_a_silent_connection_holds_up_the_exit_for_seconds_at_most(
    tmp_path: Path, backend: Backend, tls: ssl.SSLContext | None
) -> None:
    with serving(tmp_path, backend) as gateway, connect(gateway, tls):
        told = monotonic()
        begin_stop(gateway)
        assert gateway.process.wait(7) == 0
        assert monotonic() - told < 6


def test_a_silent_connection_is_not_waited_for_longer_than_the_grace_period(tmp_path: Path, backend: Backend) -> None:
    with serving(tmp_path, backend, grace_ms=400) as gateway, connect(gateway, None) as client:
        told = monotonic()
        begin_stop(gateway)
        assert client.is_closed(within=1.5)
        assert gateway.process.wait(2) == 0
        assert monotonic() - told < 1.9
