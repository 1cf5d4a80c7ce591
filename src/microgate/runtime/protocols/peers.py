"""What is known of the other end of a connection: its address, whether it is a trusted proxy, and whether it is still there."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Transport

_TCP_ESTABLISHED = 1
_TCP_CLOSE = 7
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NO_TCP = frozenset({errno.EOPNOTSUPP, errno.ENOPROTOOPT})  # a Unix socket
_TCP_INFO = getattr(socket, "TCP_INFO", None)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_MAPPED_BITS = 96  # of ::ffff:0:0/96, where IPv4 addresses stand among those of IPv6


def _unmapped(network: Network) -> Network:
    """IPv4 that is written as IPv6 (RFC 4291 §2.5.5.2), as what it is."""
    inner = getattr(network.network_address, "ipv4_mapped", None)
    if inner is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((inner, network.prefixlen - _MAPPED_BITS))


class TrustedProxies:
    """The networks whose word about a client is believed (`listenerConfig.trustedProxies`)."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks: tuple[Network, ...] = tuple(_unmapped(ipaddress.ip_network(text)) for text in networks)
        # A Unix socket's peer is on this machine; it is trusted when somebody is.
        self.trusts_unix = bool(networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def believes(self, peer: str) -> bool:
        """Whether the directly connected peer is trusted; `peer` is as `address` gives it."""
        return self.trusts_unix if peer == "unix" else peer in self

    def client(self, peer: str, chain: list[bytes]) -> str:
        """The client behind `peer`: the last address of the X-Forwarded-For chain that is not a trusted proxy itself.

        "unknown" where a trusted proxy has written something else than an address: it is not the proxy who calls.
        """
        client = peer
        for element in reversed(chain):
            text = element.decode("latin-1").strip().strip('"')
            text = text[1:].partition("]")[0] if text.startswith("[") else text
            if text.count(":") == 1:
                text = text.partition(":")[0]
            try:
                client = str(ipaddress.ip_address(text))
            except ValueError:
                return "unknown"
            if client not in self:
                return client
        return client


def address(transport: Transport) -> str:
    """The peer's address as text; "unix" for a Unix socket."""
    name: Any = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        text = str(name[0])
        return text.removeprefix("::ffff:")
    return "unix"


def certificate(transport: Transport) -> bytes:
    """The certificate (DER) that the peer proved to own, also in the handshake that a resumed session goes back to."""
    connection: Any = transport.get_extra_info("ssl_object")
    return b"" if connection is None else connection.getpeercert(True) or b""


def forwarded_lines(peer: str, scheme: str) -> bytes:
    """What a backend is told of a client, as field lines without the last end."""
    shown = "unknown" if peer == "unix" else peer
    return f"X-Forwarded-For: {shown}\r\nX-Forwarded-Proto: {scheme}".encode()


def is_gone(transport: Transport) -> bool:
    """Whether the peer has closed or reset the connection; seen even while reading is paused, and before the loop knows."""
    return transport.is_closing() or _tcp_state(transport) != _TCP_ESTABLISHED


def is_reset(transport: Transport) -> bool:
    """Whether the peer has reset the connection. One that has only closed it may have sent more than was read yet."""
    return transport.is_closing() or _tcp_state(transport) == _TCP_CLOSE


def _tcp_state(transport: Transport) -> int:
    """The kernel's word; where there is none, the connection is taken for established."""
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is None or sock is None:
        return _TCP_ESTABLISHED
    # The loop's own socket object would cost ten times as much for each question.
    try:
        asked = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, sock.fileno())
    except OSError:
        return _TCP_CLOSE
    try:
        return asked.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
    except OSError as error:
        return _TCP_ESTABLISHED if error.errno in _NO_TCP else _TCP_CLOSE
    finally:
        asked.detach()


def reset(transport: Transport) -> None:
    """Close so that the peer sees a reset and cannot take what it got for complete."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
