"""`fast` in a worker: which rows were counted in, told to the steward at short intervals; no request waits for it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from microgate.runtime.control import LimitsTouched

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from collections.abc import Callable

    from microgate.runtime.control import Channel

ROWS_PER_MESSAGE = 8_192
MAX_TOUCHED = 65_536  # that wait for room on the channel


class Touches:
    """The rows that a worker has counted in since it last told. `drop` counts those that are not told."""

    def __init__(
        self, loop: AbstractEventLoop, channel: Channel, interval_s: float, drop: Callable[[int], None]
    ) -> None:
        self.rows: set[int] = set()
        self._loop = loop
        self._channel = channel
        self._interval_s = interval_s
        self._drop = drop
        self._timer: TimerHandle | None = loop.call_later(interval_s, self._tick)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._interval_s, self._tick)
        if self.rows:
            self.flush()

    def flush(self) -> None:
        rows = list(self.rows)
        self.rows.clear()
        for position in range(0, len(rows), ROWS_PER_MESSAGE):
            data = array("q", rows[position : position + ROWS_PER_MESSAGE]).tobytes()
            if not self._channel.send(LimitsTouched(data)):
                self._keep(rows[position:])
                return

    def _keep(self, rows: list[int]) -> None:
        """There was no room: tell them next time, as far as that is not too many."""
        self.rows.update(rows[:MAX_TOUCHED])
        if len(rows) > MAX_TOUCHED:
            self._drop(len(rows) - MAX_TOUCHED)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.flush()
