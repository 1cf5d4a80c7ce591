"""Bursts: a bucket of tokens that fills evenly, kept as the moment at which it will be full (the generic cell rate algorithm).

That moment is one number for all workers, in the cell that is written under the lock: two microseconds a request, which only
policies with a burst pay. A refusal that is plain to see takes no lock.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.table import CELLS, EPOCH, LAST_MOMENT, meta

if TYPE_CHECKING:
    from microgate.runtime.throttling.counting.table import Table

_LAST_SECOND = LAST_MOMENT // 1_000_000


class BucketCounter:
    """`size` tokens at most, `count` new ones in each `window_s` seconds."""

    __slots__ = ("_cell", "_cells", "_epoch", "_key", "_kind", "_table", "_whole_us", "limit", "tokens_us")

    def __init__(self, table: Table, key: bytes, size: int, count: int, window_s: int) -> None:
        self._cells = table.cells
        whole_s = ceil(size * window_s / count)
        self._key = key
        self._kind = meta(max(1, min(whole_s, _LAST_SECOND)), bucket=True)
        self._table = table
        self._find()
        self.tokens_us = window_s * 1_000_000 / count  # microseconds that make a token
        self._whole_us = size * self.tokens_us
        self.limit = size

    def _find(self) -> None:
        self._epoch = self._cells[EPOCH]
        self._cell = self._table.find(self._key, self._kind) + CELLS + self._table.slots

    def take(self, now: float, cost: int) -> int:
        """Tokens that are left; below zero where there were not enough and none was taken."""
        now_us = now * 1_000_000
        left = self._left(now_us, cost)
        if left < 0:
            return left
        self._table.lock()
        left = self._left(now_us, cost)
        if left >= 0:
            full_at = ceil(max(self._cells[self._cell], now_us) + cost * self.tokens_us)
            self._cells[self._cell] = min(full_at, LAST_MOMENT)
        self._table.unlock()
        return left

    def _left(self, now_us: float, cost: int) -> int:
        full_at = max(self._cells[self._cell], now_us) + cost * self.tokens_us
        # Half a microsecond of slack, so that rounding costs nobody a token.
        return int((now_us + self._whole_us - full_at + 0.5) // self.tokens_us)

    def left(self, now: float) -> int:
        return self._left(now * 1_000_000, 0)

    def give_back(self, cost: int) -> None:
        with self._table.locked():
            self._cells[self._cell] -= int(cost * self.tokens_us)

    def adjust(self, taken_at: float, now: float, difference: int) -> None:
        """Count what was taken as so many tokens more, or fewer."""
        with self._table.locked():
            if self._cells[EPOCH] != self._epoch:
                # A request may take longer than a row is kept for a bucket that is full.
                self._find()
            before = max(self._cells[self._cell], int(now * 1_000_000))
            self._cells[self._cell] = min(before + int(difference * self.tokens_us), LAST_MOMENT)

    def wait_s(self, now: float, cost: int = 1) -> float:
        """Seconds until there are so many tokens."""
        lacks = max(self._cells[self._cell], now * 1_000_000) + cost * self.tokens_us - self._whole_us - now * 1_000_000
        return max(0.0, lacks / 1_000_000)
