"""The pairs between steward and workers: control.Channel and control.Hub over SEQPACKET sockets and an event loop.

The supervisor holds both ends of every pair, so a pair outlives either side: what a dead steward has not read waits for the
next one. Nothing here blocks; what finds no room is the sender's to keep or to drop.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from microgate.runtime import control

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from microgate.runtime.control import M, Message, ToSteward, ToWorker

log = logging.getLogger("microgate.channel")

BUFFER_BYTES = 4 * control.MAX_BYTES  # asked for; the system may give less


class Pair(NamedTuple):
    worker: socket.socket
    steward: socket.socket


def open_pairs(workers: int) -> tuple[Pair, ...]:
    """One pair per worker slot."""
    return tuple(_open_pair() for _ in range(workers))


def _open_pair() -> Pair:
    ends = Pair(*socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ends


def _send(end: socket.socket, message: Message) -> bool:
    data = control.encode(message)
    if len(data) > control.MAX_BYTES:
        # It will never fit; to keep it would block what comes behind it.
        log.error("a message of %d bytes was dropped: %s", len(data), type(message).__name__)
        return True
    try:
        end.send(data)
    except OSError:
        return False
    return True


# Messages are received here and copied out at their own size: room for the largest one would cost more than the message.
_arrival = memoryview(bytearray(control.MAX_BYTES))


def _receive(end: socket.socket) -> bytes | None:
    """One message, None where there is none: the loop calls again for the next, and nobody asks in vain."""
    try:
        size = end.recv_into(_arrival)
    except OSError:
        return None
    return bytes(_arrival[:size]) or None


class Switchboard(Protocol):
    """Where the seats of the jobs are: a hub over sockets here, over plain calls in one process."""

    workers: int

    def send(self, slot: int, message: ToWorker) -> bool: ...
    def seat(self) -> Seat: ...
    def leave(self, seat: Seat) -> None: ...
    def deliver(self, slot: int, message: ToSteward) -> None: ...


class WorkerChannel:
    """A worker's end."""

    def __init__(self, loop: AbstractEventLoop, end: socket.socket) -> None:
        self._loop = loop
        self._end = end
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        # What the predecessor in this slot has left unread is answered by the state that follows our Hello.
        while _receive(end) is not None:
            pass
        loop.add_reader(end.fileno(), self._read)

    def send(self, message: ToSteward) -> bool:
        return _send(self._end, message)

    def subscribe(self, kind: type[M], handler: Callable[[M], None]) -> None:
        self._handlers.setdefault(kind, []).append(handler)

    def _read(self) -> None:
        data = _receive(self._end)
        if data is None:
            return
        try:
            message = control.decode_for_worker(data)
            for handler in self._handlers.get(type(message), ()):
                handler(message)
        except Exception:
            log.exception("a message of the steward was not handled")

    def close(self) -> None:
        self._loop.remove_reader(self._end.fileno())


class StewardHub:
    """The steward's end of all pairs. Jobs subscribe through a seat of their own, so that one that dies leaves nothing behind."""

    def __init__(self, loop: AbstractEventLoop, ends: tuple[socket.socket, ...]) -> None:
        self.workers = len(ends)
        self._loop = loop
        self._ends = ends
        self._seats: list[Seat] = []

    def open(self) -> None:
        """Begin to read, once the jobs have subscribed, and ask the workers that serve already to say so."""
        for slot, end in enumerate(self._ends):
            self._loop.add_reader(end.fileno(), self.read, slot)
        for slot in range(self.workers):
            self.send(slot, control.Greeting())

    def send(self, slot: int, message: ToWorker) -> bool:
        return _send(self._ends[slot], message)

    def seat(self) -> Seat:
        seat = Seat(self)
        self._seats.append(seat)
        return seat

    def leave(self, seat: Seat) -> None:
        self._seats.remove(seat)

    def read(self, slot: int) -> bool:
        """Handle what the worker of `slot` has sent; False if there was nothing."""
        data = _receive(self._ends[slot])
        if data is None:
            return False
        try:
            self.deliver(slot, control.decode_for_steward(data))
        except msgspec.MsgspecError:
            log.exception("a message of worker %d is malformed", slot)
        return True

    def deliver(self, slot: int, message: ToSteward) -> None:
        """Hand a message to the jobs as if a worker had sent it."""
        for seat in tuple(self._seats):
            seat.deliver(slot, message)

    def close(self) -> None:
        """Handle what is still there, and read no more."""
        for slot, end in enumerate(self._ends):
            while self.read(slot):
                pass
            self._loop.remove_reader(end.fileno())


class Seat:
    """The hub as one job sees it: control.Hub."""

    def __init__(self, hub: Switchboard) -> None:
        self.workers = hub.workers
        self.send = hub.send
        self._handlers: dict[type, list[Callable[[int, Any], None]]] = {}

    def broadcast(self, message: ToWorker) -> None:
        for slot in range(self.workers):
            self.send(slot, message)

    def subscribe(self, kind: type[M], handler: Callable[[int, M], None]) -> None:
        self._handlers.setdefault(kind, []).append(handler)

    def deliver(self, slot: int, message: ToSteward) -> None:
        for handler in self._handlers.get(type(message), ()):
            try:
                handler(slot, message)
            except Exception:
                log.exception("a message of worker %d was not handled", slot)
