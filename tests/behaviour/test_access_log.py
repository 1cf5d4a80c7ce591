"""The access log of a running gateway: a line for every request however it ends, and never in anybody's way."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.backend import raw, respond
from harness.client import Client
from harness.descriptions import describe
from harness.waiting import wait_until

LINE_BYTES = 8_000


def one_line(gateway):
    [line] = gateway.log_lines(1)
    return line


def test_case_60_a_served_request(gateway, backend):
    """One line with ids, route, who decided, and the gateway's and the backend's time apart."""
    running = gateway(describe(["/pets/{id}"], base="/shop", title="Pets"))
    backend.script = respond(b"x" * 1000)
    with running.connect() as client:
        answer = client.get("/shop/pets/7?key=secret", ("User-Agent", 'a "b" \\c'))
    line = one_line(running)
    assert line["request_id"] == answer.header("X-Request-Id")
    assert uuid.UUID(line["request_id"]).version == 7
    assert (line["status"], line["decided_by"], line["reason"], line["response_flag"]) == (200, "backend", "", "-")
    assert (line["route"], line["path"], line["api"]) == ("/shop/pets/{id}", "/shop/pets/7", "Pets")
    assert (line["client"], line["user_agent"]) == ("127.0.0.1", 'a "b" \\c')
    assert (line["bytes_in"], line["bytes_out"]) == (0, 1000)
    assert 0 < line["upstream_ms"] < line["duration_ms"]
    assert "secret" not in json.dumps(line)


def test_the_backend_gets_the_ids_of_the_line(gateway, backend):
    running = gateway(describe(["/a"]))
    trace = "0af7651916cd43dd8448eb211c80319c"
    with running.connect() as client:
        client.get("/a", ("traceparent", f"00-{trace}-b7ad6b7169203331-00"), ("tracestate", "a=b"))
        client.get("/a", ("traceparent", f"00-{trace}-0000000000000000-00"), ("tracestate", "a=b"))
        client.get("/a", ("X-Request-Id", "from a stranger"))
    continued, invalid, fresh = running.log_lines(3)
    requests = backend.wait_for(3)
    for line, request in zip((continued, invalid, fresh), requests, strict=True):
        flags = "00" if line is continued else "01"
        assert request.all("traceparent") == [f"00-{line['trace_id']}-{line['span_id']}-{flags}"]
        assert request.all("X-Request-Id") == [line["request_id"]]
    assert continued["trace_id"] == trace
    assert trace not in (invalid["trace_id"], fresh["trace_id"])
    assert [request.header("tracestate") for request in requests] == ["a=b", None, None]


def test_a_trusted_proxys_request_id_goes_all_the_way(gateway, backend):
    settings = '[listenerConfig]\ntrustedProxies = ["127.0.0.0/8"]\n'
    running = gateway(describe(["/a"]), settings=settings)
    with running.connect() as client:
        answer = client.get("/a", ("X-Request-Id", "edge-1"), ("X-Forwarded-For", "198.51.100.7"))
    line = one_line(running)
    assert line["request_id"] == answer.header("X-Request-Id") == "edge-1"
    assert line["client"] == "198.51.100.7"
    assert backend.requests[0].all("X-Request-Id") == ["edge-1"]


REFUSED = [
    ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, "route.not_found", "NR"),
    ("DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n", 405, "route.method", "NR"),
    ("GET /closed HTTP/1.1\r\nHost: a\r\n\r\n", 401, "auth.missing", "UAEX"),
    ("GET /a HTTP/1.1\r\n\r\n", 400, "http.", "DPE"),
    ("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "http.", "DPE"),
    ("\x00\xff\x1b[31m\r\n\r\n", 400, "http.", "DPE"),
    ('GET /"\\\x80 HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff"\\\r\n\r\n', None, "", None),
    (f"GET /{'a' * 5000} HTTP/1.1\r\nHost: a\r\n\r\n", 414, "http.uri_length", "DPE"),
    (f"GET /a HTTP/1.1\r\nHost: a\r\nX: {'a' * 9000}\r\n\r\n", 431, "http.header", "DPE"),
    ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", 413, "http.body_size", "DPE"),
    ("GET /a HTTP/2.0\r\nHost: a\r\n\r\n", None, "http.", "DPE"),
]


def test_case_60_refused_malformed_and_over_limit_requests(gateway, backend):
    closed = describe(["/closed"], base="/", title="closed", secured=True)
    closed = closed.replace('"x-wso2-basePath": "/"', '"x-wso2-basePath": "/closed"').replace('"/closed": {', '"/": {')
    limits = "[listenerConfig]\nmaxEntityBodySize = 100\n"
    running = gateway(describe({"/a": ["get", "post"]}), closed, settings=limits)
    answers = []
    for request, *_ in REFUSED:
        with running.connect() as client:
            client.send(request)
            answers.append(client.answer())
    lines = running.log_lines(len(REFUSED))
    assert len(lines) == len(REFUSED)
    for (request, status, reason, flag), answer, line in zip(REFUSED, answers, lines, strict=True):
        assert line["request_id"] == answer.header("X-Request-Id"), request
        assert line["status"] == answer.status == (status or answer.status), request
        assert line["decided_by"] == "gateway", request
        assert line["reason"].startswith(reason), (request, line)
        assert line["response_flag"] == (flag or line["response_flag"]), request
        assert re.fullmatch("[0-9a-f]{32}", line["trace_id"]), request
        assert line["upstream_ms"] is None, request
    assert backend.requests == []


def test_case_60_failed_calls(gateway, backend):
    running = gateway(describe(["/reset", "/garbage", "/cut", "/left"]))
    backend.scripts = {
        "/reset": raw(b"", then="reset"),
        "/garbage": raw(b"no HTTP at all\r\n\r\n", then="close"),
        "/cut": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then="close"),
        "/left": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", then="hold"),
    }
    for path in ("/reset", "/garbage", "/cut"):
        with running.connect() as client:
            client.get(path)
    with running.connect() as client:
        client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
        client.reader.head()
    found = {line["path"]: line for line in running.log_lines(4)}
    shown = {
        path: (line["status"], line["decided_by"], line["reason"].split(".")[0], line["response_flag"])
        for path, line in found.items()
    }
    assert shown == {
        "/reset": (502, "gateway", "backend", "UC"),
        "/garbage": (502, "gateway", "backend", "UPE"),
        "/cut": (200, "backend", "backend", "UC"),
        "/left": (200, "client", "client", "DC"),
    }


def test_forms(gateway):
    api = describe(["/a"])
    combined = gateway(api, settings='[accessLogConfig]\nformat = "combined"\n')
    template = gateway(api, settings='[accessLogConfig]\nformat = "{status} {target} {duration_ms}"\n')
    off = gateway(api, settings='[accessLogConfig]\nformat = "off"\n')
    for running in (combined, template, off):
        with running.connect() as client:
            client.get("/a?b=c", ("Referer", "https://example.com/"), ("User-Agent", "test/1"))
        assert running.stop() == 0
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[.*\] "GET /a HTTP/1\.1" 200 2 "https://example\.com/" "test/1"\n',
        combined.access_log.read_text(),
    )
    assert re.fullmatch(r"200 /a\?b=c \d+\.\d{3}\n", template.access_log.read_text())
    assert not off.access_log.exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('format = "{nothing}"', "unknown field `nothing`"),
        ('format = "jsn"', "unknown format `jsn`"),
        ('path = "/nowhere/access.log"', "cannot write `/nowhere/access.log`"),
    ],
)
def test_what_cannot_be_logged_stops_the_start_with_one_line(gateway, setting, message):
    with pytest.raises(AssertionError) as raised:
        gateway(describe(["/a"]), settings=f"[accessLogConfig]\n{setting}\n")
    output = str(raised.value)
    assert "it ended with 1" in output
    assert message in output
    assert "Traceback" not in output


def test_standard_output_carries_the_log_and_nothing_else(gateway, tmp_path):
    running = gateway(describe(["/a"]), settings='[accessLogConfig]\npath = "-"\n')
    running.stop()
    running.folder.joinpath("ready.json").unlink()
    with subprocess.Popen(running.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(running.folder.joinpath("ready.json").exists, seconds=20)
            ready = json.loads(running.folder.joinpath("ready.json").read_text())
            with Client(ready["http"]) as client:
                for number in range(10):
                    client.get(f"/a?{number}")
        finally:
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)
    assert [json.loads(line)["status"] for line in output.splitlines()] == [200] * 10


def test_a_stop_loses_no_line(gateway):
    running = gateway(describe(["/a"]), settings="[runtimeConfig]\nworkers = 2\n")
    for _ in range(5):
        with running.connect() as client:
            for _ in range(20):
                client.get("/a")
    assert running.stop() == 0
    assert len(running.access_log.read_text().splitlines()) == 100


def test_a_rotated_file_is_followed_and_no_line_is_lost(gateway):
    running = gateway(describe(["/a"]))
    sent = 0
    old = running.folder / "access.log.1"
    with running.connect() as client:

        def new_file_is_used():
            nonlocal sent
            client.get("/a")
            sent += 1
            return running.access_log.exists() and running.access_log.read_bytes()

        wait_until(new_file_is_used)
        running.access_log.rename(old)
        wait_until(new_file_is_used)
    assert running.stop() == 0
    assert len(old.read_text().splitlines()) + len(running.access_log.read_text().splitlines()) == sent


@pytest.fixture
def slow_pipe(tmp_path):
    """A named pipe that holds 4 KiB and is read when the test says so."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
    yield path, descriptor
    os.close(descriptor)


