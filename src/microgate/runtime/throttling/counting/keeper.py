"""Lets go of keys that nobody counts, and has the clock of limits follow the wall clock: the steward's work on the tables.

A row goes in two steps, so that no worker counts in it meanwhile: first it is marked and the epoch turns, so that whoever
remembers it looks for it anew and thereby keeps it; only after a while, if it is still marked and still, it is free.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.clock import DRIFT_SECONDS, LimitClock
from microgate.runtime.throttling.counting.in_flight import is_idle, owners_of
from microgate.runtime.throttling.counting.table import (
    CELLS,
    EPOCH,
    KEYS,
    META,
    RETIRING,
    SHARED_ROWS,
    Table,
    is_bucket,
    window_of,
)
from microgate.runtime.throttling.counting.windows import count_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.runtime.control import Hub
    from microgate.runtime.observability.metrics import Metrics
    from microgate.runtime.throttling.counting.table import LimitRegion

SWEEP_SECONDS = 60.0
GRACE_SECONDS = 5.0  # in which a worker that remembered a row before the epoch turned has finished with it
BLOCK_ROWS = 512
MIN_KEYS = 4_096  # with fewer there is nothing to be gained


class Keeper:
    """Keeps the table of counts in order."""

    def __init__(self, region: LimitRegion, metrics: Metrics, clock: LimitClock | None = None) -> None:
        self._table = Table(region, None)
        self._clock = clock or LimitClock(self._table)
        self._show_keys = metrics.gauge("limit_keys")
        self._count_shared = metrics.counter("limit_keys_sharing")
        self._keys = self._shared = 0

    async def keep_time(self, _hub: Hub) -> None:
        while True:
            self._clock.drift()
            self._show()
            await asyncio.sleep(DRIFT_SECONDS)

    def _show(self) -> None:
        cells = self._table.cells
        keys, shared = cells[KEYS], cells[SHARED_ROWS]
        self._show_keys(keys - self._keys)
        self._count_shared(shared - self._shared)
        self._keys, self._shared = keys, shared

    async def keep_room(self, _hub: Hub) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._table.cells[KEYS] >= min(MIN_KEYS, self._table.capacity // 2):
                await self.sweep(GRACE_SECONDS)

    async def sweep(self, grace_s: float) -> int:
        """Let go of all keys whose counts are over; how many."""
        marked: list[int] = []
        for rows in self._idle_rows():
            if rows:
                with self._table.locked():
                    for row in rows:
                        self._table.retire(row)
                marked += rows
            await asyncio.sleep(0)
        if not marked:
            return 0
        self._table.cells[EPOCH] += 1
        await asyncio.sleep(grace_s)
        freed = 0
        for position in range(0, len(marked), BLOCK_ROWS):
            with self._table.locked():
                freed += sum(self._free(row) for row in marked[position : position + BLOCK_ROWS])
            await asyncio.sleep(0)
        return freed

    def _idle_rows(self) -> Iterator[list[int]]:
        table = self._table
        for begin in range(0, table.rows, BLOCK_ROWS):
            now = self._clock.monotonic()
            yield [row for row, words in table.block(begin, BLOCK_ROWS) if self.is_over(words, now)]

    def _free(self, row: int) -> bool:
        words = self._table.words(row)
        if not words[META] & RETIRING or not self.is_over(words, self._clock.monotonic()):
            return False
        self._table.free(row)
        return True

    def is_over(self, words: list[int], now: float) -> bool:
        """Whether the counts of a row matter to nobody: the window before the present one may still be weighed."""
        kind = words[META]
        newest = max(words[CELLS:])
        if is_bucket(kind):
            return newest <= now * 1_000_000
        window_s = window_of(kind)
        number = int((now + self._clock.offset) // window_s)
        return newest >> count_bits(window_s) < number - 1


class InFlightKeeper(Keeper):
    """Sweeps the table of what is in flight, in which a key is over when nothing of it is."""

    def is_over(self, words: list[int], now: float) -> bool:
        return is_idle(words[CELLS:], owners_of(self._table))
