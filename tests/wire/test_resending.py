"""What the pool of backend connections may send again and what never: cases 18 and 35 hold together."""

from __future__ import annotations

import random
import threading

from harness.backend import respond
from harness.descriptions import describe
from harness.waiting import wait_until

METHODS = ["get", "post", "put", "delete", "patch"]


def _read_and_close(talk):
    talk.read_body()
    talk.close()


def test_case_18_a_post_on_a_fresh_connection_is_sent_once(gateway, backend):
    backend.script = _read_and_close
    with gateway(describe({"/a": METHODS})).connect() as client:
        for _ in range(50):
            answer = client.request("POST", "/a", body=b"pay")
            assert (answer.status, answer.fault) == (502, 101503)
    assert len(backend.requests) == 50


def test_case_18_a_post_on_a_reused_connection_is_sent_once(gateway, backend):
    backend.scripts["/a"] = _read_and_close
    with gateway(describe({"/a": METHODS, "/warm": ["get"]})).connect() as client:
        for _ in range(50):
            assert client.get("/warm").status == 200
            assert client.request("POST", "/a", body=b"pay").status == 502
    assert sum(request.method == "POST" for request in backend.requests) == 50


def test_case_18_a_patch_is_as_unsafe_as_a_post(gateway, backend):
    backend.scripts["/a"] = _read_and_close
    with gateway(describe({"/a": METHODS, "/warm": ["get"]})).connect() as client:
        client.get("/warm")
        assert client.request("PATCH", "/a", body=b"pay").status == 502
    assert sum(request.method == "PATCH" for request in backend.requests) == 1


def test_case_18_an_idempotent_request_is_sent_again_at_most_once(gateway, backend):
    backend.scripts["/a"] = _read_and_close
    with gateway(describe({"/a": METHODS, "/warm": ["get"]})).connect() as client:
        client.get("/warm")
        assert client.request("PUT", "/a", body=b"set").status == 502
    assert sum(request.method == "PUT" for request in backend.requests) == 2


def test_case_18_nothing_is_sent_again_once_an_answer_has_begun(gateway, backend):
    def half(talk):
        talk.read_body()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        talk.close()

    backend.scripts["/a"] = half
    with gateway(describe({"/a": METHODS, "/warm": ["get"]})).connect() as client:
        client.get("/warm")
        assert client.get("/a").status == 502
    assert sum(request.target == "/a" for request in backend.requests) == 1


def test_case_35_connections_that_close_when_idle_cost_no_request(gateway, backend):
    """The backend hangs up at any moment after an answer; safe requests never see it."""
    chance = random.Random(35)
    plain = respond()

    def sometimes_close(talk):
        plain(talk)
        if chance.random() < 0.3:
            talk.wait(seconds=chance.random() * 0.004)
            talk.close()

    backend.script = sometimes_close
    running = gateway(describe({"/a": METHODS}))
    failures = []

    def call(method):
        with running.connect() as client:
            for _ in range(200):
                answer = client.request(method, "/a")
                if answer.status != 200:
                    failures.append((method, answer.start))

    callers = [threading.Thread(target=call, args=(method,)) for method in ("GET", "PUT", "DELETE")]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert failures == []


def test_case_35_a_post_is_not_given_to_a_connection_that_the_backend_has_closed(gateway, backend):
    plain = respond()

    def close_after(talk):
        plain(talk)
        talk.close()

    backend.scripts["/warm"] = close_after
    with gateway(describe({"/a": METHODS, "/warm": ["get"]})).connect() as client:
        for number in range(50):
            assert client.get("/warm").status == 200
            wait_until(lambda: backend.connections[-1].ended == "ours", "the backend to close")
            assert client.request("POST", "/a", body=b"%d" % number).status == 200
    assert [r.body for r in backend.requests if r.method == "POST"] == [b"%d" % number for number in range(50)]
