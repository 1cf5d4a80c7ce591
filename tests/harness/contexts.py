"""Security contexts for tests of schemes that call services: what they keep open is closed with the loop of the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import aio
from harness.minting import Clock
from microgate.runtime.security.context import SecurityContext

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from microgate.settings.model import Settings

_open: list[SecurityContext] = []


def context_of(settings: Settings, clock: Callable[[], float] | None = None) -> SecurityContext:
    """A context at a clock, the usual one where none is given; to be made within `run`."""
    _open.append(SecurityContext(settings, None, clock=clock or Clock()))
    return _open[-1]


def run(main: Coroutine[Any, Any, None]) -> None:
    """As `aio.run`; the contexts that were made meanwhile are closed."""

    async def closing() -> None:
        try:
            await main
        finally:
            while _open:
                _open.pop().close()

    aio.run(closing())
