"""The TLS listener behind balancers that speak the PROXY protocol: its header comes before the handshake, so it is read from the
socket itself, and TLS begins with what follows it.

A worker uses this in place of a plain entrance where `listenerConfig.proxyProtocol` is on; plain HTTP reads the header in its
protocol.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from microgate.runtime.accepting import Entrance
from microgate.runtime.protocols.proxy_protocol import MAX_V2_BYTES, ProxyHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.protocols.peers import TrustedProxies

CONNECTIONS_PER_TURN = 64  # so that a flood of connections leaves the loop time for those that are there
MAX_BEGINNING = 1_024  # connections that have not said who they are; more are closed


class Introduced(Protocol):
    """A connection that can be told before it begins who its client is; "" where the header named none."""

    def introduce(self, source: str) -> None: ...


class ProxiedEntrance(Entrance):
    """Accepts by itself, because the header must be taken from the socket byte for byte before TLS may see it."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        super().__init__(sock, factory)
        self._beginning: set[asyncio.Task[None]] = set()
        self._reading = False

    def trust(self, proxies: TrustedProxies, count_error: Callable[[int], None]) -> None:
        """Whose header is expected and believed; others are clients that speak TLS at once."""
        self._proxies = proxies
        self._count_error = count_error

    async def open(self) -> None:
        self._socket.setblocking(False)
        self._reading = True
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def close(self) -> None:
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def take_last(self) -> set[asyncio.Task[Any]]:
        for connection in self._queued():
            with suppress(OSError):
                self._begin(connection, connection.getpeername())
        return set(self._beginning)

    def _accept(self) -> None:
        with suppress(OSError):
            for _ in range(CONNECTIONS_PER_TURN):
                self._begin(*self._socket.accept())

    def _begin(self, connection: socket.socket, address: tuple[str, int]) -> None:
        if len(self._beginning) >= MAX_BEGINNING:
            connection.close()
            return
        connection.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._live(connection, address[0] in self._proxies))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _live(self, connection: socket.socket, trusted: bool) -> None:
        """Read the header, then hand over to TLS; whatever goes wrong is the end of this connection alone."""
        loop = asyncio.get_running_loop()
        source = ""
        try:
            if trusted:
                async with asyncio.timeout(self._options["ssl_handshake_timeout"]):
                    source = await _read_source(connection)
        except (OSError, ValueError):
            self._count_error(1)
            connection.close()
            return

        def introduced() -> asyncio.Protocol:
            protocol = self._factory()
            if hasattr(protocol, "introduce"):
                cast("Introduced", protocol).introduce(source)
            return protocol

        with suppress(OSError):
            await loop.connect_accepted_socket(introduced, connection, **self._options)


async def _read_source(connection: socket.socket) -> str:
    """The client that the header names. Raises ValueError for what is no header, OSError where the connection ends."""
    header = ProxyHeader()
    while True:
        await _readable(connection)
        data = connection.recv(MAX_V2_BYTES, socket.MSG_PEEK)
        if not data:
            raise ConnectionResetError
        rest = header.feed(data)
        # What belongs to the header is taken, what follows stays for TLS.
        connection.recv(len(data) - len(rest or b""))
        if rest is not None:
            return header.source
        if header.failed:
            raise ValueError


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())
