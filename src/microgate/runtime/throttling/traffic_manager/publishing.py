"""The steward's end of events: each goes to the traffic manager in a request of its own, several at a time.

Nobody waits for it. What finds no room, and what grew too old to be counted in its own window, is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from microgate.runtime.control import ThrottleEvents
from microgate.runtime.throttling.traffic_manager.asking import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.control import Hub
    from microgate.runtime.throttling.traffic_manager.asking import Ask

PATH = "throttleEventReceiver"
IN_FLIGHT = 8
MAX_WAITING = 20_000
MAX_WAITING_BYTES = 16 << 20
MAX_AGE_SECONDS = 10.0
PAUSE_SECONDS = 0.2  # after an event that got no answer; the next ones may do better

log = logging.getLogger("microgate.throttling")


class Publishing:
    """The events of all workers on their way out."""

    def __init__(self, ask: Ask, counter: Callable[[str], Callable[[int], None]]) -> None:
        self._ask = ask
        self._sent = counter("throttle_events_sent")
        self._dropped = counter("throttle_events_dropped")
        self._failed = counter("throttle_events_failed")
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._there = asyncio.Event()
        self._refused = 0  # the status with which events are refused, 0 while they are taken

    async def run(self, hub: Hub) -> None:
        hub.subscribe(ThrottleEvents, self._on_events)
        try:
            async with asyncio.TaskGroup() as senders:
                for _ in range(IN_FLIGHT):
                    senders.create_task(self._send_all())
        finally:
            self._ask.close()

    def _on_events(self, _slot: int, message: ThrottleEvents) -> None:
        now = monotonic()
        for event in message.events:
            if len(self._waiting) >= MAX_WAITING or self._bytes + len(event) > MAX_WAITING_BYTES:
                self._dropped(1)
                continue
            self._waiting.append((now, event))
            self._bytes += len(event)
        self._there.set()

    async def _send_all(self) -> None:
        while True:
            event = self._next()
            if event is None:
                self._there.clear()
                await self._there.wait()
                continue
            await self._send(event)

    def _next(self) -> bytes | None:
        oldest = monotonic() - MAX_AGE_SECONDS
        while self._waiting:
            came_at, event = self._waiting.popleft()
            self._bytes -= len(event)
            if came_at >= oldest:
                return event
            self._dropped(1)
        return None

    async def _send(self, event: bytes) -> None:
        try:
            status, _ = await self._ask(PATH, event)
        except NoAnswer:
            # Whether one that got no answer was counted nobody knows; twice would be worse than not at all.
            self._failed(1)
            await asyncio.sleep(PAUSE_SECONDS)
            return
        taken = 200 <= status < 300
        (self._sent if taken else self._failed)(1)
        if taken and self._refused:
            log.warning("the traffic manager takes events again")
        if not taken and not self._refused:
            log.warning("the traffic manager refuses events: it answers %d", status)
        self._refused = 0 if taken else status
