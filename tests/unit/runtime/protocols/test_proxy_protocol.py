"""The PROXY protocol's headers, good and bad, in every way they can be cut."""

import socket
import struct

import pytest

from microgate.runtime.protocols.proxy_protocol import SIGNATURE, ProxyHeader


def v2(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(addresses)) + addresses


IPV4 = v2(1, 0x11, socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + b"\x10\x00\x00\x50")
IPV6 = v2(1, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + b"\x10\x00\x00\x50")

GOOD = [
    (b"PROXY TCP4 203.0.113.7 192.0.2.1 4096 80\r\n", "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 4096 80\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", ""),
    (b"PROXY UNKNOWN anything at all\r\n", ""),
    (IPV4, "203.0.113.7"),
    (IPV6, "2001:db8::7"),
    (v2(0, 0, b""), ""),  # LOCAL: the balancer's own health check
    (v2(1, 0x11, IPV4[16:] + b"\x04\x00\x01x"), "203.0.113.7"),  # with a TLV behind
]

BAD = [
    b"GET / HTTP/1.1\r\n",
    b"PROXY TCP4 203.0.113.7\r\n",
    b"PROXY TCP4 nonsense 192.0.2.1 1 2\r\n",
    b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY " + b"x" * 200,
    b"PROXY TCP4 " + b"1" * 100 + b" 1.1.1.1 1 2\r\n",
    SIGNATURE + b"\x31\x11\x00\x00",  # version 3
    SIGNATURE + b"\x22\x11\x00\x00",  # unknown command
    v2(1, 0x11, b"\x01\x02"),  # addresses cut short
    SIGNATURE + b"\x21\x11\xff\xff",  # longer than any header needs
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_header_names_the_client_and_leaves_the_rest(header, source):
    for cut in range(len(header)):
        parsed = ProxyHeader()
        first = parsed.feed(header[:cut]) if cut else None
        assert first is None
        assert not parsed.failed
        assert parsed.feed(header[cut:] + b"GET /") == b"GET /"
        assert parsed.source == source


@pytest.mark.parametrize("header", BAD)
def test_bad_header_fails(header):
    parsed = ProxyHeader()
    assert parsed.feed(header) is None
    assert parsed.failed
    assert parsed.source == ""