def drops(running):
    return int(re.search(r"^microgate_access_log_lines_dropped_total (\d+)$", running.metrics(), re.MULTILINE)[1])


def test_four_workers_a_slow_pipe_and_long_lines(gateway, slow_pipe):
    """Every line that arrives parses, every line that does not is counted, and no request waits (R34)."""
    path, descriptor = slow_pipe
    settings = f'[accessLogConfig]\npath = "{path}"\n[runtimeConfig]\nworkers = 4\n'
    running = gateway(describe(["/a"]), settings=settings)
    request = compose_long()
    clients, each, depth = 8, 20, 10

    def load(_):
        # The pipe is not read meanwhile: a request that waited for it would wait for ever.
        with running.connect(timeout=30.0) as client:
            for _ in range(each):
                client.send(request * depth)
                for _ in range(depth):
                    assert client.answer().status == 404

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(load, range(clients)))
    total = clients * each * depth
    read = b""

    def all_accounted_for():
        nonlocal read
        try:
            while piece := os.read(descriptor, 1_000_000):
                read += piece
        except BlockingIOError:
            pass
        return read.count(b"\n") + drops(running) == total

    wait_until(all_accounted_for, seconds=20)
    lines = [json.loads(line) for line in read.splitlines()]
    assert all(len(line["path"]) + len(line["user_agent"]) > LINE_BYTES - 100 for line in lines)
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert drops(running) > 0


def compose_long():
    half = LINE_BYTES // 2
    return f"GET /{'p' * (half - 1)} HTTP/1.1\r\nHost: a\r\nUser-Agent: {'u' * half}\r\n\r\n"
