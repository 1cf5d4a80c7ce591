"""What a backend's request line and Host say, for every shape of endpoint and path."""

import pytest

from microgate.plan.model import Api, Operation
from microgate.runtime.exchange import Exchange
from microgate.runtime.upstreams.forward import HeadWriter, Target, link_head
from microgate.settings.model import Settings


class Client:
    """The downstream side, as far as a head needs it."""

    peer = "198.51.100.9"
    scheme = "http"
    trusted = False
    forwarded = b"X-Forwarded-For: 198.51.100.9\r\nX-Forwarded-Proto: http"


def request_line(url: str, base_path: str, target: bytes) -> bytes:
    operation = Operation(id="x", method="GET", path="/*")
    api = Api(id="a", name="a", version="1", base_path=base_path, file="a.yaml", operations=(operation,))
    exchange = Exchange(Client(), "GET", target, [])
    exchange.path = target.partition(b"?")[0]
    head = link_head(HeadWriter(Settings()), api, operation, Target(url))(exchange)
    return head.partition(b"\r\n")[0].removeprefix(b"GET ").removesuffix(b" HTTP/1.1")


@pytest.mark.parametrize(
    ("url", "base_path", "target", "expected"),
    [
        ("http://b", "/", b"/x", b"/x"),
        ("http://b/", "/", b"/x", b"/x"),
        ("http://b/v1", "/shop", b"/shop/x?q=1", b"/v1/x?q=1"),
        ("http://b/v1/", "/shop", b"/shop/x", b"/v1/x"),
        ("http://b/v1", "/shop", b"/shop", b"/v1/"),
        ("http://b", "/shop", b"/shop?q", b"/?q"),
        ("http://b", "/myapi/a", b"/myapi/a/myapi/b", b"/myapi/b"),
        ("http://b", "/shop", b"/shop;v=1/x;a=2", b"/x;a=2"),
        ("http://b", "/\u00e9/bbb", b"/%C3%A9/bbb/x", b"/x"),
        ("http://b", "/\u00e9/bbb", b"/%C3%A9/bbb", b"/"),
        ("http://b", "/shop", b"/shop/x//", b"/x//"),
        (
            "http://b",
            "/shop",
            b"/shop/1%2F1?f=a%20b&j={%22n%22:1}&e=&e=2&k&p=a+b",
            b"/1%2F1?f=a%20b&j={%22n%22:1}&e=&e=2&k&p=a+b",
        ),
        ("http://b/v1?key=1", "/shop", b"/shop/x", b"/v1/x?key=1"),
        ("http://b/v1?key=1", "/shop", b"/shop/x?q=2", b"/v1/x?key=1&q=2"),
        ("unix:/run/b.sock:/v1", "/shop", b"/shop/x", b"/v1/x"),
    ],
)
def test_case_24_prefix_is_cut_once_and_bytes_stay(url, base_path, target, expected):
    assert request_line(url, base_path, target) == expected


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://b", b"b"),
        ("http://b:80/x", b"b"),
        ("http://b:8080", b"b:8080"),
        ("https://b:443", b"b"),
        ("https://b:80", b"b:80"),
        ("http://[::1]:8080", b"[::1]:8080"),
        ("unix:/run/b.sock", b"localhost"),
    ],
)
def test_host_follows_the_endpoint(url, authority):
    assert Target(url).authority == authority
