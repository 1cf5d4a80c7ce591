"""Counts within windows of time: fixed ones, which are exact, and sliding ones, which weigh the window before.

A cell is the number of its window, shifted, plus the count in it, so a cell that is behind counts for nothing and none has to be
cleared. A worker adds to its own cell first and sums all cells then: of those that pass the limit at once at least the last one
sees it, and takes its own back. No more than the limit are ever admitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.table import meta, second_key

if TYPE_CHECKING:
    from microgate.runtime.throttling.counting.clock import LimitClock
    from microgate.runtime.throttling.counting.table import Table

_CELL_BITS = 63
_LAST_SECOND = (1 << 32) - 1  # since 1970; until 2106


def count_bits(window_s: int) -> int:
    """Bits of a cell that are left for the count: 31 where a window is a second, more where windows are longer."""
    return _CELL_BITS - (_LAST_SECOND // window_s).bit_length()


class Window:
    """The present window of one length, in one process."""

    __slots__ = ("_clock", "base", "end", "length_s", "next", "number", "shift")

    def __init__(self, length_s: int, clock: LimitClock) -> None:
        self.length_s = length_s
        self.shift = count_bits(length_s)
        self._clock = clock
        self.number = -1
        self.end = float("-inf")  # monotonic
        self.base = 0  # a cell of this window that has counted nothing
        self.next = 0

    def roll(self, now: float) -> None:
        """Go to the window of a moment, never back."""
        offset = self._clock.offset
        self._begin(max(self.number, int((now + offset) // self.length_s)), offset)

    def has(self, moment: float, now: float) -> bool:
        """Whether a moment in the past lies in the window of now."""
        if now >= self.end:
            self.roll(now)
        return moment >= self.end - self.length_s

    def follow(self, word: int) -> None:
        """Another process is in a later window: this one is over."""
        self._begin(max(self.number, word >> self.shift), self._clock.offset)

    def _begin(self, number: int, offset: float) -> None:
        self.number = number
        self.base = number << self.shift
        self.next = (number + 1) << self.shift
        self.end = (number + 1) * self.length_s - offset


class FixedCounter:
    """So many in each window. Made for a key and a limit; several may count the same key."""

    __slots__ = ("_cells", "_view", "limit", "others", "own", "window")

    def __init__(self, table: Table, key: bytes, limit: int, window: Window) -> None:
        row = table.find(key, meta(window.length_s))
        self._cells = table.cells
        self.own = row + table.column
        self._view = table.counts(row)
        self.others = None if table.is_alone else self._view
        self.limit = limit
        self.window = window

    def take(self, now: float, cost: int) -> int:
        """What is left after taking `cost`; below zero where nothing was taken because it is more than is left."""
        window = self.window
        if now >= window.end:
            window.roll(now)
        base = window.base
        cells, own = self._cells, self.own
        word = cells[own]
        cells[own] = (word if word > base else base) + cost  # noqa: FURB136 - `max` costs a call
        left = self.limit
        for word in self._view.tolist():
            if word > base:
                left -= word - base
        return left if left >= 0 else self._refuse(now, cost, left)

    def _refuse(self, now: float, cost: int, left: int) -> int:
        self._cells[self.own] -= cost
        newest = max(self._view)
        if newest >= self.window.next:
            self.window.follow(newest)
            return self.take(now, cost)
        return left

    def give_back(self, cost: int) -> None:
        """Undo a `take` that admitted nobody; in another window there is nothing left to undo."""
        word = self._cells[self.own]
        if word - cost >= self.window.base:
            self._cells[self.own] = word - cost

    def adjust(self, taken_at: float, now: float, difference: int) -> None:
        """Count what was taken at a moment as so many more, or fewer; nothing where its window is over."""
        if self.window.has(taken_at, now):
            if difference < 0:
                self.give_back(-difference)
            else:
                self.add(now, difference)

    def add(self, now: float, amount: int) -> int:
        """Count what has happened already, limit or not; what is left then."""
        window = self.window
        if now >= window.end:
            window.roll(now)
        word = max(self._cells[self.own], window.base)
        # A count that is full stays full: it never runs into the number of its window.
        full = (((word >> window.shift) + 1) << window.shift) - 1
        self._cells[self.own] = min(word + amount, full)
        return self.left(now)

    def left(self, now: float) -> int:
        """What is left, nothing taken."""
        window = self.window
        if now >= window.end:
            window.roll(now)
        newest = max(self._view)
        if newest >= window.next:
            window.follow(newest)
        base = window.base
        return self.limit - sum(word - base for word in self._view.tolist() if word > base)

    def wait_s(self, now: float, cost: int = 1) -> float:
        """Seconds until there is more."""
        return max(0.0, self.window.end - now)


class SlidingCounter:
    """So many in any stretch of a window's length, as two fixed windows estimate it: the one before counts by what of it still
    lies in the stretch. Windows of even and odd number have a row each, so the one before is still there.
    """

    __slots__ = ("_cells", "_owns", "_views", "limit", "window")

    def __init__(self, table: Table, key: bytes, limit: int, window: Window) -> None:
        rows = [table.find(name, meta(window.length_s)) for name in (key, second_key(key))]
        self._cells = table.cells
        self._owns = [row + table.column for row in rows]
        self._views = [table.counts(row) for row in rows]
        self.limit = limit
        self.window = window

    def take(self, now: float, cost: int) -> int:
        """As `FixedCounter.take`; what is left is rounded down."""
        window = self.window
        if now >= window.end:
            window.roll(now)
        base = window.base
        own = self._owns[window.number & 1]
        word = self._cells[own]
        self._cells[own] = (word if word > base else base) + cost  # noqa: FURB136 - `max` costs a call
        left = self._left(now)
        if left >= 0:
            return int(left)
        self._cells[own] -= cost
        newest = max(map(max, self._views))
        if newest >= window.next:
            window.follow(newest)
            return self.take(now, cost)
        return int(left // 1)

    def _left(self, now: float) -> float:
        window = self.window
        count, before = self._sums()
        return self.limit - count - before * ((window.end - now) / window.length_s)

    def _sums(self) -> tuple[int, int]:
        """The counts of this window and of the one before."""
        base, odd = self.window.base, self.window.number & 1
        earlier = base - (1 << self.window.shift)
        count = before = 0
        for word in self._views[odd].tolist():
            if word > base:
                count += word - base
        for word in self._views[1 - odd].tolist():
            if earlier < word < base:
                before += word - earlier
        return count, before

    def give_back(self, cost: int) -> None:
        own = self._owns[self.window.number & 1]
        word = self._cells[own]
        if word - cost >= self.window.base:
            self._cells[own] = word - cost

    def adjust(self, taken_at: float, now: float, difference: int) -> None:
        """As `FixedCounter.adjust`."""
        window = self.window
        if not window.has(taken_at, now):
            return
        if difference < 0:
            self.give_back(-difference)
            return
        own = self._owns[window.number & 1]
        full = window.next - 1
        self._cells[own] = min(max(self._cells[own], window.base) + difference, full)

    def wait_s(self, now: float, cost: int = 1) -> float:
        """Seconds until a request that costs so much would pass, if nobody else asked."""
        rest = max(0.0, self.window.end - now)
        count, before = self._sums()
        room = self.limit - count - cost
        if room >= 0:
            return max(0.0, rest - self.window.length_s * room / before) if before else 0.0
        # Only when this window has become the one before, and has aged; what costs more than the limit passes never.
        return rest + self.window.length_s * (1 - max(0, self.limit - cost) / max(1, count))
