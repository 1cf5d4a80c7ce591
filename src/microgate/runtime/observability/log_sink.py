"""The worker's end of the access log: whole lines collect here and go to the steward in batches.

Nothing here waits. What the steward does not take stays up to a bound, after that new lines are dropped and counted;
log_writer.py is the other end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from microgate.runtime.control import MAX_BYTES, LogLines

if TYPE_CHECKING:
    from microgate.runtime.control import Channel
    from microgate.runtime.observability.metrics import Metrics

BATCH_BYTES = 32_768
INTERVAL_SECONDS = 0.05
MAX_PENDING_BYTES = 1_048_576
MAX_LINE_BYTES = MAX_BYTES - 64  # what a message has room for; only a template that repeats long fields gets there

_CLOSING_STEP_SECONDS = 0.005


class LogSink:
    """Takes lines; each line ends with its newline. A batch is at most `BATCH_BYTES`, unless one line alone is longer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel, metrics: Metrics) -> None:
        self._loop = loop
        self._channel = channel
        self._count_line = metrics.counter("access_log_lines")
        self._count_dropped = metrics.counter("access_log_lines_dropped")
        self._lines: list[bytes] = []
        self._size = 0
        self._batches: deque[bytes] = deque()
        self._pending = 0
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, line: bytes) -> None:
        size = self._size + len(line)
        if size > BATCH_BYTES:
            if len(line) > MAX_LINE_BYTES:
                self._count_line(1)
                self._drop(1)
                return
            self.flush()
            size = len(line)
        self._size = size
        self._lines.append(line)
        if self._timer is None:
            self._timer = self._loop.call_later(INTERVAL_SECONDS, self._on_interval)

    def _on_interval(self) -> None:
        self._timer = None
        if not self.flush():
            self._timer = self._loop.call_later(INTERVAL_SECONDS, self._on_interval)

    def flush(self) -> bool:
        """Hand over as much as the steward takes now; True if nothing is left."""
        if self._lines:
            self._close_batch()
        batches = self._batches
        while batches:
            if not self._channel.send(LogLines(batches[0], self._dropped)):
                return False
            self._dropped = 0
            self._pending -= len(batches.popleft())
        return True

    def _close_batch(self) -> None:
        count = len(self._lines)
        self._count_line(count)
        if self._pending + self._size > MAX_PENDING_BYTES:
            self._drop(count)
        else:
            self._batches.append(b"".join(self._lines))
            self._pending += self._size
        self._lines.clear()
        self._size = 0

    def _drop(self, count: int) -> None:
        self._count_dropped(count)
        self._dropped += count

    async def close(self, patience_seconds: float = 0.2) -> None:
        """Hand over what is left before the worker ends; gives up after the patience."""
        deadline = self._loop.time() + patience_seconds
        while not self.flush() and self._loop.time() < deadline:  # noqa: ASYNC110 - the channel has no event for room
            await asyncio.sleep(_CLOSING_STEP_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
