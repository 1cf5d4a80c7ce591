"""The event loop of a process: uvloop's, or Python's own where uvloop is not installed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = logging.getLogger("microgate.loop")

SILENCE_SECONDS = 10.0
MAX_TOPICS = 100


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(life: Coroutine[Any, Any, None]) -> None:
    """Run one coroutine to its end in a new loop."""
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(Complaints().tell)
    try:
        loop.run_until_complete(life)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Complaints:
    """What goes wrong in callbacks of the loop: one record in the log, and not the same one again and again."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}

    def tell(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        message = str(context.get("message", "a callback failed"))
        topic = f"{message}: {type(error).__name__}"
        now = loop.time()
        if now - self._told_at.get(topic, -SILENCE_SECONDS) < SILENCE_SECONDS:
            return
        if len(self._told_at) >= MAX_TOPICS:
            self._told_at.clear()
        self._told_at[topic] = now
        if isinstance(error, OSError):
            log.error("%s: %s", message, error)
        else:
            log.error("%s", message, exc_info=error)
