"""Bytes of bodies: so many in each window and then the next request is refused, or a pace at which bodies flow.

Both are counted in the table of counts, over all workers. What counts how much of an exchange is in dues.py.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from microgate.runtime.throttling.afterwards.dues import GRAIN_BYTES, PLENTY
from microgate.runtime.throttling.counting.table import CELLS, EPOCH, LAST_MOMENT, meta
from microgate.runtime.throttling.counting.windows import FixedCounter

if TYPE_CHECKING:
    from microgate.plan.model import Bandwidth
    from microgate.runtime.throttling.afterwards.dues import Dues
    from microgate.runtime.throttling.counting.table import Table
    from microgate.runtime.throttling.counting.windows import Window

BURST_SECONDS = 0.1  # of a pace, that pass at once; longer than a watch takes to let bodies go on
PIECE_SECONDS = 0.025  # of a pace, that are read at a time and may be counted later
MAX_TURN_SECONDS = 10.0  # who would have to wait longer for its turn is refused

_MICROSECONDS = 1_000_000


class _Measured:
    """A key in the table. A stream may outlive the row and the column that it began with, so both are looked at each time."""

    __slots__ = ("_epoch", "_table", "_turns", "comes", "goes", "grain", "key", "limit", "paced", "piece")

    def __init__(self, table: Table, key: bytes, bandwidth: Bandwidth) -> None:
        self._table = table
        self.key = key
        self.limit = bandwidth.bytes
        self.comes = bandwidth.direction != "out"
        self.goes = bandwidth.direction != "in"
        self._epoch = self._turns = -1

    def _is_stale(self) -> bool:
        epoch, turns = self._table.cells[EPOCH], self._table.turns
        if self._epoch == epoch and self._turns == turns:
            return False
        self._epoch, self._turns = epoch, turns
        return True

    def give_back(self, cost: int) -> None:
        """Nothing was taken: bytes are counted as they pass."""


class Allotment(_Measured):
    """So many bytes in each window: once they have passed, the next request is refused, and what is under way goes on."""

    __slots__ = ("_counter", "_window")

    def __init__(self, table: Table, key: bytes, bandwidth: Bandwidth, window: Window) -> None:
        super().__init__(table, key, bandwidth)
        self._window = window
        self.grain = min(GRAIN_BYTES, bandwidth.bytes)
        self.paced = False
        self.piece = PLENTY
        self._counter: FixedCounter

    def _present(self) -> FixedCounter:
        if self._is_stale():
            self._counter = FixedCounter(self._table, self.key, self.limit, self._window)
        return self._counter

    def take(self, now: float, cost: int) -> int:
        return PLENTY if self._present().left(now) > 0 else -1

    def wait_s(self, now: float, cost: int = 1) -> float:
        return self._present().wait_s(now)

    def add(self, now: float, amount: int) -> None:
        if self._table.exclusive:
            self._present().add(now, amount)
        else:
            with self._table.locked():
                self._present().add(now, amount)

    def until(self, now: float) -> float:
        return 0.0

    def join(self, dues: Dues, now: float) -> None:
        dues.measure(self)


class Pace(_Measured):
    """So many bytes in any stretch of a window's length, spread evenly: kept as the moment at which what has passed is made
    up for, one number for all workers, in the cell that is written under the lock.
    """

    __slots__ = ("_byte_us", "_cell", "_kind")

    def __init__(self, table: Table, key: bytes, bandwidth: Bandwidth, *, holds: bool) -> None:
        """`holds` is False for a limit that only counts."""
        super().__init__(table, key, bandwidth)
        # What passes at once is part of what may pass in a window.
        seconds = bandwidth.window_s + BURST_SECONDS
        self._byte_us = seconds * _MICROSECONDS / bandwidth.bytes
        self.piece = max(1, int(PIECE_SECONDS * bandwidth.bytes / seconds))
        self.grain = min(GRAIN_BYTES, self.piece)
        self.paced = holds
        self._kind = meta(bandwidth.window_s, bucket=True)
        self._cell = 0

    def _present(self) -> int:
        """The cell."""
        if self._is_stale():
            self._cell = self._table.find(self.key, self._kind) + CELLS + self._table.slots
        return self._cell

    def take(self, now: float, cost: int) -> int:
        return PLENTY if self.wait_s(now) <= MAX_TURN_SECONDS else -1

    def wait_s(self, now: float, cost: int = 1) -> float:
        return max(0.0, self.until(now) - now)

    def add(self, now: float, amount: int) -> None:
        table = self._table
        with table.locked():
            cell = self._present()
            moment = max(table.cells[cell], now * _MICROSECONDS) + amount * self._byte_us
            table.cells[cell] = min(ceil(moment), LAST_MOMENT)

    def until(self, now: float) -> float:
        return self._table.cells[self._present()] / _MICROSECONDS - BURST_SECONDS

    def join(self, dues: Dues, now: float) -> None:
        dues.measure(self)
