"""`fast` in the steward: what this gateway has counted of touched keys goes to the store, and what the others have comes back
into the `far` cell of the key's row, where the workers' next sum has it.

A count is told as a whole and not as a difference, so that lost answers, a restart of either side and a poisoned value heal
with the next turn.
"""

from __future__ import annotations

import asyncio
import secrets
from array import array
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.control import LimitsTouched
from microgate.runtime.stores.line import StoreError
from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import CELLS, LOW, META, NODE_NAME, SHARING_AWAY, Table, window_of
from microgate.runtime.throttling.counting.windows import count_bits
from microgate.runtime.throttling.stores.counters import FIXED, KIND_BITS, ODD
from microgate.runtime.throttling.stores.places import Teller, open_store
from microgate.runtime.throttling.stores.scripts import SHARE

if TYPE_CHECKING:
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.observability.metrics import Metrics
    from microgate.runtime.stores.store import Store
    from microgate.runtime.throttling.counting.table import LimitRegion
    from microgate.settings.throttling import LimitStore

MAX_PENDING = 262_144  # rows that wait for their turn, or for the store
BATCH_ROWS = 256

_KINDS = (1 << KIND_BITS) - 1
_WORD = (1 << 64) - 1


def jobs(region: LimitRegion, configured: LimitStore, metrics: Metrics) -> list[Job]:
    """The steward's work, while the project has a policy with `store: fast`."""
    return [Sharing(region, configured, metrics).share]


class _Count(NamedTuple):
    """What this gateway has counted in a row."""

    row: int
    high: int
    low: int
    base: int  # the cell of the window with nothing counted
    shift: int
    own: int
    key: bytes
    life_ms: int


class Sharing:
    def __init__(self, region: LimitRegion, configured: LimitStore, metrics: Metrics) -> None:
        self._table = Table(region, None)
        self._clock = LimitClock(self._table)
        self._configured = configured
        self._interval_s = configured.sync_millis / 2000
        self._prefix = configured.prefix.encode()
        self._pending: set[int] = set()
        self._count_told = metrics.counter("limit_counts_shared")
        self._count_dropped = metrics.counter("limit_counts_unshared")
        self._teller = Teller(self._table, configured.when_down, metrics.gauge("limit_stores_away"))
        self._name = self._own_name()

    def _own_name(self) -> bytes:
        """What other gateways know this one by: for as long as the memory of limits, which outlives stewards."""
        cells = self._table.cells
        with self._table.locked():
            if not cells[NODE_NAME]:
                cells[NODE_NAME] = secrets.randbits(62) | 1
        return b"%x" % cells[NODE_NAME]

    async def share(self, hub: Hub) -> None:
        hub.subscribe(LimitsTouched, self._take)
        store = open_store(self._configured, self._tell)
        store.open()
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                if self._pending and store.up:
                    await self._tell_all(store)
        finally:
            store.close()

    def _tell(self, is_there: bool, why: str) -> None:
        self._table.cells[SHARING_AWAY] = 0 if is_there else 1
        self._teller.tell(is_there, why)

    def _take(self, _slot: int, message: LimitsTouched) -> None:
        rows = array("q")
        rows.frombytes(message.rows)
        room = MAX_PENDING - len(self._pending)
        if len(rows) > room:
            self._count_dropped(len(rows) - room)
        self._pending.update(rows[:room])

    async def _tell_all(self, store: Store) -> None:
        """One turn: all rows that wait now, those that do not get through wait on."""
        rows = list(self._pending)
        for position in range(0, len(rows), BATCH_ROWS):
            batch = rows[position : position + BATCH_ROWS]
            counts = [count for row in batch if (count := self._read(row)) is not None]
            self._pending.difference_update(batch)
            try:
                replies = await store.run_each(
                    SHARE, [(one.key, (self._name, b"%d" % one.own, b"%d" % one.life_ms)) for one in counts]
                )
            except StoreError:
                self._pending.update(batch)
                return
            for count, others in zip(counts, replies, strict=True):
                if isinstance(others, int):
                    self._enter(count, others)
            self._count_told(len(counts))

    def _read(self, touched: int) -> _Count | None:
        row, kind = touched >> KIND_BITS, touched & _KINDS
        if not self._table.is_row(row):
            return None
        words = self._table.words(row)
        window_s = window_of(words[META])
        if not words[0] & 1 or not window_s:
            return None  # let go of meanwhile
        shift = count_bits(window_s)
        own = words[CELLS : self._table.far]
        newest = max(own)
        number = max(int((self._clock.monotonic() + self._clock.offset) // window_s), newest >> shift)
        if kind != FIXED and number & 1 != (kind == ODD):
            number -= 1
        base = number << shift
        full = base + (1 << shift)
        count = sum(word - base for word in own if base < word < full)
        key = b"%bfast:%016x%016x:%d" % (self._prefix, words[0] & _WORD, words[LOW] & _WORD, number)
        life_ms = ((1 if kind == FIXED else 2) * window_s + 1) * 1000
        return _Count(row, words[0], words[LOW], base, shift, count, key, life_ms)

    def _enter(self, count: _Count, others: int) -> None:
        """Nobody but this process lets go of rows, so what is still the row's key stays so until the next `await`."""
        cells = self._table.cells
        if cells[count.row] == count.high and cells[count.row + LOW] == count.low:
            cells[count.row + self._table.far] = count.base + min(max(0, others), (1 << count.shift) - 1)
