"""One connection to one node of a store: commands go out as they come, answers are told apart by their order.

A command that gets no answer in time ends the connection, since nobody knows any more which answer is whose. nodes.py opens
lines and chooses among them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING, cast

from microgate.runtime.stores.replies import Garbage, Replies, StoreFault, pack

if TYPE_CHECKING:
    from microgate.runtime.stores.addresses import Address, Place
    from microgate.runtime.stores.replies import Reply

MAX_WAITING = 8_192  # commands without an answer yet
MAX_UNSENT_BYTES = 4 << 20
KEEPALIVE_SECONDS = 30


class StoreError(Exception):
    """The store cannot be had; the message says why, and never a secret."""


# What stores say in so many words; their own text is not repeated, it may hold anything.
_SAYINGS = {
    "WRONGPASS": "it refuses user and password",
    "NOAUTH": "it asks for a password",
    "NOPERM": "its user may not do what counting needs",
    "LOADING": "it is loading its data",
    "READONLY": "it is a replica, which cannot count",
    "MASTERDOWN": "it is a replica without its master",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its cluster is moving keys",
    "MOVED": "it is a node of a cluster, and the settings do not say so",
    "OOM": "it has no memory left",
    "MISCONF": "it cannot save its data",
    "BUSY": "it is busy with a script",
}


def saying(fault: StoreFault) -> str:
    """Why a store refused, in our own words."""
    code = fault.code
    if code == "ERR" and "password" in fault.text.lower():
        return _SAYINGS["WRONGPASS"]
    known = code.isascii() and code.isalpha() and len(code) <= 16
    return _SAYINGS.get(code, f"it answers with an error ({code if known else 'unknown'})")


class Line(asyncio.Protocol):
    """Closed for good once it is lost; `why` says why."""

    def __init__(self, address: Address, wait_s: float) -> None:
        self.address = address
        self.why = ""
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._replies = Replies()
        self._waiting: deque[tuple[float, asyncio.Future[Reply] | None]] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # A line that nobody uses for long would else be forgotten on the way, and the next request wait in vain.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS)

    def data_received(self, data: bytes) -> None:
        try:
            replies = self._replies.feed(data)
        except Garbage:
            self.close("it answers with garbage")
            return
        for reply in replies:
            if not self._waiting:
                self.close("it answers what nobody asked")
                return
            _, asked = self._waiting.popleft()
            if asked is not None and not asked.done():
                asked.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.close("the connection ended")

    # Asking.

    @property
    def is_open(self) -> bool:
        return not self.why

    def ask(self, *commands: bytes) -> asyncio.Future[Reply]:
        """The answer to the last of some packed commands; raises StoreError, here or when awaited."""
        transport = self._transport
        if self.why or transport is None:
            raise StoreError(self.why or "the connection ended")
        if len(self._waiting) >= MAX_WAITING or transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            raise StoreError("it is slower than what it is asked")
        until = self._loop.time() + self._wait_s
        asked = self._loop.create_future()
        for _ in commands[1:]:
            self._waiting.append((until, None))
        self._waiting.append((until, asked))
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent += commands
        if self._timer is None:
            self._timer = self._loop.call_later(self._wait_s, self._look)
        return asked

    def _send(self) -> None:
        """What was asked in one turn of the loop leaves in one piece."""
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and unsent:
            self._transport.write(b"".join(unsent))

    def _look(self) -> None:
        """One timer for all that wait: only the oldest can be too old."""
        self._timer = None
        if not self._waiting:
            return
        rest = self._waiting[0][0] - self._loop.time()
        if rest > 0:
            self._timer = self._loop.call_later(rest, self._look)
        else:
            self.close("it gives no answer in time")

    def close(self, why: str) -> None:
        """End it; all who wait hear why. Only the first reason counts."""
        self.why = self.why or why
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        waiting, self._waiting = self._waiting, deque()
        for _, asked in waiting:
            if asked is not None and not asked.done():
                asked.set_exception(StoreError(self.why))
                asked.exception()  # one that nobody awaits any more is no complaint


async def open_line(address: Address, place: Place, wait_s: float, context: ssl.SSLContext | None) -> Line:
    """A connection that is let in; raises StoreError. The caller bounds the time of connecting."""
    loop = asyncio.get_running_loop()
    try:
        _, line = await loop.create_connection(
            lambda: Line(address, wait_s),
            address.host,
            address.port,
            ssl=context,
            server_hostname=address.host if context is not None else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise StoreError(f"its certificate is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise StoreError(f"no TLS handshake: {error.reason or 'it speaks no TLS'}".lower()) from None
    except (OSError, UnicodeError) as error:
        text = getattr(error, "strerror", None) or type(error).__name__
        raise StoreError(f"no connection to {address.shown}: {text}".lower()) from None
    try:
        await _enter(line, place)
    except BaseException:
        line.close("it was not let in")
        raise
    return line


async def _enter(line: Line, place: Place) -> None:
    if place.password:
        words = [place.username, place.password] if place.username else [place.password]
        await _insist(line, b"AUTH", *(word.encode() for word in words))
    if place.database:
        await _insist(line, b"SELECT", b"%d" % place.database)
    await _insist(line, b"PING")


async def _insist(line: Line, *words: bytes) -> None:
    reply = await line.ask(pack(*words))
    if isinstance(reply, StoreFault):
        raise StoreError(saying(reply))
