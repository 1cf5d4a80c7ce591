"""The event loop of a process: uvloop's, or Python's own where uvloop is not installed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = logging.getLogger("microgate.loop")


def new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(life: Coroutine[Any, Any, None]) -> None:
    """Run one coroutine to its end in a new loop; a callback that fails is one record in the log."""
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(_on_exception)
    try:
        loop.run_until_complete(life)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.error("%s", context.get("message", "a callback failed"), exc_info=error)
