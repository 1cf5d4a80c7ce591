"""Case 38: connect and response limits of a backend fire on time, with the cause named in the log."""

from __future__ import annotations

import time

from harness.backend import respond, unreachable
from harness.descriptions import describe


def test_case_38_a_connection_that_hangs_is_504_in_time(gateway):
    with unreachable() as port:
        running = gateway(describe(["/a"], backend=f"http://127.0.0.1:{port}", x_microgate_timeouts={"connect": 300}))
        with running.connect() as client:
            begun = time.monotonic()
            answer = client.get("/a")
            assert (answer.status, answer.fault) == (504, 101504)
            assert 0.25 < time.monotonic() - begun < 1.0
        line = running.log_lines()[0]
        assert "connect" in line["reason"] or "timeout" in line["reason"]


def test_case_38_a_response_limit_fires_within_100_ms(gateway, backend):
    backend.script = lambda talk: talk.wait_for_end()
    running = gateway(describe(["/a"], x_microgate_timeouts={"response": 400}))
    with running.connect() as client:
        begun = time.monotonic()
        assert client.get("/a").status == 504
        assert 0.35 < time.monotonic() - begun < 0.6
    line = running.log_lines()[0]
    assert line["status"] == 504
    assert line["decided_by"] == "gateway"
    assert "timeout" in line["reason"]


def test_case_38_a_slow_answer_within_its_limits_passes(gateway, backend):
    """Each pause is below the idle limit; the whole is longer than it."""

    def trickle(talk):
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            talk.wait(seconds=0.1)
            talk.send(b"x")

    backend.script = trickle
    with gateway(describe(["/a"], x_microgate_timeouts={"idle": 400})).connect() as client:
        assert client.get("/a").body == b"xxxxxx"


def test_a_wait_for_a_free_connection_ends_in_503(gateway, backend):
    backend.scripts["/held"] = lambda talk: talk.wait_for_end()
    running = gateway(
        describe(["/held", "/a"]),
        settings="[httpClients.poolConfig]\nmaxActiveConnections = 1\nwaitTimeInMillis = 300\n",
    )
    with running.connect() as first, running.connect() as second:
        first.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_for(1)
        answer = second.get("/a")
        assert answer.status == 503
        assert answer.header("retry-after") is not None
    backend.scripts["/a"] = respond()
