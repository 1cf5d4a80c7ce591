"""Long bodies come whole and in order whatever the pace of either side, and leave the connections as they should be."""

from __future__ import annotations

import random
import threading

import pytest

from harness.client import Client, compose
from harness.descriptions import describe

API = describe({"/a": ["get", "post"]})
BODY = random.Random(7).randbytes(3_000_000)


@pytest.fixture
def secured(gateway, identity):
    settings = (
        "[listenerConfig]\nhttpsPort = 0\n"
        f'certificateFile = "{identity.certificate_file}"\nprivateKeyFile = "{identity.private_key_file}"\n'
    )
    return gateway(API, settings=settings)


def _framed(framing):
    if framing == "length":
        return b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    half = len(BODY) // 2
    first, second = BODY[:half], BODY[half:]
    return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        len(first),
        first,
        len(second),
        second,
    )


def _connect(running, identity, scheme):
    if scheme == "https":
        return Client(running.https, tls=identity.client_context(), timeout=20)
    return running.connect(timeout=20)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_that_stops_and_goes_gets_every_byte(secured, identity, backend, scheme, framing):
    backend.script = lambda talk: talk.send(b"HTTP/1.1 200 OK\r\n" + _framed(framing))
    with _connect(secured, identity, scheme) as client:
        for _ in range(2):
            client.send(compose("GET", "/a"))
            backend.wait_for(1)
            threading.Event().wait(0.2)  # the pace of this client
            assert client.answer().body == BODY
        backend.script = lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.get("/a").body == b"ok"
    assert {request.connection for request in backend.requests} == {0}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_backend_that_stops_and_goes_gets_every_byte(secured, identity, backend, scheme, framing):
    def script(talk):
        threading.Event().wait(0.2)  # the pace of this backend
        talk.read_body()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    backend.script = script
    with _connect(secured, identity, scheme) as client:
        for _ in range(2):
            client.send(b"POST /a HTTP/1.1\r\nHost: a\r\n" + _framed(framing))
            assert client.answer().body == b"ok"
    assert [request.body for request in backend.requests] == [BODY, BODY]


def test_a_request_right_behind_a_long_one_is_served(secured, backend):
    with secured.connect(timeout=20) as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: a\r\n" + _framed("length") + compose("GET", "/a"))
        assert [client.answer().status for _ in range(2)] == [200, 200]
    assert [request.method for request in backend.requests] == ["POST", "GET"]


def test_bytes_behind_a_long_answer_reach_nobody(secured, backend):
    backend.script = lambda talk: talk.send(b"HTTP/1.1 200 OK\r\n" + _framed("length") + b"HTTP/1.1 200 OK\r\n\r\n")
    with secured.connect(timeout=20) as client:
        assert client.get("/a").body == BODY
        backend.script = lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.get("/a").body == b"ok"
    assert [request.connection for request in backend.requests] == [0, 1]
