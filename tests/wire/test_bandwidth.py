"""Bytes of bodies: counted as they pass, over all workers; over an allotment the next request is refused, and a pace holds."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.backend import raw, respond
from harness.descriptions import describe
from harness.waiting import wait_until

TWO_WORKERS = "[runtimeConfig]\nworkers = 2\n"
API = describe({"/a": ["get", "post", "head"]}, x_wso2_throttling_tier="Bytes")

PER_SECOND = 200_000
BURST_BYTES = PER_SECOND // 10
BODY_BYTES = 400_000
PIECE_BYTES = 65_536  # that may be on its way when a pace says stop


def policy(**bandwidth):
    words = ", ".join(f"{key}: {value}" for key, value in bandwidth.items())
    return {"policies.yaml": f"resourcePolicies:\n  - Bytes: {{bandwidth: {{{words}}}}}\n"}


def daily(count, **more):
    return policy(bytes=count, unitTime=1, timeUnit="day", **more)


def paced(**more):
    return policy(bytes=PER_SECOND * 2, unitTime=2, timeUnit="sec", exceeded="slow", **more)


def get(gateway, method="GET", body=None):
    with gateway.connect() as client:
        return client.request(method, "/a", body=body)


def counted(gateway, step, most):
    """How many requests of so many bytes pass before one is refused."""
    for number in range(most + 1):
        if step(gateway).status == 429:
            return number
    return None


def test_over_an_allotment_the_next_request_is_refused(gateway, backend):
    backend.script = respond(b"x" * 4_000)
    running = gateway(API, files=daily(10_000), settings=TWO_WORKERS)
    answers = [get(running) for _ in range(4)]
    assert [(answer.status, len(answer.body)) for answer in answers[:3]] == [(200, 4_000)] * 3
    refused = answers[3]
    assert (refused.status, refused.json["fault"]["code"]) == (429, 900800)
    assert 1 <= int(refused.header("Retry-After")) <= 86_400
    assert refused.header("RateLimit-Policy") == '"Bytes";q=10000;w=86400;qu="content-bytes"'


def test_only_bodies_of_the_named_direction_count(gateway, backend):
    backend.script = respond(b"x" * 4_000)
    running = gateway(API, files=daily(10_000, direction="in"))
    assert [get(running).status for _ in range(5)] == [200] * 5
    assert counted(running, lambda one: get(one, "POST", b"y" * 5_000), 3) == 2


def test_bodies_in_the_smallest_chunks_are_counted_by_their_bytes(gateway):
    running = gateway(API, files=daily(3_000, direction="in"))
    with running.connect() as client:
        for _ in range(2):
            client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(b"1\r\nx\r\n" * 1_499)
            client.send(b"0\r\n\r\n")
            assert client.answer("POST").status == 200
        assert client.request("POST", "/a", body=b"zz").status == 200
        assert client.request("POST", "/a", body=b"").status == 429


def test_answers_without_a_body_count_nothing(gateway, backend):
    backend.script = respond(b"x" * 4_000)
    running = gateway(API, files=daily(4_000))
    assert [get(running, "HEAD").status for _ in range(4)] == [200] * 4
    assert get(running).status == 200
    assert get(running, "HEAD").status == 429


def test_what_has_passed_of_an_aborted_answer_counts(gateway, backend):
    backend.script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000, then="close")
    running = gateway(API, files=daily(150_000), settings=TWO_WORKERS)
    with running.connect() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until_closed()
    backend.script = respond(b"")
    assert get(running).status == 429


def test_a_long_answer_is_counted_while_it_flows(gateway, backend):
    backend.script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000, then="hold")
    running = gateway(API, files=daily(150_000), settings=TWO_WORKERS)
    with running.connect() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        size = 0
        while size < 180_000:
            size += len(client.socket.recv(65_536))
        wait_until(lambda: get(running, "HEAD").status == 429, "the others are refused")


def test_a_day_may_have_more_than_4_gib(gateway, backend):
    backend.script = respond(b"x" * 4_000)
    running = gateway(API, files=daily("6GiB"))
    assert get(running).status == 200


def download(gateway):
    """Seconds that an answer takes, and the longest pause inside it."""
    with gateway.connect() as client:
        begun = before = time.monotonic()
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        size, pause = 0, 0.0
        while size < BODY_BYTES:
            size += len(client.socket.recv(65_536))
            now = time.monotonic()
            pause, before = max(pause, now - before), now
        return now - begun, pause


def test_answers_flow_at_their_pace_without_long_pauses(gateway, backend):
    backend.script = respond(b"x" * BODY_BYTES)
    running = gateway(API, files=paced(direction="out"))
    seconds, pause = download(running)
    assert seconds >= (BODY_BYTES - PIECE_BYTES - BURST_BYTES) / PER_SECOND
    assert seconds < 5
    assert pause < 1.5


def test_all_workers_share_one_pace(gateway, backend):
    backend.script = respond(b"x" * BODY_BYTES)
    running = gateway(API, files=paced(), settings=TWO_WORKERS)
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(running), range(2)))
    assert time.monotonic() - begun >= (2 * BODY_BYTES - 2 * PIECE_BYTES - BURST_BYTES) / PER_SECOND


def test_bodies_of_requests_are_read_at_their_pace_and_nobody_is_taken_for_idle(gateway):
    """All timeouts for a silent peer are shorter than the pauses are in all."""
    running = gateway(
        API,
        files=paced(direction="in"),
        settings="[httpClients]\nidleTimeoutInMillis = 700\n[listenerConfig]\nbodyTimeoutInMillis = 700\n",
    )
    begun = time.monotonic()
    with running.connect() as client:
        answer = client.request("POST", "/a", body=b"x" * BODY_BYTES)
    assert answer.status == 200
    assert time.monotonic() - begun >= (BODY_BYTES - PIECE_BYTES - BURST_BYTES) / PER_SECOND


def test_small_answers_keep_the_pace_too(gateway, backend):
    backend.script = respond(b"x" * 50_000)
    running = gateway(API, files=paced())
    begun = time.monotonic()
    assert [get(running).status for _ in range(8)] == [200] * 8
    assert time.monotonic() - begun >= (7 * 50_000 - BURST_BYTES) / PER_SECOND


@pytest.mark.parametrize("leaves", ["client", "backend"])
def test_slowed_streams_may_break_off(gateway, backend, leaves):
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000
    backend.script = raw(data, then="hold" if leaves == "client" else "reset")
    running = gateway(API, files=paced())
    with running.connect() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        if leaves == "client":
            client.socket.recv(1_000)
            client.reset()
        else:
            assert len(client.until_closed()) < 250_000
    backend.script = respond(b"ok")
    assert get(running).status == 200


def test_whose_turn_would_come_too_late_is_refused(gateway, backend):
    backend.script = respond(b"x" * 15_000)
    files = policy(bytes=1_000, unitTime=1, timeUnit="sec", exceeded="slow")
    running = gateway(API, files=files)
    assert get(running).status == 200
    refused = get(running)
    assert refused.status == 429
    assert 10 <= int(refused.header("Retry-After")) <= 17


def test_a_pace_in_shadow_slows_nobody(gateway, backend):
    backend.script = respond(b"x" * 60_000)
    files = {
        "policies.yaml": "resourcePolicies:\n"
        "  - Bytes: {shadow: true, bandwidth: {bytes: 1000, unitTime: 1, timeUnit: sec, exceeded: slow}}\n"
    }
    running = gateway(API, files=files)
    assert [(answer.status, len(answer.body)) for answer in (get(running) for _ in range(3))] == [(200, 60_000)] * 3
