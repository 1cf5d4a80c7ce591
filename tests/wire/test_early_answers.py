"""R5: an answer given while a body is still coming leaves the connection right or closed, never mixed up."""

from __future__ import annotations

import contextlib

import pytest

from harness.client import compose
from harness.descriptions import describe
from harness.messages import Ended

API = describe(
    {
        "/closed": {"post": {"x-wso2-disable-security": False}},
        "/small": {"post": {"x-microgate-max-body": 5}},
        "/open": {"post": {}, "get": {}},
        "/tag/{n}": {"get": {}},
    }
)
REFUSALS = {401: "/closed", 404: "/nowhere", 413: "/small"}
BODIES = (0, 1, 10, 65_536, 1_048_576)


def _request(target, size, style):
    body = b"G" * size
    if style == "chunked":
        framed = (b"%x\r\n" % size + body + b"\r\n" if size else b"") + b"0\r\n\r\n"
        return compose("POST", target, [("Transfer-Encoding", "chunked")], framed)
    if style == "expect":
        return compose("POST", target, [("Expect", "100-continue"), ("Content-Length", str(size))], body)
    return compose("POST", target, [("Content-Length", str(size))], body)


def _refused_then_right(client, target, data, status):
    """Send a request that is refused early and another one behind it: what came for the second, "closed" or a target."""
    with contextlib.suppress(OSError):  # closed while we were still sending
        client.send(data)
        client.send(compose("GET", target))
    try:
        answer = client.answer()
    except Ended as end:
        return "closed" if end.reset else "no answer"
    assert (answer.status, answer.complete) == (status, True)
    try:
        following = client.answer()
    except Ended:
        return "closed"
    assert following.status == 200, following.start
    return target


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("style", ["length", "chunked", "expect"])
def test_r5_the_next_request_is_right_or_the_connection_closed(shared_pair, status, style):
    pair = shared_pair((API,), "")
    sizes = [size for size in BODIES if status != 413 or size > 5] * 10
    for number, size in enumerate(sizes):
        with pair.gateway.connect() as client:
            outcome = _refused_then_right(client, f"/tag/{number}", _request(REFUSALS[status], size, style), status)
        assert outcome in ("closed", f"/tag/{number}")
        if outcome != "closed":
            assert pair.backend.requests[-1].target == outcome
    assert all(request.target.startswith("/tag/") for request in pair.backend.requests)


def test_an_early_answer_of_the_backend_reaches_the_client(gateway, backend):
    """The backend refuses after the head; the client is still sending its body."""

    def refuse(talk):
        talk.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        talk.read_body()
        talk.close()

    backend.script = refuse
    with gateway(API).connect() as client:
        client.send(compose("POST", "/open", [("Content-Length", "1000000")]))
        answer = client.answer()
        assert (answer.status, answer.body) == (403, b"no")
