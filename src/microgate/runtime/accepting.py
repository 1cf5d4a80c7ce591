"""How a worker takes connections from its listeners, and stops: for a while at the limit of connections, or for good.

The queue of a listener stays in the kernel, because the supervisor holds the socket: who stops accepting here leaves it to
the next. Parsing begins in protocols/.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from microgate.runtime.listeners import BACKLOG

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

log = logging.getLogger("microgate.accepting")

LOOK_SECONDS = 0.05  # how often a worker that is full looks whether it has room again
WARNING_SECONDS = 10.0  # between two lines that say so
LAST_SECONDS = 1.0  # for connections that are taken last to begin
LAST_CONNECTIONS = 1_024  # taken from the queue of a listener that is about to close


class Door(Protocol):
    """What the worker's gateway offers for this."""

    @property
    def connections(self) -> int: ...
    def connection(self, scheme: str) -> asyncio.Protocol: ...


class Entrance:
    """One listening socket of this worker."""

    def __init__(self, sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        self._socket = sock
        self._factory = factory
        self._options: dict[str, Any] = {}
        self._server: asyncio.AbstractServer | None = None

    def secure(self, context: ssl.SSLContext, handshake_seconds: float, shutdown_seconds: float) -> None:
        self._options = {
            "ssl": context,
            "ssl_handshake_timeout": handshake_seconds,
            "ssl_shutdown_timeout": shutdown_seconds,
        }

    async def open(self) -> None:
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        # The server closes the socket it is given; ours is needed for the next time.
        sock = self._socket.dup()
        options = {**self._options, "backlog": BACKLOG}
        if sock.family.name == "AF_UNIX":
            if "cleanup_socket" in inspect.signature(loop.create_unix_server).parameters:
                options["cleanup_socket"] = False  # the path belongs to the supervisor
            self._server = await loop.create_unix_server(self._factory, sock=sock, **options)
        else:
            self._server = await loop.create_server(self._factory, sock=sock, **options)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def take_last(self) -> set[asyncio.Task[Any]]:
        """Take what the kernel has accepted for us already, which would be reset with the socket, and close the socket.

        The tasks end when the connections have begun, TLS included.
        """
        loop = asyncio.get_running_loop()
        return {
            loop.create_task(loop.connect_accepted_socket(self._factory, connection, **self._options))
            for connection in self._queued()
        }

    def _queued(self) -> list[socket.socket]:
        taken: list[socket.socket] = []
        with self._socket as sock, suppress(OSError):
            sock.setblocking(False)
            while len(taken) < LAST_CONNECTIONS:
                taken.append(sock.accept()[0])
                taken[-1].setblocking(False)
        return taken


E = TypeVar("E", bound=Entrance)


class Acceptor:
    """All entrances of a worker, and the bound on its connections. `count_…` add to a metric."""

    def __init__(
        self,
        door: Door,
        max_connections: int,
        count_accepted: Callable[[int], None],
        count_refused: Callable[[int], None],
    ) -> None:
        self._door = door
        self._max = max_connections
        self._count_accepted = count_accepted
        self._count_refused = count_refused
        self._entrances: list[Entrance] = []
        self._fresh = 0  # connections of this turn of the loop that the door does not count yet
        self._full = False
        self._warned_at = -WARNING_SECONDS
        self._waiting: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, sock: socket.socket, scheme: str, kind: type[E]) -> E:
        """One more listening socket, taken in the way of `kind`."""
        entrance = kind(sock, lambda: self._connection(scheme))
        self._entrances.append(entrance)
        return entrance

    async def open(self) -> None:
        for entrance in self._entrances:
            await entrance.open()

    def _connection(self, scheme: str) -> asyncio.Protocol:
        count = self._door.connections + self._fresh
        if count + 1 >= self._max and not self._full:
            self._full = True
            # A server must not be closed from its own callback.
            asyncio.get_running_loop().call_soon(self._pause)
        if count >= self._max:
            # The loop takes all that is queued in one go; what is too much of that is turned away.
            self._count_refused(1)
            return _Refused()
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._forget_fresh)
        self._fresh += 1
        self._count_accepted(1)
        return self._door.connection(scheme)

    def _forget_fresh(self) -> None:
        self._fresh = 0

    def _pause(self) -> None:
        """Leave new connections in the kernel's queue until there is room again."""
        if self._closed:
            return
        self._close_entrances()
        loop = asyncio.get_running_loop()
        if loop.time() - self._warned_at >= WARNING_SECONDS:
            self._warned_at = loop.time()
            log.warning("this worker has %d connections, its limit; new ones wait", self._max)
        self._waiting = loop.create_task(self._wait_for_room())

    async def _wait_for_room(self) -> None:
        while self._full:
            await asyncio.sleep(LOOK_SECONDS)
            if self._door.connections < self._max:
                # Without a free descriptor there is no room either.
                with suppress(OSError):
                    self._full = False
                    await self.open()
                    return
                self._full = True

    def _close_entrances(self) -> None:
        for entrance in self._entrances:
            entrance.close()

    async def close(self, *, sockets_stay: bool) -> None:
        """Accept no more. Unless the sockets stay with somebody else, what the kernel holds for us is taken first."""
        self._closed = True
        if self._waiting is not None:
            self._waiting.cancel()
        self._close_entrances()
        if sockets_stay:
            return
        beginning = set().union(*(entrance.take_last() for entrance in self._entrances))
        if beginning:
            done, _ = await asyncio.wait(beginning, timeout=LAST_SECONDS)
            for task in done:
                task.exception()  # a client that left meanwhile is nobody's concern


class _Refused(asyncio.Protocol):
    """A connection over the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()  # uvloop's are not subclasses
