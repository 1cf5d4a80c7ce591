"""Case 34, shortened: hundreds of slow clients cost nobody anything and are all gone in time."""

from __future__ import annotations

import socket
import time

from harness.descriptions import describe
from harness.waiting import wait_until

CLIENTS = 300
PIECES = [
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5",
    b"",
]


def _gone(connection):
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def test_case_34_slow_clients_are_given_up_and_others_served_meanwhile(gateway, backend):
    running = gateway(
        describe({"/a": ["get", "post"]}),
        settings="[listenerConfig]\nheaderTimeoutInMillis = 1000\nbodyTimeoutInMillis = 1000\nidleTimeoutInMillis = 1000\n",
    )
    before = running.memory_kb()
    slow = []
    try:
        for number in range(CLIENTS):
            connection = socket.create_connection(("127.0.0.1", running.http), 5)
            connection.sendall(PIECES[number % len(PIECES)])
            connection.setblocking(False)
            slow.append(connection)
        growth_kb = running.memory_kb() - before
        with running.connect() as client:
            for _ in range(20):
                begun = time.monotonic()
                assert client.get("/a").status == 200
                assert time.monotonic() - begun < 0.5
        wait_until(lambda: all(_gone(connection) for connection in slow), "all are given up", seconds=4)
    finally:
        for connection in slow:
            connection.close()
    # Half of them reached the backend with part of a body: their connections there count too.
    assert growth_kb / CLIENTS < 40
