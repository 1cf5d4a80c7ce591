"""A clock that a test moves, and tables of counts for it."""

from __future__ import annotations

from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import LimitRegion, Table, open_region

WALL = 1_790_000_000.0


class Time:
    """Seconds of the monotonic and of the wall clock."""

    def __init__(self) -> None:
        self._milliseconds = 1_000_000
        self._ahead = WALL - 1_000.0  # the wall clock, of the monotonic one

    @property
    def monotonic(self) -> float:
        return self._milliseconds / 1_000

    @property
    def wall(self) -> float:
        return self.monotonic + self._ahead

    def number(self, window_s: int) -> int:
        """Of the window that it is in now; counted in whole milliseconds, so that nothing is rounded over a border."""
        return (self._milliseconds + int((WALL - 1_000.0) * 1_000)) // (window_s * 1_000)

    def pass_by(self, seconds: float) -> None:
        self._milliseconds += round(seconds * 1_000)

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._ahead += seconds


def tables(count: int, capacity: int = 1_000) -> tuple[LimitRegion, list[Table]]:
    """The tables of so many workers of one process, each with its column."""
    region = open_region(count, capacity)
    found = [Table(region, slot) for slot in range(count)]
    for table in found:
        assert table.claim()
    return region, found


def clock(table: Table, time: Time) -> LimitClock:
    return LimitClock(table, lambda: time.monotonic, lambda: time.wall)
