"""A stop that cuts requests off: each of them leaves one line in the access log with the reason, whatever it was doing."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from harness.backend import raw
from harness.descriptions import describe
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.backend import Backend
    from harness.process import GatewayProcess


def begin_all(running: GatewayProcess, backend: Backend, opened: ExitStack) -> int:
    """Requests of every kind in flight; how many."""
    for path in ("/waiting", "/waiting", "/answering"):
        client = opened.enter_context(running.connect())
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    client = opened.enter_context(running.connect())
    client.send("POST /waiting HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
    client = opened.enter_context(running.connect())
    client.send("GET /waiting HTTP/1.1\r\nHost: a\r\n\r\nGET /behind HTTP/1.1\r\nHost: a\r\n\r\n")
    backend.wait_for(5)
    wait_until(lambda: "http_server_active_requests 5" in running.metrics(), "all have begun")
    return 6


@pytest.mark.parametrize("by", ["second signal", "grace period"])
def test_r29_each_request_that_is_cut_off_leaves_one_line(gateway: Callable[..., GatewayProcess], backend, by: str):
    grace_ms = 30_000 if by == "second signal" else 300
    settings = f"[runtimeConfig]\nworkers = 2\ngracePeriodInMillis = {grace_ms}\n"
    running = gateway(
        describe({"/waiting": ["get", "post"], "/answering": ["get"], "/behind": ["get"]}), settings=settings
    )
    backend.script = lambda talk: talk.wait_for_end()
    backend.scripts["/answering"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then="hold")
    with ExitStack() as opened:
        count = begin_all(running, backend, opened)
        assert running.process is not None
        running.process.send_signal(signal.SIGTERM)
        if by == "second signal":
            wait_until(lambda: "stopping" in running.output)
            running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(5) == 0
    lines = running.log_lines(count)
    assert len({line["request_id"] for line in lines}) == len(lines) == count
    assert {line["reason"] for line in lines} == {"gateway.stopped"}
    shown = sorted((line["path"], line["status"], line["decided_by"], line["response_flag"]) for line in lines)
    assert shown == [
        ("/answering", 200, "backend", "-"),
        ("/behind", 503, "gateway", "-"),
        *[("/waiting", 503, "gateway", "-")] * 4,
    ]
