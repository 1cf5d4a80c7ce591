"""New connections to one endpoint: addresses raced (RFC 8305), then TLS, all within one time limit.

The pool asks for them. What goes wrong comes out as one small tree of errors, from which the pool chooses the fault and
the log line; whatever happens, no socket is left behind.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from microgate.runtime.protocols.pieces import bound_held
from microgate.runtime.upstreams.resolver import ResolveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.upstreams.resolver import Addresses, Resolver

P = TypeVar("P", bound=asyncio.BaseProtocol)

# The next address is tried when the one before has not answered for so long (RFC 8305 §5).
STAGGER_SECONDS = 0.25


class ConnectError(Exception):
    """No connection; the text names address and cause. `reason` is the stable word for logs and metrics."""

    reason = "backend.connect.failed"


class UnresolvedError(ConnectError):
    reason = "backend.connect.unresolved"


class RefusedError(ConnectError):
    reason = "backend.connect.refused"


class ConnectTimeoutError(ConnectError):
    reason = "backend.connect.timeout"


class TlsError(ConnectError):
    reason = "backend.connect.tls"


class Connector:
    """Makes connections to the endpoint that `url` names: `http`, `https`, or `unix:/path/of/socket:/base/path`.

    `ssl_context` is for https; the endpoint's host is the name in SNI and the one that is verified. `timeout` is in
    seconds and covers name, connection and handshake.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        resolver: Resolver,
        url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 5.0,
        stagger: float = STAGGER_SECONDS,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._ssl_context = ssl_context
        self._timeout = timeout
        self._stagger = stagger
        self._path = ""
        self._host = ""
        self._turn = 0
        if url.startswith("unix:"):
            self._path = url.removeprefix("unix:").partition(":")[0]
        else:
            parts = urlsplit(url)
            self._host = parts.hostname or ""
            self._port = parts.port or {"http": 80, "https": 443}[parts.scheme]

    async def connect(self, factory: Callable[[], P]) -> P:
        """A connected protocol made by `factory`, handshake done. Raises ConnectError."""
        step = "no address"
        try:
            async with asyncio.timeout(self._timeout):
                if self._path:
                    step = f"no connection to {self._path}"
                    return await self._connect_unix(factory)
                addresses = self._resolver.cached(self._host)
                if addresses is None:
                    addresses = await self._resolve()
                step = "no connection"
                connected = await self._race(self._rotate(addresses))
                step = "no TLS handshake"
                return await self._start(connected, factory)
        except TimeoutError as error:
            raise ConnectTimeoutError(f"{step} within {self._timeout:g} s") from error

    async def _connect_unix(self, factory: Callable[[], P]) -> P:
        try:
            _, protocol = await self._loop.create_unix_connection(factory, self._path)
        except OSError as error:
            raise _translate(error, self._path) from error
        return protocol

    async def _resolve(self) -> Addresses:
        try:
            return await self._resolver.addresses(self._host)
        except ResolveError as error:
            raise UnresolvedError(f"`{self._host}`: {error}") from error

    def _rotate(self, addresses: Addresses) -> Addresses:
        """Each connection begins with the next address, of the same family order; so all backends of a name get some."""
        if len(addresses) == 1:
            return addresses
        self._turn += 1
        by_family: dict[int, list[tuple[int, str]]] = {}
        for address in addresses:
            by_family.setdefault(address[0], []).append(address)
        turned = {family: self._turn_by(some) for family, some in by_family.items()}
        return tuple(turned[family].pop(0) for family, _ in addresses)

    def _turn_by(self, addresses: list[tuple[int, str]]) -> list[tuple[int, str]]:
        start = (self._turn - 1) % len(addresses)
        return addresses[start:] + addresses[:start]

    async def _race(self, addresses: Addresses) -> socket.socket:
        """The first connected socket. A further address joins when one fails, or when all are slow."""
        if len(addresses) == 1:
            return await self._attempt(addresses[0])
        waiting = list(addresses)
        running: set[asyncio.Task[socket.socket]] = set()
        errors: list[ConnectError] = []
        try:
            while waiting or running:
                if waiting:
                    running.add(self._loop.create_task(self._attempt(waiting.pop(0))))
                patience = self._stagger if waiting else None
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    running.discard(task)
                    error = task.exception()
                    if error is None:
                        return task.result()
                    if not isinstance(error, ConnectError):
                        raise error
                    errors.append(error)
        finally:
            for task in running:
                task.cancel()
                task.add_done_callback(_close_loser)
        raise _sum_up(errors)

    async def _attempt(self, address: tuple[int, str]) -> socket.socket:
        family, text = address
        place = f"{text}:{self._port}" if family == socket.AF_INET else f"[{text}]:{self._port}"
        try:
            flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            info = socket.getaddrinfo(text, self._port, type=socket.SOCK_STREAM, flags=flags)
            made = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise _translate(error, place) from error
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            bound_held(made)
            await self._loop.sock_connect(made, info[0][4])
        except OSError as error:
            made.close()
            raise _translate(error, place) from error
        except BaseException:
            made.close()
            raise
        return made

    async def _start(self, connected: socket.socket, factory: Callable[[], P]) -> P:
        """Hand a connected socket to a transport, through TLS where the endpoint wants it."""
        context = self._ssl_context
        try:
            _, protocol = await self._loop.create_connection(
                factory,
                sock=connected,
                ssl=context,
                server_hostname=self._host.removesuffix(".") if context is not None else None,
                ssl_handshake_timeout=self._timeout + 1 if context is not None else None,
            )
        except ssl.SSLCertVerificationError as error:
            connected.close()
            raise TlsError(f"`{self._host}`: certificate not accepted: {error.verify_message}") from error
        except ssl.SSLError as error:
            connected.close()
            raise TlsError(f"`{self._host}`: {(error.reason or str(error)).replace('_', ' ').lower()}") from error
        except OSError as error:
            connected.close()
            raise TlsError(f"`{self._host}`: connection lost in the TLS handshake") from error
        except BaseException:
            connected.close()
            raise
        return protocol


def _close_loser(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _translate(error: OSError, place: str) -> ConnectError:
    # The loop's own texts repeat the address; the numbers of name errors are not the system's.
    cause = error.strerror or str(error)
    if error.errno and not isinstance(error, socket.gaierror):
        cause = os.strerror(error.errno)
    kind = ConnectError
    if isinstance(error, ConnectionRefusedError):
        kind = RefusedError
    elif isinstance(error, TimeoutError):
        kind = ConnectTimeoutError
    return kind(f"{place}: {cause.lower()}")


def _sum_up(errors: list[ConnectError]) -> ConnectError:
    """One error for all addresses; of one kind if they are."""
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else ConnectError
    return kind("; ".join(map(str, errors)))
