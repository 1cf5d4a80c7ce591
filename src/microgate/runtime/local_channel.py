"""control.Channel and control.Hub within one process, where steward and worker share a loop.

The same rules as over sockets: bounded, never blocking, and handlers run in a later turn of the loop.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from microgate.runtime.channel import Seat

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from microgate.runtime.control import M, ToSteward, ToWorker

log = logging.getLogger("microgate.channel")

MAX_WAITING = 64  # messages on their way to the steward


class LocalSwitchboard:
    """The steward's end. `channel` makes the end of a worker, which gets what is sent to slot 0 once it is connected."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.workers = 1
        self._loop = loop
        self._seats: list[Seat] = []
        self._waiting: deque[ToSteward] = deque()
        self._worker: LocalChannel | None = None

    def channel(self) -> LocalChannel:
        return LocalChannel(self)

    def connect(self, channel: LocalChannel) -> None:
        self._worker = channel

    def send(self, slot: int, message: ToWorker) -> bool:
        if self._worker is not None:
            self._loop.call_soon(self._worker.deliver, message)
        return True

    def seat(self) -> Seat:
        seat = Seat(self)
        self._seats.append(seat)
        self._loop.call_soon(self.flush)
        return seat

    def leave(self, seat: Seat) -> None:
        self._seats.remove(seat)

    def deliver(self, slot: int, message: ToSteward) -> None:
        for seat in tuple(self._seats):
            seat.deliver(slot, message)

    def put(self, message: ToSteward) -> bool:
        """A worker's message, to be delivered soon; False if there is no room."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(message)
        return True

    def flush(self) -> None:
        """Deliver what waits; it goes on waiting while one steward has gone and the next is not there yet."""
        while self._waiting and self._seats:
            self.deliver(0, self._waiting.popleft())


class LocalChannel:
    """A worker's end."""

    def __init__(self, switchboard: LocalSwitchboard) -> None:
        self.send = switchboard.put
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[M], handler: Callable[[M], None]) -> None:
        self._handlers.setdefault(kind, []).append(handler)

    def deliver(self, message: ToWorker) -> None:
        for handler in self._handlers.get(type(message), ()):
            try:
                handler(message)
            except Exception:
                log.exception("a message of the steward was not handled")
