"""Forward authentication through a running gateway: what the backend gets, what the client gets, and nothing by mistake."""

from __future__ import annotations

from harness.backend import Backend, respond
from harness.descriptions import describe


def api(service: Backend, **more: object) -> str:
    told = {
        "url": f"{service.url}/check",
        "send-headers": ["cookie"],
        "take-headers": ["x-user", "authorization"],
        "timeout-ms": 500,
        **more,
    }
    return describe({"/a": ["get"], "/b": {"get": {}}}, secured=True, x_microgate_forward_auth=told)


def _names(request, name):
    return [value for key, value in request.headers if key.lower().replace("_", "-") == name]


def test_the_backend_gets_the_services_word_and_never_the_clients(gateway, backend):
    fields = (("X-User", "ann"), ("Authorization", "Bearer of-the-service"))
    with Backend(respond(headers=fields)) as service:
        running = gateway(api(service))
        with running.connect() as client:
            own = [("X-User", "root"), ("x_user", "root"), ("X-USER", "root"), ("Authorization", "Basic cm9vdDo=")]
            assert client.request("GET", "/a", [*own, ("Connection", "keep-alive, X-User")]).status == 200
            service.script = respond()
            assert client.request("GET", "/a", own).status == 200
            chunked = [*own, ("Transfer-Encoding", "chunked")]
            assert client.request("GET", "/a", chunked, b"0\r\nX-User: root\r\n\r\n").status == 200
    first, second, third = backend.requests
    assert (_names(first, "x-user"), _names(first, "authorization")) == (["ann"], ["Bearer of-the-service"])
    assert (_names(second, "x-user"), _names(second, "authorization")) == ([], [])
    assert _names(third, "x-user") == []
    assert b"root" not in b"".join(repr(one).encode() for one in (third.headers, third.body))


def test_a_refusal_reaches_the_client_and_an_outage_admits_nobody(gateway, backend):
    challenge = (("WWW-Authenticate", 'Login realm="x"'),)
    with Backend(respond(b"secret", status="401 Unauthorized", headers=challenge)) as service:
        running = gateway(api(service))
        with running.connect() as client:
            answer = client.get("/a", ("Cookie", "session=1"))
            assert (answer.status, answer.fault, answer.header("www-authenticate")) == (401, 900901, 'Login realm="x"')
            assert b"secret" not in answer.body
            service.script = respond(b"", status="403 Forbidden")
            assert client.get("/a").status == 403
            service.script = respond(b"", status="302 Found", headers=(("Location", "/login"),))
            answer = client.get("/a")
            assert (answer.status, answer.fault, answer.header("retry-after")) == (503, 900900, "1")
    with running.connect() as client:
        assert client.get("/b").status == 503
    assert backend.bytes == 0
    assert {line["reason"] for line in running.log_lines(4)} == {
        "auth.forward.refused",
        "auth.forward.forbidden",
        "auth.forward.answer",
    }


def test_a_remembered_verdict_outlives_the_service(gateway, backend):
    cached = {"cache-by": ["cookie"], "cache-seconds": 60, "take-headers": ["x-user"]}
    with Backend(respond(headers=(("X-User", "ann"),))) as service:
        running = gateway(api(service, **cached))
        with running.connect() as client:
            assert client.get("/a", ("Cookie", "a=1")).status == 200
    with running.connect() as client:
        assert client.get("/a", ("Cookie", "a=1")).status == 200
        assert client.get("/a", ("Cookie", "a=2")).status == 503
        assert client.get("/a").status == 503
    assert [_names(request, "x-user") for request in backend.requests] == [["ann"], ["ann"]]
