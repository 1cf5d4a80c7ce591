"""HTTP and HTTPS towards clients: which API is offered where, redirects, and the same strictness on both."""

from __future__ import annotations

import pytest

from harness.client import Client
from harness.descriptions import describe


@pytest.fixture
def secured(gateway, identity):
    """Starts a gateway with both listeners."""

    def start(*texts, more=""):
        settings = f"""
[listenerConfig]
httpsPort = 0
certificateFile = "{identity.certificate_file}"
privateKeyFile = "{identity.private_key_file}"
{more}
"""
        return gateway(*texts, settings=settings)

    return start


def test_both_listeners_serve_the_same(secured, identity, backend):
    running = secured(describe(["/a"]))
    with running.connect() as plain, Client(running.https, tls=identity.client_context()) as safe:
        assert plain.get("/a").status == 200
        assert safe.get("/a").status == 200
    assert [request.header("x-forwarded-proto") for request in backend.requests] == ["http", "https"]


def test_an_api_for_https_alone(secured, identity, backend):
    running = secured(describe(["/a"], x_wso2_transports=["https"]))
    with running.connect() as plain, Client(running.https, tls=identity.client_context()) as safe:
        assert plain.get("/a").status in (403, 404)
        assert safe.get("/a").status == 200
    assert len(backend.requests) == 1


def test_plain_http_is_redirected_where_the_api_says_so(secured, backend):
    running = secured(describe(["/a"], base="/v1", x_microgate_https_redirect=True))
    with running.connect() as client:
        answer = client.get("/v1/a?x=%20y", ("Host", f"api.test:{running.http}"))
    assert answer.status == 308
    assert answer.header("location") == f"https://api.test:{running.https}/v1/a?x=%20y"
    assert backend.requests == []


def test_a_trusted_proxy_that_took_the_tls_off_is_not_redirected(secured):
    running = secured(describe(["/a"], x_microgate_https_redirect=True), more='trustedProxies = ["127.0.0.0/8"]')
    with running.connect() as client:
        assert client.get("/a", ("X-Forwarded-Proto", "https")).status == 200
        assert client.get("/a", ("X-Forwarded-Proto", "http")).status == 308


def test_strictness_is_the_same_over_tls(secured, identity, backend):
    running = secured(describe({"/a": ["post"]}))
    with Client(running.https, tls=identity.client_context()) as client:
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        answer = client.answer()
        assert (answer.status, answer.header("connection")) == (400, "close")
        assert client.is_closed()
    assert backend.bytes == 0


def test_a_large_body_over_tls(secured, identity, backend):
    backend.script = respond_with_length
    running = secured(describe({"/a": ["post"]}))
    body = bytes(range(256)) * 8192
    with Client(running.https, tls=identity.client_context(), timeout=20) as client:
        assert client.request("POST", "/a", body=body).body == str(len(body)).encode()
    assert backend.requests[0].body == body


def respond_with_length(talk):
    text = str(len(talk.read_body())).encode()
    talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


def test_plain_http_to_the_tls_listener_ends_quickly(secured):
    running = secured(describe(["/a"]))
    with Client(running.https) as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until_closed()


def test_a_unix_socket_listener(gateway, tmp_path):
    path = tmp_path / "gw.sock"
    gateway(describe(["/a"]), settings=f'[listenerConfig]\nunixSocket = "{path}"\n')
    with Client(unix=str(path)) as client:
        assert client.get("/a").status == 200


def test_a_gateway_without_tls_redirects_to_what_stands_in_front(gateway):
    running = gateway(describe(["/a"], x_microgate_https_redirect=True))
    with running.connect() as client:
        answer = client.get("/a", ("Host", "api.test:8080"))
    assert answer.header("location") == "https://api.test/a"
