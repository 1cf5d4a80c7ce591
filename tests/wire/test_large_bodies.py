"""Case 40: bodies stream both ways in constant memory, and a side that does not read is not sent more than it can hold."""

from __future__ import annotations

import threading
import time

import pytest

from harness.client import compose
from harness.descriptions import describe
from harness.waiting import holds_for, wait_until

API = describe({"/a": ["get", "post"]})
PIECE = b"x" * 262_144
PARALLEL = 20
GROWTH_KB = 24 * 1024  # far below what is moved, whatever the sockets' buffers hold


def _give(pieces):
    def script(talk):
        talk.read_body()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PIECE) * pieces))
        for _ in range(pieces):
            talk.send(PIECE)

    return script


def test_case_40_memory_stays_flat_while_bodies_stream(gateway, backend):
    _stream(gateway(API), backend, mebibytes=32, seconds=60)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_case_40_memory_stays_flat_while_gigabytes_stream(gateway, backend):
    _stream(gateway(API), backend, mebibytes=1_024, seconds=1_000)


def _stream(running, backend, *, mebibytes, seconds):
    """So many up and then down on each of 20 connections at once, and what the gateway holds meanwhile."""
    pieces = mebibytes * 4
    size = len(PIECE) * pieces
    backend.script = _give(4)
    with running.connect() as client:
        assert client.get("/a").size == len(PIECE) * 4
    backend.script = _give(pieces)
    before = running.memory_kb()
    answers = []
    seen = [before]

    def move():
        with running.connect(timeout=60) as client:
            client.send(compose("POST", "/a", [("Content-Length", str(size))]))
            for _ in range(pieces):
                client.send(PIECE)
            answers.append(client.answer())

    begun = time.monotonic()
    movers = [threading.Thread(target=move) for _ in range(PARALLEL)]
    for mover in movers:
        mover.start()
    wait_until(lambda: seen.append(running.memory_kb()) or not any(m.is_alive() for m in movers), seconds=seconds)
    took = time.monotonic() - begun
    after = running.memory_kb()
    grown = [f"{(kb - before) / 1024:.1f} MB" for kb in (max(seen), after)]
    print(
        f"{PARALLEL} x {mebibytes} MiB each way in {took:.1f} s: memory grew by {grown[0]} at most, by {grown[1]} in the end"
    )
    assert [answer.size for answer in answers] == [size] * PARALLEL
    assert all(request.size == size for request in backend.requests[1:])
    assert max(seen) - before < GROWTH_KB


def test_case_40_a_client_that_does_not_read_holds_the_backend_back(gateway, backend):
    sent = []

    def give(talk):
        talk.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            talk.send(b"40000\r\n" + PIECE + b"\r\n")
            sent.append(1)

    backend.script = give
    running = gateway(API)
    with running.connect() as client:
        client.send(compose("GET", "/a"))
        client.reader.head()
        _wait_until_still(sent)
        assert len(sent) * len(PIECE) < 32 * 1024 * 1024


def test_case_40_a_backend_that_does_not_read_holds_the_client_back(gateway, backend):
    backend.script = lambda talk: talk.wait(seconds=20)
    running = gateway(API)
    before = running.memory_kb()
    sent = 0
    with running.connect(timeout=0.5) as client:
        client.send(compose("POST", "/a", [("Content-Length", str(10**9))]))
        try:
            while sent < 64 * 1024 * 1024:
                client.send(PIECE)
                sent += len(PIECE)
        except TimeoutError:
            pass
        assert sent < 64 * 1024 * 1024
        assert running.memory_kb() - before < GROWTH_KB
        client.reset()


def test_events_are_passed_on_singly(gateway, backend):
    """Case 44: an event of a stream reaches the client while the stream goes on."""
    following = threading.Event()

    def events(talk):
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        talk.send(b"9\r\ndata: 1\n\n\r\n")
        talk.wait(following)
        talk.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    backend.script = events
    with gateway(API).connect() as client:
        client.send(compose("GET", "/a"))
        client.reader.head()
        while b"data: 1" not in client.reader.buffer:
            client.reader.fill()
        assert b"data: 2" not in client.reader.buffer
        following.set()
        while b"0\r\n\r\n" not in client.reader.buffer:
            client.reader.fill()


def _wait_until_still(sent):
    """Until nothing was sent for a while."""

    def still():
        count = len(sent)
        try:
            holds_for(lambda: len(sent) == count, seconds=0.5)
        except AssertionError:
            return False
        return True

    wait_until(still, "the backend is held back", seconds=10)
