"""Backends of every kind - TLS, Unix socket, several - as a client and the backend notice them."""

from __future__ import annotations

import pytest

from harness.backend import Backend, raw, respond
from harness.credentials import ServerIdentity
from harness.descriptions import describe


def test_a_tls_backend_with_a_known_authority_is_served(gateway, identity):
    with Backend(tls=identity.server_context()) as secure:
        running = gateway(
            describe(["/a"], backend=secure.url),
            settings=f'[httpClients]\ncaFile = "{identity.certificate_file}"\n',
        )
        with running.connect() as client:
            assert client.get("/a").status == 200
            assert client.get("/a").status == 200
        assert len(secure.connections) == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_scheme_in_capitals_is_the_same_scheme(gateway, identity, replaced):
    with Backend(tls=identity.server_context()) as secure:
        url = secure.url.replace("https", "HTTPS")
        running = gateway(
            named(["http://127.0.0.1:1" if replaced else url]),
            settings=f'[httpClients]\ncaFile = "{identity.certificate_file}"\n',
            environment={"stock_prod_endpoint_0": url} if replaced else {},
        )
        with running.connect() as client:
            assert client.get("/a").status == 200


def test_a_tls_backend_that_nobody_vouches_for_is_refused(gateway, identity):
    with Backend(tls=identity.server_context()) as secure:
        running = gateway(describe(["/a"], backend=secure.url))
        with running.connect() as client:
            answer = client.get("/a")
            assert (answer.status, answer.fault) == (502, 101503)
        assert secure.requests == []
        assert "certificate" in running.output


def test_a_certificate_for_another_name_is_refused(gateway, tmp_path):
    other = ServerIdentity(tmp_path, "elsewhere.test")
    with Backend(tls=other.server_context()) as secure:
        running = gateway(
            describe(["/a"], backend=secure.url.replace("127.0.0.1", "localhost")),
            settings=f'[httpClients]\ncaFile = "{other.certificate_file}"\n',
        )
        with running.connect() as client:
            assert client.get("/a").status == 502
        assert secure.requests == []


def test_verification_can_be_turned_off_and_is_warned_of(gateway, identity):
    with Backend(tls=identity.server_context()) as secure:
        running = gateway(
            describe(["/a"], backend=secure.url), settings="[httpClients]\ndisableSslVerification = true\n"
        )
        with running.connect() as client:
            assert client.get("/a").status == 200


def test_a_backend_on_a_unix_socket(gateway, tmp_path):
    with Backend(unix=str(tmp_path / "b.sock")) as local:
        running = gateway(describe(["/a"], backend=f"unix:{tmp_path}/b.sock:/base"))
        with running.connect() as client:
            assert client.get("/a?x").status == 200
        assert local.requests[0].start == "GET /base/a?x HTTP/1.1"


def test_several_urls_are_used_in_turn(gateway, backend):
    with Backend(respond(b"second")) as second:
        backend.script = respond(b"first")
        text = describe(["/a"], x_wso2_production_endpoints={"urls": [backend.url, second.url]})
        with gateway(text).connect() as client:
            assert [client.get("/a").body for _ in range(4)] == [b"first", b"second"] * 2


def test_an_operation_has_its_own_endpoint(gateway, backend):
    with Backend(respond(b"own")) as own:
        paths = {"/a": {"get": {"x-wso2-production-endpoints": {"urls": [f"{own.url}/deep"]}}}, "/b": {"get": {}}}
        with gateway(describe(paths, base="/v1")).connect() as client:
            assert client.get("/v1/a").body == b"own"
            assert client.get("/v1/b").body == b"ok"
        assert own.requests[0].target == "/deep/a"


def named(urls):
    """A description whose endpoints have a name, so that a start may replace them."""
    return describe(
        ["/a"],
        backend="",
        x_wso2_endpoints=[{"stock": {"urls": urls}}],
        x_wso2_production_endpoints="#/x-wso2-endpoints/stock",
    )


def test_an_endpoint_is_replaced_at_start(gateway, backend):
    """WSO2 §8.6: `<name>_prod_endpoint_0` from the environment."""
    running = gateway(named(["http://127.0.0.1:1"]), environment={"stock_prod_endpoint_0": backend.url})
    with running.connect() as client:
        assert client.get("/a").status == 200


def test_one_of_several_endpoints_is_replaced_with_its_path(gateway, backend):
    with Backend(respond(b"second")) as second:
        text = named([backend.url, "http://127.0.0.1:1/old"])
        running = gateway(text, environment={"stock_prod_endpoint_1": f"{second.url}/new?x=1"})
        with running.connect() as client:
            assert [client.get("/a").body for _ in range(4)] == [b"ok", b"second"] * 2
        assert second.requests[0].target == "/new/a?x=1"


@pytest.mark.parametrize("url", ["backend:80", "http://a:99999", "http://a:http", "http://[::1", "http://me:pw@a"])
def test_an_endpoint_is_replaced_by_a_usable_address_only(gateway, url):
    with pytest.raises(AssertionError, match=r"error.MG512.: environment variable stock_prod_endpoint_0") as error:
        gateway(named(["http://127.0.0.1:1"]), environment={"stock_prod_endpoint_0": url})
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("key", ["stock_prod_endpoint_9", "stock_sand_endpoint_0", "stock_prod_endpoint_00"])
def test_an_endpoint_that_there_is_not_cannot_be_replaced(gateway, backend, key):
    with pytest.raises(AssertionError, match=f"`{key}` replaces an endpoint that the project does not have") as error:
        gateway(named([backend.url]), environment={key: backend.url})
    assert "hint: there are `stock_prod_endpoint_0`" in str(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "cause"), [(None, "no such file or directory"), ("x", "no certificate in PEM form")]
)
def test_a_file_of_authorities_that_is_none_stops_the_start(gateway, tmp_path, content, cause):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(AssertionError, match=cause) as error:
        gateway(describe(["/a"]), settings=f'[httpClients]\ncaFile = "{file}"\n')
    assert "Traceback" not in str(error.value)


def test_a_backend_on_ipv6(gateway):
    with Backend(host="::1") as six:
        with gateway(describe(["/a"], backend=six.url)).connect() as client:
            assert client.get("/a").status == 200
        assert six.requests[0].header("host") == f"[::1]:{six.port}"


def test_a_backend_that_comes_back_is_used_again(gateway):
    with Backend() as first:
        port = first.port
        running = gateway(describe(["/a"], backend=first.url))
        with running.connect() as client:
            assert client.get("/a").status == 200
    with running.connect() as client:
        assert client.get("/a").status == 502
        with Backend(port=port) as second:
            assert client.get("/a").status == 200
            assert len(second.requests) == 1


def test_the_head_of_an_answer_has_a_bound_as_shipped(gateway, backend):
    running = gateway(describe(["/a"]))
    with running.connect() as client:
        for size, status in ((8_100, 200), (8_192, 502)):
            backend.script = respond(headers=(("X-A", "a" * size),))
            assert client.get("/a").status == status
    assert running.log_lines(2)[1]["reason"] == "backend.header_size"


def test_a_long_answer_within_its_bound_is_whole(gateway, backend):
    body = b"0123456789" * 100_000
    settings = f"[httpClients.responseLimits]\nmaxEntityBodySize = {len(body)}\n"
    with gateway(describe(["/a"]), settings=settings).connect() as client:
        for extra, whole in ((b"", True), (b"!", False)):
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body + extra), body + extra)
            backend.script = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
            answer = client.get("/a")
            assert (answer.status, answer.complete) == (200, whole)
        assert len(answer.body) <= len(body)
