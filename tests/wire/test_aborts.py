"""Case 39: each side learns within a second that the other is gone, while a message is streamed and while nothing is."""

from __future__ import annotations

import threading
import time

import pytest

from harness.client import compose
from harness.descriptions import describe
from harness.waiting import wait_until

API = describe({"/a": ["get", "post"]})
SECONDS = 1.0


def _stall(talk):
    talk.wait_for_end()


def _stream_without_end(talk):
    talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        talk.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


@pytest.mark.parametrize("how", ["close", "reset", "finish_sending"])
def test_case_39_the_backend_learns_that_a_waiting_client_left(gateway, backend, how):
    backend.script = _stall
    running = gateway(API)
    with running.connect() as client:
        client.send(compose("GET", "/a"))
        backend.wait_for(1)
        left = time.monotonic()
        {"close": client.socket.close, "reset": client.reset, "finish_sending": client.finish_sending}[how]()
        wait_until(lambda: backend.connections[0].ended, "the backend's connection is ended", seconds=5)
        assert time.monotonic() - left < SECONDS
    line = running.log_lines()[0]
    assert line["status"] == 499


@pytest.mark.parametrize("how", ["close", "reset"])
def test_case_39_the_backend_learns_that_a_client_left_a_stream(gateway, backend, how):
    """The client does not read, so that the gateway has stopped reading on both sides when it leaves."""
    backend.script = _stream_without_end
    with gateway(API).connect() as client:
        client.send(compose("GET", "/a"))
        client.reader.head()
        wait_until(lambda: backend.connections[0].requests)
        left = time.monotonic()
        {"close": client.socket.close, "reset": client.reset}[how]()
        wait_until(lambda: backend.connections[0].ended, "the backend's connection is ended", seconds=5)
        assert time.monotonic() - left < SECONDS


def test_case_39_the_backend_learns_that_a_client_left_its_upload(gateway, backend):
    """The backend does not read, so that the client's side is paused when the client leaves."""
    backend.script = lambda talk: talk.wait(seconds=20)
    running = gateway(API)
    with running.connect(timeout=0.5) as client:
        client.send(compose("POST", "/a", [("Content-Length", "100000000")]))
        try:
            while True:
                client.send(b"x" * 65_536)
        except TimeoutError:
            pass  # everything between us and the backend is full
        client.reset()
    assert running.log_lines()[0]["status"] == 499


def test_case_39_the_client_learns_that_the_backend_reset(gateway, backend):
    backend_may_reset = threading.Event()

    def reset_later(talk):
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        talk.wait(backend_may_reset)
        talk.reset()

    backend.script = reset_later
    with gateway(API).connect() as client:
        client.send(compose("GET", "/a"))
        start, _, _ = client.reader.head()
        assert start == "HTTP/1.1 200 OK"
        begun = time.monotonic()
        backend_may_reset.set()
        client.until_closed()
        assert time.monotonic() - begun < SECONDS


def test_case_39_a_slot_is_free_after_the_client_left(gateway, backend):
    """With one connection allowed to the backend, the next request is served once the first client is gone."""
    backend.scripts["/a"] = _stall
    running = gateway(
        describe({"/a": ["get"], "/b": ["get"]}),
        settings="[httpClients.poolConfig]\nmaxActiveConnections = 1\nwaitTimeInMillis = 4000\n",
    )
    with running.connect() as first, running.connect() as second:
        first.send(compose("GET", "/a"))
        backend.wait_for(1)
        second.send(compose("GET", "/b"))
        first.reset()
        assert second.answer().status == 200
