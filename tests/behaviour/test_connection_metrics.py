"""What a running gateway counts of connections, on both sides: each counter is moved by what its sentence says."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from time import monotonic

from harness.backend import respond
from harness.credentials import mint
from harness.descriptions import describe
from harness.waiting import wait_until


def value(running, name):
    """The value of a metric without labels."""
    [line] = [line for line in running.metrics().splitlines() if line.startswith(f"microgate_{name} ")]
    return float(line.rpartition(" ")[2])


def becomes(running, name, count):
    wait_until(lambda: value(running, name) == count, f"{name} is {count}")


@contextmanager
def full_listener():
    """The port of a listener whose queue is full: a further connection is neither taken nor refused."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_open_connections_are_seen(gateway):
    running = gateway(describe(["/a"]))
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(running.connect()).get("/a")
        becomes(running, "connections", 3)
        assert value(running, "connections_accepted_total") == 3
    becomes(running, "connections", 0)


def test_connections_that_bring_nothing_are_counted(gateway):
    times = "headerTimeoutInMillis = 300\nidleTimeoutInMillis = 300\n"
    running = gateway(describe(["/a"]), settings=f"[listenerConfig]\n{times}")
    with running.connect() as silent, running.connect() as idle:
        assert idle.get("/a").status == 200
        assert silent.is_closed()
        assert idle.is_closed()
    becomes(running, "connections_idle_closed_total", 2)
    assert value(running, "connections_used_up_total") == 0


def test_connections_that_are_used_up_are_counted(gateway):
    running = gateway(describe(["/a"]), settings="[listenerConfig]\nmaxRequestsPerConnection = 2\n")
    for _ in range(2):
        with running.connect() as client:
            assert [client.get("/a").status for _ in range(2)] == [200, 200]
            assert client.is_closed()
    becomes(running, "connections_used_up_total", 2)
    assert value(running, "connections_idle_closed_total") == 0


def test_wrong_proxy_headers_are_counted(gateway):
    running = gateway(
        describe(["/a"]), settings='[listenerConfig]\nproxyProtocol = true\ntrustedProxies = ["127.0.0.0/8"]\n'
    )
    for start in ("", "PROXY TCP4 nonsense\r\n", "PROXY UNKNOWN\r\n"):
        with running.connect() as client:
            client.send(f"{start}GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            client.until_closed()
    becomes(running, "proxy_protocol_errors_total", 2)


def test_pauses_of_pipelines_are_counted(gateway, backend):
    running = gateway(describe(["/a"]))
    one = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    with running.connect() as client:
        client.send(one)
        assert client.answer().status == 200
        assert value(running, "pipelining_pauses_total") == 0
        client.send(one * 3)
        assert [client.answer().status for _ in range(3)] == [200] * 3
    becomes(running, "pipelining_pauses_total", 1)


def test_connections_to_backends_are_counted(gateway, backend):
    running = gateway(describe(["/a"]))
    with running.connect() as client:
        for _ in range(5):
            assert client.get("/a").status == 200
        assert value(running, "upstream_connections") == 1
        assert value(running, "upstream_connections_opened_total") == 1
        backend.script = lambda talk: talk.reset()
        assert client.get("/a").status == 502
    becomes(running, "upstream_connections", 0)
    # The reused connection was lost, and so was the fresh one on which the request was sent again.
    assert value(running, "upstream_connections_opened_total") == 2
    assert value(running, "upstream_resends_total") == 1


def test_backends_that_cannot_be_reached_are_counted(gateway):
    running = gateway(describe(["/a"], backend="http://127.0.0.1:1"))
    with running.connect() as client:
        assert [client.get("/a").status for _ in range(2)] == [502, 502]
    becomes(running, "upstream_connect_failures_total", 2)
    assert value(running, "upstream_connections") == 0


def test_requests_that_wait_for_a_connection_are_counted(gateway, backend):
    release = threading.Event()

    def held(talk):
        talk.wait(release)
        respond()(talk)

    backend.script = held
    running = gateway(describe(["/a"]), settings="[httpClients]\npoolConfig.maxActiveConnections = 1\n")
    with running.connect() as first, running.connect() as second:
        for client in (first, second):
            client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        becomes(running, "upstream_waits_total", 1)
        release.set()
        assert (first.answer().status, second.answer().status) == (200, 200)


def test_verified_tokens_are_counted_once(gateway):
    running = gateway(describe(["/a"], secured=True))
    token = mint(subject="ann")
    with running.connect() as client:
        for _ in range(3):
            assert client.get("/a", ("Authorization", f"Bearer {token}")).status == 200
    becomes(running, "token_verifications_total", 1)


def test_waiting_for_a_connection_is_the_backends_time(gateway, backend):
    release = threading.Event()

    def held(talk):
        talk.wait(release)
        respond()(talk)

    backend.script = held
    running = gateway(describe(["/a"]), settings="[httpClients]\npoolConfig.maxActiveConnections = 1\n")
    with running.connect() as first, running.connect() as second:
        first.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_for(1)
        began = monotonic()
        second.send("GET /a?second HTTP/1.1\r\nHost: a\r\n\r\n")
        becomes(running, "upstream_waits_total", 1)
        wait_until(lambda: monotonic() - began > 0.4, "the second one has waited")
        release.set()
        assert (first.answer().status, second.answer().status) == (200, 200)
    line = running.log_lines(2)[1]
    assert line["upstream_ms"] >= 250
    assert line["gateway_ms"] + line["upstream_ms"] <= line["duration_ms"]
    assert line["gateway_ms"] < 150


def test_a_connection_that_never_came_about_is_the_backends_time(gateway):
    """Nobody takes the connections of the listener behind this endpoint, so that the connect timeout ends the wait."""
    with full_listener() as port:
        running = gateway(
            describe(["/a"], backend=f"http://127.0.0.1:{port}"),
            settings="[httpClients]\nconnectTimeoutInMillis = 400\n",
        )
        with running.connect() as client:
            assert client.get("/a").status == 504
    [line] = running.log_lines(1)
    assert line["upstream_ms"] >= 350
    assert line["gateway_ms"] < 150


def test_the_health_resource_has_a_row_of_its_own(gateway):
    running = gateway(describe(["/a"]))
    with running.connect() as client:
        assert client.get("/health").status == 200
        assert client.get("/nothing").status == 404
    wait_until(lambda: len(running.log_lines(2)) == 2)
    counts = [line for line in running.metrics().splitlines() if "request_duration_seconds_count{" in line]
    assert sorted('operation_id="health"' in line for line in counts) == [False, True]
    assert sorted('http_route="/health"' in line for line in counts) == [False, True]
