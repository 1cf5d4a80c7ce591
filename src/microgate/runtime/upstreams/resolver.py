"""Names to addresses, for as long as the name servers say so, and for longer while they say nothing.

One per worker, over c-ares on the worker's own loop. `connect.py` asks it for every new connection. The hosts file and
search domains are the system's, and so are the name servers where the settings name none. What a name has is refreshed
when it is used, so an idle gateway asks nobody.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pycares

# (socket.AF_INET or AF_INET6, address text), IPv6 and IPv4 in turn as RFC 8305 §4 wants.
Addresses: TypeAlias = tuple[tuple[int, str], ...]

MIN_TTL_SECONDS = 1.0
MAX_TTL_SECONDS = 3600.0
# A name that does not exist, and any failure, is not asked for again for so long.
RETRY_SECONDS = 1.0
# Answers are refreshed in the background when this part of their life is left, so that no request waits.
REFRESH_PART = 0.2
# While name servers are silent the last good addresses serve after this wait, and at once for so long.
STALE_WAIT_SECONDS = 1.0
STALE_SECONDS = 4.0
# How long the answer for one family waits for the other's (RFC 8305 §3).
SECOND_FAMILY_SECONDS = 0.05
# First wait for one name server; c-ares doubles it for each further try.
QUERY_TIMEOUT_SECONDS = 1.0
QUERY_TRIES = 2
# How late a timeout of c-ares may be noticed while a lookup is under way.
TICK_SECONDS = 0.1
MAX_NAMES = 1024

_NO_SOCKET = -1
_FAMILIES = (socket.AF_INET6, socket.AF_INET)


class ResolveError(Exception):
    """A name has no addresses; the text says why."""


class _Entry:
    """What is known of a name. Without addresses: that it has none, and why."""

    __slots__ = ("addresses", "error", "expires", "refresh")

    def __init__(self, addresses: Addresses, expires: float, refresh: float, error: str = "") -> None:
        self.addresses = addresses
        self.expires = expires
        self.refresh = refresh  # from here on a use starts a new lookup
        self.error = error


class _Lookup:
    """A name being asked for, in both families at once. All who want it wait for `ready`."""

    __slots__ = ("answers", "failures", "ready", "started", "ttl")

    def __init__(self, ready: asyncio.Future[None], started: float) -> None:
        self.ready = ready
        self.started = started
        self.answers: dict[int, list[str]] = {}  # empty for a family that the name does not have
        self.failures: dict[int, str] = {}
        self.ttl = MAX_TTL_SECONDS

    @property
    def is_complete(self) -> bool:
        return len(self.answers) + len(self.failures) == len(_FAMILIES)


class Resolver:
    """`servers` are addresses with optional ports instead of the system's name servers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, servers: Sequence[str] = ()) -> None:
        self._loop = loop
        self._servers = servers
        self._entries: dict[str, _Entry] = {}
        self._lookups: dict[str, _Lookup] = {}
        self._channel: pycares.Channel | None = None
        self._sockets: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_worn = False  # the channel has seen a failure: a new one reads the system's settings anew

    def cached(self, host: str) -> Addresses | None:
        """Addresses that are good without waiting, or None."""
        entry = self._entries.get(host)
        if entry is None:
            return literal(host)
        now = self._loop.time()
        if now >= entry.refresh and host not in self._lookups:
            self._look_up(host)
        return entry.addresses if now < entry.expires and entry.addresses else None

    async def addresses(self, host: str) -> Addresses:
        """The addresses of a name, at least one. Raises ResolveError.

        Waits as long as the name servers take, but only briefly where there are older addresses to fall back on.
        """
        found = self.cached(host)
        if found is not None:
            return found
        now = self._loop.time()
        entry = self._entries.get(host)
        if entry is None or now >= entry.expires:
            lookup = self._lookups.get(host) or self._look_up(host)
            wait = None
            if entry is not None and entry.addresses:
                wait = max(0.0, lookup.started + STALE_WAIT_SECONDS - now)
            await asyncio.wait([lookup.ready], timeout=wait)
            entry = self._entries.get(host)
        if entry is None or not entry.addresses:
            raise ResolveError(entry.error if entry is not None else "the resolver is closed")
        return entry.addresses

    def close(self) -> None:
        """Give up all lookups; those who wait get ResolveError."""
        lookups = list(self._lookups.values())
        self._lookups.clear()
        self._drop_channel()
        for lookup in lookups:
            if not lookup.ready.done():
                lookup.ready.set_result(None)

    # Lookups.

    def _look_up(self, host: str) -> _Lookup:
        lookup = self._lookups[host] = _Lookup(self._loop.create_future(), self._loop.time())
        try:
            name = _to_ascii(host)
            channel = self._open_channel()
            for family in _FAMILIES:
                self._ask(channel, host, name, family)
        except ValueError:
            lookup.failures = dict.fromkeys(_FAMILIES, "not a domain name")
            self._finish(host, lookup)
        self._watch_time()
        return lookup

    def _ask(self, channel: pycares.Channel, host: str, name: str, family: socket.AddressFamily) -> None:
        """Start the lookup of one family; the answer may come before this returns."""

        def on_answer(result: pycares.AddrInfoResult | None, error: int | None) -> None:
            self._on_answer(host, family, result, error)

        channel.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM, callback=on_answer)

    def _on_answer(self, host: str, family: int, result: pycares.AddrInfoResult | None, error: int | None) -> None:
        lookup = self._lookups.get(host)
        if lookup is None:
            return
        if result is not None:
            nodes = [node for node in result.nodes if node.family == family]
            lookup.answers[family] = list(dict.fromkeys(node.addr[0].decode() for node in nodes))
            lookup.ttl = min([lookup.ttl, *(node.ttl for node in nodes), *(name.ttl for name in result.cnames)])
        elif _is_denial(error):
            lookup.answers[family] = []
        else:
            lookup.failures[family] = _describe(error)
        if lookup.is_complete:
            self._finish(host, lookup)
        elif lookup.answers.get(family):
            self._loop.call_later(SECOND_FAMILY_SECONDS, self._store_early, host, lookup)

    def _store_early(self, host: str, lookup: _Lookup) -> None:
        if not lookup.ready.done():
            self._store(host, lookup)

    def _finish(self, host: str, lookup: _Lookup) -> None:
        del self._lookups[host]
        if not any(lookup.answers.values()) and lookup.failures:
            self._is_worn = True
        self._store(host, lookup)

    def _store(self, host: str, lookup: _Lookup) -> None:
        """Keep what has come so far, and what was known before for a family whose answer failed."""
        before = self._entries.pop(host, None)
        known: dict[int, list[str]] = {family: [] for family in _FAMILIES}
        for family, text in before.addresses if before is not None else ():
            if family not in lookup.answers:
                known[family].append(text)
        known.update(lookup.answers)
        addresses = _in_turn(known)
        now = self._loop.time()
        if not addresses:
            error = next(iter(lookup.failures.values()), "no such name, or no address")
            entry = _Entry((), now + RETRY_SECONDS, now + RETRY_SECONDS, error)
        elif not any(lookup.answers.values()):
            entry = _Entry(addresses, now + STALE_SECONDS, now + RETRY_SECONDS)
        else:
            life = min(max(lookup.ttl, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
            entry = _Entry(addresses, now + life, now + life * (1 - REFRESH_PART))
        if len(self._entries) >= MAX_NAMES:
            del self._entries[next(iter(self._entries))]
        self._entries[host] = entry
        if not lookup.ready.done():
            lookup.ready.set_result(None)

    # c-ares on the loop.

    def _open_channel(self) -> pycares.Channel:
        """The channel; a new one after failures, as the name servers in /etc/resolv.conf may be others by now."""
        if self._channel is not None and self._is_worn and len(self._lookups) == 1:
            self._drop_channel()
        if self._channel is None:
            import pycares

            self._channel = pycares.Channel(
                timeout=QUERY_TIMEOUT_SECONDS,
                tries=QUERY_TRIES,
                servers=self._servers or None,
                sock_state_cb=self._on_socket,
            )
            self._is_worn = False
        return self._channel

    def _drop_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            # Cancelled here, as closing calls back from another thread whatever is still under way.
            channel.cancel()
            channel.close()
        for number in self._sockets:
            self._loop.remove_reader(number)
            self._loop.remove_writer(number)
        self._sockets.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_socket(self, number: int, readable: bool, writable: bool) -> None:
        """C-ares wants to know, or not any more, when a socket of its own can be read or written."""
        if readable:
            self._loop.add_reader(number, self._on_readable, number)
        else:
            self._loop.remove_reader(number)
        if writable:
            self._loop.add_writer(number, self._on_writable, number)
        else:
            self._loop.remove_writer(number)
        if readable or writable:
            self._sockets.add(number)
        else:
            self._sockets.discard(number)

    def _on_readable(self, number: int) -> None:
        if self._channel is not None:
            self._channel.process_read_fd(number)

    def _on_writable(self, number: int) -> None:
        if self._channel is not None:
            self._channel.process_write_fd(number)

    def _watch_time(self) -> None:
        """Let c-ares notice what did not come in time, as long as anything is under way."""
        if self._timer is None and self._lookups and self._channel is not None:
            self._timer = self._loop.call_later(TICK_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._channel is not None:
            self._channel.process_fd(_NO_SOCKET, _NO_SOCKET)
            self._watch_time()


def literal(host: str) -> Addresses | None:
    """The address that a text is, or None where it is a name. An IPv6 address may carry a zone."""
    for family in _FAMILIES:
        try:
            socket.inet_pton(family, host.partition("%")[0] if family == socket.AF_INET6 else host)
        except (OSError, ValueError):
            continue
        return ((family, host),)
    return None


def _to_ascii(host: str) -> str:
    """A name as DNS carries it (IDNA). Raises ValueError for what is none, or would be another one in C."""
    if not host or not host.isprintable():
        raise ValueError(host)
    return host if host.isascii() else host.encode("idna").decode()


def _in_turn(known: dict[int, list[str]]) -> Addresses:
    """IPv6 and IPv4 in turn, so that a family that does not work costs one attempt."""
    ours: list[tuple[int, str]] = []
    lists = [known[family] for family in _FAMILIES]
    for index in range(max(map(len, lists))):
        ours.extend(
            (family, texts[index]) for family, texts in zip(_FAMILIES, lists, strict=True) if index < len(texts)
        )
    return tuple(ours)


def _is_denial(error: int | None) -> bool:
    """A name server has said that there is no such name or address; anything else is a failure to say."""
    from pycares import errno

    return error in {errno.ARES_ENOTFOUND, errno.ARES_ENODATA}


def _describe(error: int | None) -> str:
    from pycares import errno

    text = errno.strerror(error) if error is not None else "no answer"
    return (text.decode() if isinstance(text, bytes) else text).lower()
