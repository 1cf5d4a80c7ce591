"""The addresses the gateway serves: sockets that the supervisor opens once and holds for its whole life.

A TCP listener has one SO_REUSEPORT socket per worker slot, so that the kernel spreads connections evenly and the queue of a
dead worker waits for its successor. A Unix socket has no such thing and is shared by all. Who accepts is in accepting.py.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from microgate.errors import StartError
from microgate.runtime.port_holder import find_holder
from microgate.runtime.protocols.pieces import bound_held

if TYPE_CHECKING:
    from microgate.settings.model import Settings

BACKLOG = 2_048  # the system may cap it

_PORT_KEYS = {
    "http": "listenerConfig.httpPort",
    "https": "listenerConfig.httpsPort",
    "token": "listenerConfig.tokenListenerPort",
    "admin": "adminConfig.port",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """One address. `slots` holds the sockets of each worker slot; `port` is the real one, 0 for a Unix socket."""

    scheme: str  # "http", "https", or "token" for TLS with the token services alone
    name: str  # as shown to the user
    port: int
    slots: tuple[tuple[socket.socket, ...], ...]
    path: Path | None = None  # of a Unix socket
    inode: int = 0  # of that path, which may belong to a successor by the time that we close

    def close(self) -> None:
        for sockets in self.slots:
            for sock in sockets:
                sock.close()
        if self.path is not None:
            with suppress(OSError):
                if self.path.lstat().st_ino == self.inode:
                    self.path.unlink()


@dataclass(frozen=True, slots=True)
class Listeners:
    """All of them. `admin` belongs to the steward."""

    traffic: tuple[Listener, ...]
    admin: Listener | None

    def port(self, scheme: str) -> int | None:
        """The real port of the TCP listener of a scheme; None where there is none."""
        return next((listener.port for listener in self.traffic if listener.scheme == scheme and listener.port), None)

    @property
    def admin_socket(self) -> socket.socket | None:
        return self.admin.slots[0][0] if self.admin is not None else None

    def keep(self, slot: int | None) -> None:
        """After the fork: close what belongs to other processes, so that a port is free once its own ones have gone."""
        kept = [sock for listener in self.traffic if slot is not None for sock in listener.slots[slot]]
        for listener in self.traffic:
            for sockets in listener.slots:
                for sock in sockets:
                    if sock not in kept:
                        sock.close()
        if slot is not None and self.admin_socket is not None:
            self.admin_socket.close()

    def close_traffic(self) -> None:
        for listener in self.traffic:
            listener.close()

    def close(self) -> None:
        self.close_traffic()
        if self.admin is not None:
            self.admin.close()


def open_listeners(settings: Settings, slots: int) -> Listeners:
    """Open what the settings ask for; raises StartError, and leaves nothing open, where an address is not to be had."""
    configured = settings.listener
    opened: list[Listener] = []
    admin: Listener | None = None
    try:
        if configured.http_port >= 0:
            opened.append(_open_tcp("http", configured.host, configured.http_port, slots))
        if configured.https_port >= 0:
            opened.append(_open_tcp("https", configured.host, configured.https_port, slots))
        if has_token_listener(settings):
            opened.append(_open_tcp("token", configured.host, configured.token_listener_port, slots))
        if configured.unix_socket:
            opened.append(_open_unix(Path(configured.unix_socket), slots))
        if settings.admin.port >= 0:
            admin = _open_tcp("admin", settings.admin.host, settings.admin.port, 1)
    except BaseException:
        Listeners(tuple(opened), None).close()
        raise
    if not opened:
        raise StartError(
            "there is no listener: every port is turned off",
            "set `listenerConfig.httpPort`, `httpsPort` or `unixSocket`",
        )
    return Listeners(tuple(opened), admin)


def has_token_listener(settings: Settings) -> bool:
    """It is opened where it has something to serve."""
    return bool(settings.key_manager.server_url) and settings.listener.token_listener_port >= 0


def _open_tcp(scheme: str, host: str, port: int, slots: int) -> Listener:
    where = f"[{host}]" if ":" in host else host
    by_slot: list[list[socket.socket]] = [[] for _ in range(slots)]
    try:
        for family, address in _resolve(host, port, _PORT_KEYS[scheme]):
            if port:
                _bind(family, (address, port), shared=False).close()
            for sockets in by_slot:
                sock = _bind(family, (address, port), shared=slots > 1)
                sockets.append(sock)
                port = sock.getsockname()[1]
        for sockets in by_slot:
            for sock in sockets:
                sock.listen(BACKLOG)
    except OSError as error:
        for sockets in by_slot:
            for sock in sockets:
                sock.close()
        raise _explain(error, scheme, where, port) from error
    return Listener(scheme, f"{scheme} {where}:{port}", port, tuple(tuple(sockets) for sockets in by_slot))


def _resolve(host: str, port: int, key: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        section = key.partition(".")[0]
        raise StartError(f"cannot listen on `{host}`: no such address", f"check `{section}.host`") from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind(family: socket.AddressFamily, address: tuple[str, int], *, shared: bool) -> socket.socket:
    """A bound socket. Without `shared` it is a proof too that nobody else listens: sharing would hide that."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # `::` serves IPv4 as well, whatever the system's own default is.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        bound_held(sock)  # connections inherit it
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _explain(error: OSError, scheme: str, where: str, port: int) -> StartError:
    key = _PORT_KEYS[scheme]
    address = f"{where}:{port}"
    if error.errno == errno.EADDRINUSE:
        holder = find_holder(port)
        by = f" by {holder}" if holder else ""
        return StartError(
            f"cannot listen on {address} ({scheme}): the port is taken{by}",
            f"stop what holds it, or choose another port: --set {key}=PORT",
        )
    if error.errno == errno.EACCES:
        return StartError(
            f"cannot listen on {address} ({scheme}): not permitted",
            f"ports below 1024 need a privilege; choose another port: --set {key}=PORT",
        )
    reason = (error.strerror or str(error)).lower()
    return StartError(f"cannot listen on {address} ({scheme}): {reason}", f"check `{key.partition('.')[0]}.host`")


def _open_unix(path: Path, slots: int) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(os.fspath(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot listen on `{path}`: {reason}", "check `listenerConfig.unixSocket`") from error
    except StartError:
        sock.close()
        raise
    return Listener("http", f"http unix:{path}", 0, ((sock,),) * slots, path, path.lstat().st_ino)


def _remove_stale(path: Path) -> None:
    """Remove the socket that a gateway which was killed has left; nothing else, and not if somebody serves there."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartError(
                f"cannot listen on `{path}`: it exists and is no socket", "check `listenerConfig.unixSocket`"
            )
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(ConnectionRefusedError):
        probe.connect(os.fspath(path))
        raise StartError(f"cannot listen on `{path}`: somebody serves there", "stop what does, or choose another path")
    path.unlink()
