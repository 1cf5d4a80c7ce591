"""`/apikey` and the token services: over TLS alone, with statuses that say what was wrong (weakness 7), and never an API's."""

from __future__ import annotations

import base64
import hashlib
import json
import time

import pytest

from harness.backend import raw, respond
from harness.client import Client
from harness.descriptions import describe
from harness.waiting import wait_until

API = describe(
    {"/a": ["get"], "/{any}/x": ["get"]},
    secured=True,
    title="T",
    components={"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}},
    security=[{"key": []}],
)
PASSWORD = "s:cret"
ANN = ("Authorization", "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode())


@pytest.fixture
def start(gateway, identity):
    """A gateway with TLS and a user; `extra` is more of the settings, by table."""

    def begin(*, signing="", more="", listener="", statuses="standard"):
        text = f"""
[listenerConfig]
httpsPort = 0
certificateFile = "{identity.certificate_file}"
privateKeyFile = "{identity.private_key_file}"
{listener}
[b7a.users.ann]
password = "{hashlib.sha1(PASSWORD.encode()).hexdigest()}"
[apikey.issuer.tokenConfig]
{signing}
[[apikey.issuer.api]]
name = "T"
versions = "1.0.0, v1"
[compatibility]
statuses = "{statuses}"
{more}
"""
        return gateway(API, settings=text)

    return begin


def tls(identity, port):
    return Client(port, tls=identity.client_context())


def claims_of(token):
    part = token.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))


def test_an_issued_key_opens_an_api(start, identity):
    running = start(signing="validityTime = 3600")
    with tls(identity, running.https) as client:
        answer = client.request("POST", "/apikey", [ANN])
        assert (answer.status, answer.header("content-type")) == (200, "text/plain")
        claims = claims_of(answer.body)
        assert claims["sub"] == "ann"
        assert claims["keytype"] == "PRODUCTION"
        assert claims["exp"] - claims["iat"] == 3600
        assert claims["allowedAPIs"] == [{"name": "T", "version": "1.0.0"}, {"name": "T", "version": "v1"}]
        header = json.loads(base64.urlsafe_b64decode(answer.body.split(b".")[0] + b"=="))
        assert header == {"alg": "RS256", "typ": "jwt", "kid": "ballerina"}
        assert client.get("/a", ("X-API-Key", answer.body.decode())).status == 200
    assert answer.body.decode() not in running.output


def test_pages_that_the_settings_name_may_ask_for_keys(start, identity):
    pages = (
        "[corsConfiguration]\ncorsConfigurationEnabled = true\naccessControlAllowOrigins = ['https://app.example']\n"
    )
    page = ("Origin", "https://app.example")
    wish = [page, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]
    running = start(more=pages)
    with tls(identity, running.https) as client:
        allowed = client.request("OPTIONS", "/apikey", wish)
        assert (allowed.status, allowed.header("access-control-allow-methods")) == (200, "POST")
        for headers, status in (([ANN, page], 200), ([page], 401)):
            answer = client.request("POST", "/apikey", headers)
            assert (answer.status, answer.header("access-control-allow-origin")) == (status, "https://app.example")
    with running.connect() as client:
        assert client.request("OPTIONS", "/apikey", wish).status == 404


@pytest.mark.parametrize(
    ("configured", "body", "lasts"),
    [
        (3600, b'{"validityTime": 60}', 60),
        (3600, b'{"validityTime": 7200}', 3600),
        (3600, b'{"validityTime": -1}', 3600),
        (3600, b"{}", 3600),
        (-1, b'{"validityTime": 60}', 60),
        (-1, b"", None),
    ],
)
def test_a_wish_can_only_shorten(start, identity, configured, body, lasts):
    with tls(identity, start(signing=f"validityTime = {configured}").https) as client:
        claims = claims_of(client.request("POST", "/apikey", [ANN], body).body)
        assert claims.get("exp") == (lasts and claims["iat"] + lasts)


def test_weakness_7_failures_of_the_key_issuer_have_a_status(start, identity):
    running = start()
    with tls(identity, running.https) as client:
        for body in (
            b"{",
            b"[]",
            b'{"validityTime": true}',
            b'{"validityTime": 0}',
            b'{"validityTime": "1"}',
            b"[" * 4000,
        ):
            assert client.request("POST", "/apikey", [ANN], body).status == 400
        assert client.request("POST", "/apikey/sub", [ANN]).status == 200
        refused = client.request("POST", "/apikey")
        assert (refused.status, refused.fault) == (401, 900902)
        assert refused.header("www-authenticate").startswith("Basic ")
    with tls(identity, running.https) as client:
        assert client.request("POST", "/apikey", [ANN], b" " * 5000).status == 413
    wrong = ("Authorization", "Basic " + base64.b64encode(b"ann:wrong").decode())
    with tls(identity, running.https) as client:
        assert client.request("POST", "/apikey", [wrong]).status == 401
    with running.connect() as client:
        assert client.request("POST", "/apikey", [ANN]).status == 404
    with tls(identity, start(signing="enabled = false").https) as client:
        assert client.request("POST", "/apikey", [ANN]).status == 403
    with tls(identity, start(signing='keyStorePath = "missing.p12"').https) as client:
        assert client.request("POST", "/apikey", [ANN]).status == 503


