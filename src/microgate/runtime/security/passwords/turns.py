"""Fair turns at something scarce: a few are served at once, those that wait are served by address in rotation, so that an address
that sends a thousand waits behind itself. Bounded; when all places are taken, the longest row gives one up.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

MAX_WAITING = 256
MAX_WAITING_OF_ONE = 16


class BusyError(Exception):
    """All places are taken."""


class Turns:
    """`width` may work at once. `take` and `give_back` come in pairs, `turn` does both."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._rows: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def turn(self, address: str) -> _Turn:
        return _Turn(self, address)

    async def take(self, address: str) -> None:
        """Wait for a turn; raises BusyError."""
        if self._free:
            self._free -= 1
            return
        row = self._rows.get(address)
        if row is not None and len(row) >= MAX_WAITING_OF_ONE:
            raise BusyError
        if self._waiting >= MAX_WAITING:
            self._make_room(0 if row is None else len(row))
        # The row is looked up anew: what made room may have ended it.
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rows.setdefault(address, deque()).append(future)
        self._waiting += 1
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.give_back()  # the turn came in the same moment
            else:
                self._leave(address, future)
            raise

    def give_back(self) -> None:
        """End a turn: the next one is of the address whose last turn is longest ago."""
        while self._rows:
            address, row = self._rows.popitem(last=False)
            future = row.popleft()
            self._waiting -= 1
            if row:
                self._rows[address] = row
            if not future.done():
                future.set_result(None)
                return
        self._free += 1

    def _make_room(self, own: int) -> None:
        if len(self._rows) == self._waiting:
            raise BusyError  # each waits alone: a flood from many addresses is not looked through for each of its requests
        address, row = max(self._rows.items(), key=lambda item: len(item[1]))
        if len(row) <= own + 1:
            raise BusyError
        future = row.pop()
        self._waiting -= 1
        if not row:
            del self._rows[address]
        if not future.done():
            future.set_exception(BusyError())

    def _leave(self, address: str, future: asyncio.Future[None]) -> None:
        row = self._rows.get(address)
        if row is not None and future in row:
            row.remove(future)
            self._waiting -= 1
            if not row:
                del self._rows[address]


class _Turn:
    def __init__(self, turns: Turns, address: str) -> None:
        self._turns = turns
        self._address = address

    async def __aenter__(self) -> None:
        await self._turns.take(self._address)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.give_back()
