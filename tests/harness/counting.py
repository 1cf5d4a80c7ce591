"""A clock that a test moves, and tables of counts for it."""

from __future__ import annotations

from microgate.runtime.throttling.clock import LimitClock
from microgate.runtime.throttling.table import LimitRegion, Table, open_region

WALL = 1_790_000_000.0


class Time:
    """Seconds of the monotonic and of the wall clock."""

    def __init__(self) -> None:
        self.monotonic = 1_000.0
        self.wall = WALL

    def number(self, window_s: int) -> int:
        """Of the window that it is in now, by the sums that the clock of limits makes: a float at a border rounds alike."""
        return int((self.monotonic + WALL - 1_000.0) // window_s)

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


def tables(count: int, capacity: int = 1_000) -> tuple[LimitRegion, list[Table]]:
    """The tables of so many workers of one process, each with its column."""
    region = open_region(count, capacity)
    found = [Table(region, slot) for slot in range(count)]
    for table in found:
        assert table.claim()
    return region, found


def clock(table: Table, time: Time) -> LimitClock:
    return LimitClock(table, lambda: time.monotonic, lambda: time.wall)