def test_the_old_statuses_can_be_had(start, identity):
    with tls(identity, start(signing="enabled = false", statuses="wso2").https) as client:
        answer = client.request("POST", "/apikey", [ANN])
        assert (answer.status, answer.body) == (200, b"Error: API Key issuer is disabled")


def test_one_address_may_ask_so_often(start, identity):
    with tls(identity, start(signing="maxRequestsPerMinute = 3").https) as client:
        statuses = [client.request("POST", "/apikey", [ANN]).status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]


def manager(url, **more):
    lines = "\n".join(f"{name} = {value}" for name, value in more.items())
    return f'[keyManager]\nserverUrl = "{url}"\n{lines}\n'


def test_token_services_are_asked_at_the_key_manager(start, identity, backend):
    running = start(more=manager(backend.url))
    body = b"grant_type=client_credentials"
    for port in (running.ready["token"], running.https):
        backend.forget()
        backend.scripts["/oauth2/token"] = respond(
            b'{"access_token":"t"}',
            headers=(("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")),
        )
        backend.scripts["/oauth2/authorize"] = respond(
            b"", status="302 Found", headers=(("Location", "https://id.test/login"),)
        )
        with tls(identity, port) as client:
            form = ("Content-Type", "application/x-www-form-urlencoded")
            answer = client.request("POST", "/token", [ANN, form, ("X-Forwarded-For", "9.9.9.9")], body)
            assert (answer.status, answer.body) == (200, b'{"access_token":"t"}')
            assert answer.all("set-cookie") == ["a=1", "b=2"]
            redirect = client.get("/authorize?client_id=a&x=%20")
            assert (redirect.status, redirect.header("location")) == (302, "https://id.test/login")
            assert client.get("/userinfo").status == 200
            assert client.request("POST", "/revoke").status == 200
        asked = backend.requests[0]
        assert (asked.method, asked.target, asked.body) == ("POST", "/oauth2/token", body)
        assert asked.header("authorization") == ANN[1]
        assert asked.header("x-forwarded-for") == "127.0.0.1"
        assert backend.requests[1].target == "/oauth2/authorize?client_id=a&x=%20"
    with tls(identity, running.ready["token"]) as client:
        assert client.get("/a").status == 404
        assert client.get("/health").status == 404
        assert client.request("POST", "/apikey", [ANN]).status == 404
    with running.connect() as client:
        assert client.request("POST", "/token", [ANN], body).status == 404


def test_long_and_split_bodies_have_a_bound(start, identity, backend):
    running = start(more=manager(backend.url))
    with tls(identity, running.https) as client:
        client.send("POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.send("3\r\ndef\r\n0\r\n\r\n")
        assert client.answer().status == 200
        assert backend.requests[-1].body == b"abcdef"
    with tls(identity, running.https) as client:
        assert client.request("POST", "/token", [], b"x" * 70_000).status == 413


def test_weakness_7_failures_of_the_token_services_have_a_status(start, identity, backend):
    running = start(more=manager(backend.url, timeoutInMillis=300))
    backend.script = raw(b"garbage\r\n\r\n", then="close")
    with tls(identity, running.https) as client:
        answer = client.request("POST", "/token")
        assert (answer.status, answer.fault) == (502, 101503)
        backend.script = lambda talk: talk.wait()
        started = time.monotonic()
        answer = client.request("POST", "/token")
        assert (answer.status, answer.fault) == (504, 101504)
        assert time.monotonic() - started < 2
        statuses = {client.request("POST", "/token").status for _ in range(5)}
        assert statuses == {504, 503}
    old = start(more=manager("http://127.0.0.1:1"), statuses="wso2")
    with tls(identity, old.https) as client:
        answer = client.request("POST", "/revoke")
        assert answer.status == 200
        assert json.loads(answer.body) == {"error": "error occurred while invoking the revoke endpoint"}


def test_without_a_key_manager_there_are_no_token_services(start, identity):
    running = start()
    assert running.ready["token"] is None
    with tls(identity, running.https) as client:
        assert client.request("POST", "/token", [ANN]).status == 404


def test_requests_to_the_token_services_are_limited(start, identity, backend):
    running = start(more=manager(backend.url, maxRequestsPerMinute=3))
    with tls(identity, running.https) as client:
        assert [client.request("POST", "/token").status for _ in range(4)] == [200, 200, 200, 429]


def test_a_client_that_leaves_ends_the_question(start, identity, backend):
    running = start(more=manager(backend.url))
    backend.script = lambda talk: talk.wait_for_end()
    with tls(identity, running.https) as client:
        client.send("POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        wait_until(lambda: backend.requests, "the question")
    wait_until(lambda: backend.connections[-1].ended, "its end")
