"""The time of limits: the same for all processes, and never moved by a step of the machine's clock.

It runs with the monotonic clock from where the wall clock stood when the memory was made. The steward lets it drift to the wall
clock, so that windows begin where people expect it; it never runs backwards, and it jumps only where it lags by hours.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.table import OFFSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.throttling.counting.table import Table

DRIFT_SECONDS = 1.0  # how often the steward looks
FASTER = 0.05  # of a second, each second
SLOWER = 0.5
JUMP_SECONDS = 3_600.0  # lagging by more, it does not pay to wait
AHEAD_SECONDS = 86_400.0  # ahead by more, it keeps its pace: long windows for long would be worse


class LimitClock:
    """`offset` added to the monotonic clock gives seconds since 1970."""

    def __init__(
        self,
        table: Table,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.monotonic = monotonic
        self._wall = wall
        self._cells = table.cells
        if not self._cells[OFFSET]:
            with table.locked():
                if not self._cells[OFFSET]:
                    self._cells[OFFSET] = int((wall() - monotonic()) * 1_000_000) or 1

    @property
    def offset(self) -> float:
        return self._cells[OFFSET] / 1_000_000

    def drift(self) -> None:
        """Come nearer to the wall clock by what a second allows."""
        lag = self._wall() - self.monotonic() - self.offset
        if lag < -AHEAD_SECONDS:
            return
        if lag <= JUMP_SECONDS:
            lag = max(-SLOWER, min(FASTER, lag))
        self._cells[OFFSET] += int(lag * 1_000_000)
