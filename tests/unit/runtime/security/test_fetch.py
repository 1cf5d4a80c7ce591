"""The steward's GET: what counts as an answer, and what each failure is called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from harness.backend import Backend, Talk, raw, respond
from microgate.runtime.security import fetch as fetching
from microgate.runtime.security.fetch import FetchError, fetch, make_tls, parse_address
from microgate.settings.model import Backend as BackendSettings
from microgate.settings.model import Settings

if TYPE_CHECKING:
    import ssl


def get(url: str, tls: ssl.SSLContext | None = None) -> bytes:
    return asyncio.run(fetch(parse_address(url), tls))


def failure(url: str, tls: ssl.SSLContext | None = None) -> str:
    with pytest.raises(FetchError) as caught:
        get(url, tls)
    return str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkeys",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nke\r\n2\r\nys\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nkeys",
        b"HTTP/1.0 200 OK\r\n\r\nkeys",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 4\r\n\r\nkeys",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkeys",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nkeys",
    ],
)
def test_every_framing_is_read(answer) -> None:
    with Backend(raw(answer, then="close")) as issuer:
        assert get(f"{issuer.url}/a/b?c=d") == b"keys"
        request = issuer.requests[0]
    assert (request.method, request.target) == ("GET", "/a/b?c=d")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the answer is 404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "the answer is 204"),
        (
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            "the answer is 307, and redirects are not followed",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nkeys", "the answer ends too early"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nke", "the answer ends too early"),
        (b"HTTP/1.1 200 OK\r\nContent-", "the answer ends too early"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "the answer ends too early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2, "the answer is followed by more than was asked for"),
        (b"", "the answer ends too early"),
        (b"SSH-2.0-server\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "the answer is compressed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000),
            "the answer is larger than 1048576 bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400_000,
            "the answer is larger than 1048576 bytes",
        ),
    ],
)
def test_what_is_no_good_answer_has_a_name(answer, message) -> None:
    with Backend(raw(answer, then="close")) as issuer:
        assert failure(issuer.url) == message


def test_a_reset_has_a_name() -> None:
    with Backend(raw(b"", then="reset", read="head")) as issuer:
        assert failure(issuer.url) in ("connection reset by peer", "connection lost")


def test_time_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.1)

    def trickle(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n")
        talk.wait()

    with Backend(trickle) as issuer:
        assert failure(issuer.url) == "no answer within 0.1 s"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/keys",
        "example.com/keys",
        "http://",
        "https://user:password@example.com/keys",
        "http://example.com:99999/",
        "http://example.com/ keys",
        "http://exämple.com/keys",
        "http://[::1/keys",
        "file:///etc/passwd",
        "",
    ],
)
def test_other_addresses_are_refused(url) -> None:
    with pytest.raises(FetchError):
        parse_address(url)


def test_a_host_name_that_cannot_be_is_no_traceback() -> None:
    assert failure(f"http://{'a' * 70}.invalid/") == "it has a host name that cannot be"


def test_certificates_are_verified(identity) -> None:
    def settings(ca_file: str) -> Settings:
        return msgspec.structs.replace(Settings(), backend=BackendSettings(ca_file=ca_file))

    with Backend(respond(b"keys"), tls=identity.server_context()) as issuer:
        url = issuer.url.replace("127.0.0.1", "localhost")
        assert get(url, make_tls(settings(str(identity.certificate_file)))) == b"keys"
        assert "certificate verify failed" in failure(url, make_tls(settings("")))
