"""The worker's end of events: they collect here and go to the steward in batches; `publishing.py` is the other end.

Nothing here waits. What the steward does not take stays up to a bound; over it new events are dropped and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.control import ThrottleEvents

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from microgate.runtime.control import Channel

BATCH_BYTES = 65_536
INTERVAL_SECONDS = 0.05
MAX_PENDING_BYTES = 1 << 20
MAX_EVENT_BYTES = 65_536


class EventSink:
    """Takes events, each a body of a request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel, count_dropped: Callable[[int], None]) -> None:
        self._loop = loop
        self._channel = channel
        self._count_dropped = count_dropped
        self._events: list[bytes] = []
        self._pending = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, event: bytes) -> None:
        size = len(event)
        if size > MAX_EVENT_BYTES or self._pending + size > MAX_PENDING_BYTES:
            self._count_dropped(1)
            return
        self._events.append(event)
        self._pending += size
        if self._timer is None:
            self._timer = self._loop.call_later(INTERVAL_SECONDS, self._on_interval)

    def _on_interval(self) -> None:
        self._timer = None
        if not self.flush():
            self._timer = self._loop.call_later(INTERVAL_SECONDS, self._on_interval)

    def flush(self) -> bool:
        """Hand over as much as the steward takes now; True if nothing is left."""
        done = 0
        while done < len(self._events):
            count, size = 0, 0
            for event in self._events[done:]:
                if count and size + len(event) > BATCH_BYTES:
                    break
                count += 1
                size += len(event)
            if not self._channel.send(ThrottleEvents(tuple(self._events[done : done + count]))):
                break
            self._pending -= size
            done += count
        del self._events[:done]
        return not self._events

    def close(self) -> None:
        """Hand over what the steward takes now, and drop the rest."""
        self.flush()
        self._count_dropped(len(self._events))
        self._events.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
