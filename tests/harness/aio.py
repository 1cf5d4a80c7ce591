"""Running a test's coroutine on the loop that the gateway uses, and waiting in it for a condition with a deadline."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end on uvloop. What a callback raises fails the test, as does an exception nobody looked at."""
    problems: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        await main

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watched())
    assert not problems, problems


async def until(condition: Callable[[], object], what: str = "", *, seconds: float = 8.0) -> None:
    """Return when `condition` is true; an AssertionError that says `what` did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        await asyncio.sleep(0.01)


async def pace(seconds: float) -> None:
    """A scripted peer takes its time between two pieces; a test itself waits with `until`."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)
