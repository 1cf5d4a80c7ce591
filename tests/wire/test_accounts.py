"""Case 60: every request - served, refused, malformed, failed - leaves one line and one count, and they agree."""

from __future__ import annotations

import contextlib
import re

from harness.backend import raw
from harness.client import compose
from harness.credentials import bearer
from harness.descriptions import describe
from harness.messages import Ended
from harness.waiting import wait_until

API = describe({"/a/{id}": ["get"], "/broken": ["get"]}, secured=True)


def _requests_counted(text):
    pattern = r"^http_server_request_duration_seconds_count(?:\{.*\})? (\d+(?:\.\d+)?)"
    return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))


def test_case_60_lines_counts_and_answers_agree(gateway, backend):
    backend.scripts["/broken"] = lambda talk: talk.close()
    running = gateway(API)
    sent = [
        compose("GET", "/a/1", [bearer()]),
        compose("GET", "/a/2"),
        compose("GET", "/nowhere", [bearer()]),
        compose("DELETE", "/a/1", [bearer()]),
        compose("GET", "/broken", [bearer()]),
        b"GET /a/1 HTTP/1.1\r\nno host: x\r\n\r\n",
        compose("GET", "/" + "x" * 5000, [bearer()]),
    ]
    statuses = []
    for data in sent:
        with running.connect() as client:
            client.send(data)
            statuses.append(client.answer().status)
    assert statuses == [200, 401, 404, 405, 502, 400, 414]
    lines = running.log_lines(len(sent))
    assert [line["status"] for line in lines] == statuses
    assert all(line["request_id"] and line["trace_id"] for line in lines)
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert [line["decided_by"] for line in lines] == ["backend"] + ["gateway"] * 6
    assert [line["route"] for line in lines][:2] == ["/a/{id}", "/a/{id}"]
    assert all(line["reason"] for line in lines[1:])
    wait_until(lambda: _requests_counted(running.metrics()) == len(sent), "the metrics count each request once")
    assert "/a/1" not in running.metrics()


def test_case_60_a_client_that_leaves_is_counted_too(gateway, backend):
    backend.script = lambda talk: talk.wait_for_end()
    running = gateway(API)
    with running.connect() as client:
        client.send(compose("GET", "/a/1", [bearer()]))
        backend.wait_for(1)
    line = running.log_lines()[0]
    assert line["status"] == 499
    assert line["decided_by"] == "client"


def test_case_60_the_answer_carries_the_id_of_its_line(gateway):
    running = gateway(API)
    with running.connect() as client:
        answer = client.get("/a/1", bearer())
    assert answer.header("x-request-id") == running.log_lines()[0]["request_id"]


def test_hostile_bytes_never_break_a_line(gateway):
    running = gateway(describe(["/*"]))
    agents = ['"', "\\", "\xff\xfe", "\xe2\x80\xa8", "a" * 4000, "}{", "%s%n", "\t"]
    with running.connect() as client:
        for agent in agents:
            assert client.get('/"x\\y{}', ("User-Agent", agent)).status == 200
        client.send(b"\x00\xff\r\n\r\n")
        with contextlib.suppress(Ended):
            client.answer()
    assert len(running.log_lines(len(agents) + 1)) == len(agents) + 1


def test_case_60_a_request_behind_a_client_that_leaves_is_counted_too(gateway, backend):
    backend.script = lambda talk: talk.wait_for_end()
    running = gateway(API)
    with running.connect() as client:
        client.send(compose("GET", "/a/1", [bearer()]) + compose("GET", "/a/2", [bearer()]))
        backend.wait_for(1)
    lines = running.log_lines(2)
    assert [(line["status"], line["reason"]) for line in lines] == [(499, "client.abort")] * 2


def test_case_60_a_request_behind_an_answer_that_ends_the_connection_is_counted_too(gateway, backend):
    backend.script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", then="close")
    running = gateway(API)
    with running.connect() as client:
        client.send(compose("GET", "/a/1", [bearer()]) + compose("GET", "/a/2", [bearer()]))
        client.until_closed()
    lines = {line["path"]: line["reason"] for line in running.log_lines(2)}
    assert lines == {"/a/1": "backend.closed", "/a/2": "client.behind_last"}
    assert len(backend.requests) == 1
