"""The PROXY protocol before TLS, with the real gateway: the client it names is the client, and TLS begins after it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from behaviour.processes.running import unchecked
from harness.client import Client
from harness.descriptions import describe
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.backend import Backend
    from harness.process import GatewayProcess

V1 = b"PROXY TCP4 192.0.2.9 192.0.2.1 4000 443\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\xc0\0\x02\x01\x0f\xa0\x01\xbb"
V2_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\x00"
SETTINGS = (
    '[listenerConfig]\nhttpsPort = 0\nproxyProtocol = true\nheaderTimeoutInMillis = 500\ntrustedProxies = ["{}"]\n'
)


class Proxied(Client):
    """A connection through a balancer that sends these pieces before the handshake."""

    def __init__(self, port: int, *pieces: bytes) -> None:
        super().__init__(port)
        for piece in pieces:
            self.send(piece)
        raw = self.socket
        self.socket = unchecked().wrap_socket(raw)


def start(gateway: Callable[..., GatewayProcess], trusted: str = "127.0.0.0/8") -> GatewayProcess:
    return gateway(describe(["/a"]), settings=SETTINGS.format(trusted))


def test_the_client_that_the_header_names_is_the_client(gateway: Callable[..., GatewayProcess], backend: Backend):
    running = start(gateway)
    one_by_one = [V1[at : at + 1] for at in range(len(V1))]
    for client, pieces in (
        ("192.0.2.9", [V1]),
        ("192.0.2.9", [V2]),
        ("127.0.0.1", [V2_LOCAL]),
        ("192.0.2.9", one_by_one),
    ):
        with Proxied(running.https, *pieces) as connection:
            assert connection.get("/a").status == 200
            assert connection.get("/a").status == 200
        assert backend.requests[-1].header("X-Forwarded-For") == client
        assert backend.requests[-1].header("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize(
    "opening", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x02\0", b"PROXY " + b"x" * 200]
)
def test_without_a_right_header_a_trusted_proxy_is_closed(gateway: Callable[..., GatewayProcess], opening: bytes):
    running = start(gateway)
    with Client(running.https) as client:
        client.send(opening)
        assert client.until_closed() == b""
    wait_until(lambda: "microgate_proxy_protocol_errors_total 1" in running.metrics(), "it is counted")


def test_a_proxy_that_says_nothing_is_closed_in_time(gateway: Callable[..., GatewayProcess]):
    running = start(gateway)
    with Client(running.https) as silent, Client(running.https) as slow:
        slow.send(V1[:10])
        assert silent.is_closed(within=3)
        assert slow.is_closed(within=3)
    with Proxied(running.https, V1) as connection:
        assert connection.get("/a").status == 200


def test_others_speak_tls_at_once_and_their_headers_are_not_believed(
    gateway: Callable[..., GatewayProcess], backend: Backend
):
    running = start(gateway, trusted="192.0.2.0/24")
    with Client(running.https, tls=unchecked()) as client:
        assert client.get("/a").status == 200
    assert backend.requests[-1].header("X-Forwarded-For") == "127.0.0.1"
    with pytest.raises(OSError, match=r"(?i)ssl|reset|closed|eof"):
        Proxied(running.https, V1)


def test_it_stops_as_any_listener(gateway: Callable[..., GatewayProcess]):
    running = start(gateway)
    with Proxied(running.https, V1) as connection:
        assert connection.get("/a").status == 200
        assert running.stop() == 0
        assert connection.is_closed()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", running.https), 1):
        pass
